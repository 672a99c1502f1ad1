package sandbox

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAFailedStartLeavesNothingRunning(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	_, err := Start(t.Context(), Config{Binary: "false", Regions: 2})
	if err == nil || !strings.Contains(err.Error(), "ended at once") {
		t.Fatalf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAServerAnswersAndEnds(t *testing.T) {
	dir := t.TempDir()
	server, err := StartRedis(t.Context(), filepath.Join(dir, "redis"))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := ping(server.Addr); answer != "+PONG" || err != nil {
		t.Errorf("%q, %v", answer, err)
	}
	server.Close()
	if _, err := ping(server.Addr); err == nil {
		t.Error("a closed server answers")
	}
}

func TestAStubbornChildIsKilled(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := start(log, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.logTail(), "ready"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the child did not start")
		}
	}
	p.stop(100 * time.Millisecond)
	if p.running() {
		t.Error("still running")
	}
}
