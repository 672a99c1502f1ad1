package proxy

import (
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// INFO counts what a client can see, in each database.
func TestInfoKeyspaceLeavesOutCompanions(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	redistest.Dial(t, r.redis.Addr).Must("SET", "crdt:lease", "me 0 3000")
	keyspace := func() string {
		reply := w.do("INFO keyspace")
		_, lines, _ := strings.Cut(reply, "# Keyspace\r\n")
		return strings.TrimSpace(lines)
	}
	if got := keyspace(); got != "" {
		t.Errorf("without keys: %q", got)
	}
	w.do("SET a 1", "SADD b m", "SET c 1 EX 100", "SELECT 3", "HSET h f v")
	got := keyspace()
	if !strings.HasPrefix(got, "db0:keys=3,expires=1,avg_ttl=") || !strings.Contains(got, "\r\ndb3:keys=1,expires=0,avg_ttl=0") {
		t.Errorf("with keys: %q", got)
	}
	w.do("DEL h")
	if got := keyspace(); strings.Contains(got, "db3") {
		t.Errorf("an empty database: %q", got)
	}
	if all := w.do("INFO everything"); !strings.Contains(all, "db0:keys=3,expires=1,") || !strings.Contains(all, "# CRDT") {
		t.Errorf("INFO everything: %.3000q", all)
	}
}
