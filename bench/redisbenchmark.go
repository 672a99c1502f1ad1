package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
)

// reportRedisBenchmark repeats two rows with Redis's own tool, as a check of our driver by somebody else's.
func reportRedisBenchmark(ctx context.Context, o options, t *targets) error {
	fmt.Printf("\n### Cross-check with redis-benchmark, 50 connections, %d bytes\n\n", valueBytes)
	if _, err := exec.LookPath("redis-benchmark"); err != nil {
		fmt.Println("redis-benchmark is not installed.")
		return nil
	}
	fmt.Println("| command | pipeline | Redis /s | Anabranch /s | ratio |")
	fmt.Println("|---|--:|--:|--:|--:|")
	for _, command := range []string{"SET", "GET"} {
		for _, pipeline := range []int{1, 16} {
			var plain, ours []sample
			for range o.rounds {
				for _, target := range []struct {
					addr string
					into *[]sample
				}{{t.plain.Addr, &plain}, {t.local().Addr, &ours}} {
					perSecond, err := redisBenchmark(ctx, target.addr, command, pipeline, o.seconds)
					if err != nil {
						return fmt.Errorf("redis-benchmark %s -P %d: %w", command, pipeline, err)
					}
					*target.into = append(*target.into, sample{perSecond: perSecond})
				}
				if err := settle(t, o.regions-1); err != nil {
					return err
				}
			}
			a, b := median(plain).perSecond, median(ours).perSecond
			fmt.Printf("| %s | %d | %s | %s | %.2f |\n", command, pipeline, thousands(a), thousands(b), b/a)
		}
	}
	return nil
}

// redisBenchmark asks for so many requests that it takes about the given time on a machine like ours.
func redisBenchmark(ctx context.Context, addr, command string, pipeline int, seconds float64) (float64, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	requests := int(seconds * 40_000)
	if pipeline > 1 {
		requests *= 4
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "--csv", "-t", strings.ToLower(command),
		"-c", "50", "-d", strconv.Itoa(valueBytes), "-r", strconv.Itoa(keySpace),
		"-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(requests)).Output()
	if err != nil {
		return 0, err
	}
	// "SET","81967.21","0.311",…
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(line, ",")
		if len(fields) > 1 && strings.Trim(fields[0], `"`) == command {
			return strconv.ParseFloat(strings.Trim(fields[1], `"`), 64)
		}
	}
	return 0, errors.New("no result in its output")
}
