package redistest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most memory that the proxy's process has had so far, in bytes. With the race detector it is many times what it
// would be; see MemoryFactor.
func (p *Proxy) PeakMemory() int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		p.t.Fatalf("redistest: proxy %s: %v", p.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	p.t.Fatalf("redistest: proxy %s: no peak of memory in its status", p.name)
	return 0
}

// MemoryFactor is by how much a limit on memory has to be raised for the program under test.
func MemoryFactor() int64 {
	if raceEnabled {
		return 10
	}
	return 1
}
