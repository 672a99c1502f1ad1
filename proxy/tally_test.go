package proxy

import (
	"fmt"
	"strings"
	"testing"

	"anabranch/internal/backend"
	"anabranch/translate"
)

// counts is what the proxy has counted since before, as "read ok" → number.
func (r *rig) counts(before map[string]int64) map[string]int64 {
	found := map[string]int64{}
	for class := range translate.Class(translate.Classes) {
		for _, result := range []backend.Result{backend.Done, backend.Failed, backend.Refused} {
			name := fmt.Sprintf("%v %v", class, result)
			if n := r.backend.Traffic().Commands(class, result) - before[name]; n != 0 {
				found[name] = n
			}
		}
	}
	return found
}

func TestEveryCommandCountsOnceByClassAndResult(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, c := range []struct {
		commands string
		want     map[string]int64
	}{
		{"SET k 1; GET k; GET k; INCR k", map[string]int64{"write ok": 2, "read ok": 2}},
		{"SET l x; INCR l; LPUSH l 1; GET l; LLEN l", map[string]int64{"write ok": 1, "write error": 2, "read ok": 1, "read error": 1}},
		{"PING; ECHO a; PING a b c", map[string]int64{"local ok": 2, "local error": 1}},
		{"GET; NOSUCH", map[string]int64{"read error": 1, "unclassified error": 1}},
		{"SWAPDB 0 1; GET crdt:log; SHUTDOWN", map[string]int64{"refused refused": 2, "read refused": 1}},
		{"MULTI; SET m 1; GET m; EXEC", map[string]int64{"transaction ok": 2, "write ok": 1, "read ok": 1}},
		{"MULTI; GET; EXEC; EXEC", map[string]int64{"transaction ok": 1, "read error": 1, "transaction error": 2}},
		{"EVAL return(1) 0; EVAL return(nil..1) 0", map[string]int64{"script ok": 1, "script error": 1}},
		{"RPUSH q a; SET s x; BLPOP q 1; BLPOP s 1", map[string]int64{"write ok": 2, "blocking ok": 1, "blocking error": 1}},
		{"CONFIG GET maxmemory; DBSIZE; SELECT 1; SELECT x; SELECT 0", map[string]int64{"admin ok": 1, "write ok": 1, "connection ok": 2, "connection error": 1}},
		{"PUBLISH c m; WATCH k; UNWATCH", map[string]int64{"pubsub ok": 1, "transaction ok": 2}},
	} {
		t.Run(c.commands, func(t *testing.T) {
			before := r.counts(nil)
			w.do(strings.Split(c.commands, "; ")...)
			if got := r.counts(before); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCommandsWhoseRepliesNobodyWantsCount(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send("CLIENT REPLY OFF\r\nSET k 1\r\nGET k\r\nCLIENT REPLY ON\r\n")
	w.reply()
	if got, want := r.counts(nil), map[string]int64{"connection ok": 2, "write ok": 1, "read ok": 1}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCommandsWithoutRedisCountAsErrors(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET k 1")
	r.redis.Kill()
	eventually(t, "reads and writes are refused", func() bool { return strings.Count(w.do("GET k", "SET k 1"), "-LOADING") == 2 })
	got := r.counts(nil)
	if got["write ok"] != 1 || got["read ok"] != 0 || got["read error"] == 0 || got["read error"] != got["write error"] {
		t.Errorf("got %v", got)
	}
}

func TestClientsThatAreCutOffCount(t *testing.T) {
	r := start(t, func(c *Config) { c.QueryBytes = 1 << 20 })
	w := r.dial()
	w.send("*2\r\n$3\r\nGET\r\n$3000000\r\n" + strings.Repeat("x", 2<<20))
	w.rest()
	if got := r.server.Stats(); got.CutOff != 1 || got.Accepted != 1 {
		t.Errorf("got %+v", got)
	}
}
