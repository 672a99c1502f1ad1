package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine says where and with what the numbers were taken.
func machine(ctx context.Context) string {
	return fmt.Sprintf("%s · %s · %d cores · Linux %s · %s · %s · commit %s",
		time.Now().UTC().Format("2006-01-02"), processor(), runtime.NumCPU(), firstLine("/proc/sys/kernel/osrelease"),
		output(ctx, "redis-server", "--version"), runtime.Version(), output(ctx, "git", "rev-parse", "--short", "HEAD"))
}

func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "model name"); found {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return "unknown processor"
}

func firstLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

// output is the start of what a program prints: "Redis server v=7.0.15 sha=…" says more than is wanted.
func output(ctx context.Context, program string, args ...string) string {
	data, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return program + " unknown"
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(data)), " sha=")
	return text
}
