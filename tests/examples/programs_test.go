package examples

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// folder is where the examples are, seen from here.
const folder = "../../examples"

const programLimit = 2 * time.Minute

// output runs a program to its end, which must be a good one.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(cmd.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func TestPythonProgram(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Regions[0].Proxy(), cluster.Regions[1].Proxy()
	// Debian's package serves Debian's interpreter.
	out := output(t, nil, "/usr/bin/python3", filepath.Join(folder, "python", "hello.py"), "redis://"+a.Addr, "redis://"+b.Addr)
	for _, want := range []string{
		"written here, read there: from the first region\n", "counted 200 here and 200 there: 400 here, 400 there\n",
		"carts: ['bag', 'book', 'pen'] and ['bag', 'book', 'pen']\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	cluster.Converge()
	cluster.RequireEqual(t)
}

// A program that waits for the other region must say that it is not there, and not go on.
func TestPythonProgramSaysWhenTheOtherRegionIsAway(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2)
	cluster.Regions[1].CRDT("PAUSE", "A")
	a, b := cluster.Regions[0].Proxy(), cluster.Regions[1].Proxy()
	out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", filepath.Join(folder, "python", "hello.py"), "redis://"+a.Addr, "redis://"+b.Addr).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the other region has not got it") {
		t.Errorf("%v\n%s", err, out)
	}
}
