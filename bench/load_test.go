package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/sandbox"
)

func startRedis(t *testing.T) string {
	t.Helper()
	server, err := sandbox.StartRedis(t.Context(), filepath.Join(t.TempDir(), "redis"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server.Addr
}

func TestTheDriverCountsWhatWasCompleted(t *testing.T) {
	addr := startRedis(t)
	if err := fill(addr); err != nil {
		t.Fatal(err)
	}
	for name, w := range workloads {
		began, ended := false, false
		result, err := runLoad(t.Context(), addr, w, 3, 7, 100*time.Millisecond, func() { began = true }, func() { ended = true })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if result.completed == 0 || result.completed%7 != 0 || result.completed != result.latencies.count || result.all <= result.completed {
			t.Errorf("%s: %d completed, %d latencies, %d in all", name, result.completed, result.latencies.count, result.all)
		}
		if !began || !ended {
			t.Errorf("%s: the measured time was not bracketed", name)
		}
	}
}

func TestAnErrorReplyEndsTheRun(t *testing.T) {
	refused := workload{name: "refused", templates: []template{newTemplate(fixed("NOSUCH"), numbered("key:", 10))}}
	_, err := runLoad(t.Context(), startRedis(t), refused, 2, 3, time.Second, func() {}, func() {})
	if err == nil || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("got %v", err)
	}
}
