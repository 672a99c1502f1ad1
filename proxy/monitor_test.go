package proxy

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// monitorTime is what differs between two servers: when, and which port.
var monitorTime = regexp.MustCompile(`\+\d{10}\.\d{6} \[(\d+) 127\.0\.0\.1:\d+\]`)

func TestMonitorShowsWhatRedisShows(t *testing.T) {
	r := start(t, nil)
	lines := []string{
		"AUTH default secret", "SET k v", `SET bin "\x00\x01\xff\\\"\n\r\t\a\b"`, "GET k", "SELECT 3", "INCR n", "LRANGE k", "NOSUCH", "HGET n f",
		"CLIENT SETNAME me", "CLIENT LIST", "CONFIG GET port", "ECHO hi", "HELLO 3 AUTH default secret SETNAME me", "MULTIPLE", "PING", "PUBLISH c m",
		"SUBSCRIBE c", "RESET",
	}
	var shown [2]string
	for side, addr := range []string{r.redis.Addr, r.addr} {
		monitor, w := dial(t, addr), dial(t, addr)
		monitor.want("MONITOR", "+OK\r\n")
		for _, line := range lines {
			w.do(line)
		}
		w.do("ECHO end")
		for !strings.HasSuffix(shown[side], "\"end\"\r\n") {
			line := monitor.reply()
			if !monitorTime.MatchString(line) {
				t.Fatalf("got %q", line)
			}
			shown[side] += monitorTime.ReplaceAllString(line, "[$1]")
		}
		monitor.want("RESET", "+RESET\r\n")
	}
	if shown[0] != shown[1] {
		t.Errorf("redis:\n%s\nproxy:\n%s", shown[0], shown[1])
	}
	if !strings.Contains(shown[1], `"AUTH" "(redacted)" "(redacted)"`) {
		t.Error("a password shows")
	}
}

func TestMonitorEndsWithItsConnection(t *testing.T) {
	r := start(t, nil)
	monitor, w := r.dial(), r.dial()
	monitor.want("MONITOR", "+OK\r\n")
	monitor.want("GET a", "-"+errMonitorKeys+"\r\n")
	if got := w.do("CLIENT LIST"); !strings.Contains(got, " flags=O ") {
		t.Errorf("got %q", got)
	}
	if !r.server.alert.Load() {
		t.Error("sessions do not look for monitors")
	}
	monitor.conn.Close()
	eventually(t, "nobody looks any more", func() bool { return !r.server.alert.Load() })
	monitor = r.dial()
	monitor.want("MONITOR", "+OK\r\n")
	monitor.want("RESET", "+RESET\r\n")
	w.want("SET k v", "+OK\r\n")
	monitor.want("GET k", "$1\r\nv\r\n")
	if r.server.alert.Load() {
		t.Error("after RESET sessions still look for monitors")
	}
}

// A monitor that takes nothing is closed like any slow client, and nobody waits for it.
func TestSlowMonitorIsClosed(t *testing.T) {
	r := start(t, func(c *Config) { c.OutputBytes = 1 << 20 })
	monitor, w := r.dial(), r.dial()
	monitor.want("MONITOR", "+OK\r\n")
	long := "ECHO " + strings.Repeat("x", 60_000)
	for deadline := time.Now().Add(20 * time.Second); r.server.alert.Load(); {
		if time.Now().After(deadline) {
			t.Fatal("the monitor is still there")
		}
		w.do(long)
	}
}
