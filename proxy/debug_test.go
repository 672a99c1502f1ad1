package proxy

import (
	"net"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// WAIT counts the replicas that have what this session wrote, although that went over a connection of others.
func TestWaitCountsReplicas(t *testing.T) {
	r := start(t, nil, redistest.WithConfig("repl-diskless-sync-delay 0"))
	w := r.dial()
	w.want("WAIT 0 0", ":0\r\n")
	w.want("WAIT 1 50", ":0\r\n")
	w.want("WAIT x 0", "-ERR value is not an integer or out of range\r\n")
	w.want("WAIT 1 -1", "-ERR timeout is negative\r\n")

	replica := redistest.Start(t)
	host, port, _ := net.SplitHostPort(r.redis.Addr)
	redistest.Dial(t, replica.Addr).Must("REPLICAOF", host, port)
	eventually(t, "the replica is in step", func() bool { return w.do("WAIT 1 500") == ":1\r\n" })
	w.want("SET k v", "+OK\r\n")
	w.want("WAIT 1 5000", ":1\r\n")
	if got := redistest.Dial(t, replica.Addr).Must("GET", "k").Text; got != "v" {
		t.Errorf("the replica has %q", got)
	}

	// A replica that does not answer: the others need not wait with whoever waits for it.
	replica.Pause()
	defer replica.Continue()
	w.want("SET k w", "+OK\r\n")
	w.send("WAIT 1 0\r\n")
	other := r.dial()
	before := time.Now()
	other.want("SET l v", "+OK\r\n")
	other.want("GET l", "$1\r\nv\r\n")
	if took := time.Since(before); took > 2*time.Second {
		t.Errorf("another client waited for %v", took)
	}
	other.want("WAIT 1 20", ":0\r\n")
	replica.Continue()
	if got := w.reply(); got != ":1\r\n" {
		t.Errorf("after the replica came back: %s", got)
	}
}

// DEBUG DIGEST tells equal data from other data, whatever Anabranch keeps beside it.
func TestDebugDigestLeavesOutCompanions(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	digest := func() string { return w.do("DEBUG DIGEST") }
	if got := digest(); got != "+"+strings.Repeat("0", 40)+"\r\n" {
		t.Errorf("no data: %s", got)
	}
	w.want("SET k v", "+OK\r\n")
	w.want("SADD s a b", ":2\r\n")
	one := digest()
	w.want("SREM s b", ":1\r\n")
	if digest() == one {
		t.Errorf("the digest is the same for other data")
	}
	w.want("SADD s b", ":1\r\n")
	if again := digest(); again != one {
		t.Errorf("%s and %s for the same data", one, again)
	}
	w.want("MOVE s 1", ":1\r\n")
	if digest() == one {
		t.Errorf("the digest is the same in another database")
	}
	w.want("DEBUG DIGEST-VALUE crdt:log", "-ERR key names starting with 'crdt:' are reserved\r\n")
	w.want("DEBUG OBJECT crdt:log", "-ERR key names starting with 'crdt:' are reserved\r\n")
}

// A reload takes the engine's memory along. The next write arms it again, in the same epoch.
func TestDebugReload(t *testing.T) {
	r := start(t, nil, redistest.WithAOF())
	w := r.dial()
	w.want("SET k v", "+OK\r\n")
	w.want("INCRBY n 5", ":5\r\n")
	before := w.do("DEBUG DIGEST")
	for _, reload := range []string{"DEBUG RELOAD", "DEBUG LOADAOF"} {
		w.want(reload, "+OK\r\n")
		if after := w.do("DEBUG DIGEST"); after != before {
			t.Errorf("%s changed the digest", reload)
		}
		w.want("INCR n", ":6\r\n")
		w.want("DECR n", ":5\r\n")
	}
	if epochs := redistest.Dial(t, r.redis.Addr).Must("HLEN", "crdt:epochs").Int(); epochs != 1 {
		t.Errorf("the reloads began %d epochs", epochs-1)
	}
}

func TestDebugRefusesWhatChangesData(t *testing.T) {
	w := start(t, nil).dial()
	for line, reason := range map[string]string{
		"DEBUG POPULATE 10":    "it changes data and state behind the engine's back",
		"DEBUG RELOAD NOSAVE":  "data from an older file would come back with stamps that are in use by now",
		"DEBUG SEGFAULT":       "the server is stopped by its operator, not by a client",
		"DEBUG CHANGE-REPL-ID": "the server's role is decided by its operator or by Sentinel",
		"DEBUG NOSUCH":         "it changes data and state behind the engine's back",
	} {
		name := strings.ToLower(strings.Fields(line)[1])
		w.want(line, "-ERR 'debug "+name+"' is not available through Anabranch: "+reason+"\r\n")
	}
	w.want("DEBUG LOADAOF", "-"+errNoAOF+"\r\n")
	w.want("DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n")
	w.want("DEBUG PROTOCOL integer", ":12345\r\n")
	w.want("DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command\r\n")
	w.do("HELLO 3")
	w.want("DEBUG PROTOCOL attrib", "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n")
	w.send("DEBUG PROTOCOL push\r\nPING\r\n")
	if got := w.reply(); got != ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n" {
		t.Errorf("the push message: %q", got)
	}
	if got := w.reply(); got != "+PONG\r\n" {
		t.Errorf("behind it: %q", got)
	}
}
