package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat: USER_HZ is 100 on every Linux.
const tick = 10 * time.Millisecond

// cpuTime is the user and system time that a process has used so far; 0 when it cannot be read.
func cpuTime(pid int) time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name in parentheses, and may hold spaces.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64) // utime, field 14 of the line
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// stopwatch measures the CPU time of several processes between two moments.
type stopwatch struct {
	pids []int
	used []time.Duration
}

func newStopwatch(pids ...int) *stopwatch {
	return &stopwatch{pids: pids, used: make([]time.Duration, len(pids))}
}

func (s *stopwatch) begin() { s.read(-1) }
func (s *stopwatch) end()   { s.read(1) }

func (s *stopwatch) read(sign time.Duration) {
	for i, pid := range s.pids {
		s.used[i] += sign * cpuTime(pid)
	}
}

// sum is the CPU time of all the processes together.
func (s *stopwatch) sum() (total time.Duration) {
	for _, used := range s.used {
		total += used
	}
	return total
}
