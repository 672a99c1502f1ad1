package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// TestScriptsCannotReachTheServer: what a script writes goes through the engine, whatever it tries.
func TestScriptsCannotReachTheServer(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, script := range []string{
		"return redis.call('set','k','v')",
		"return _G.redis.call('set','k','v')",
		"return _G['redis'].pcall('set','k','v')",
		"return loadstring('return redis.call([[set]],[[k]],[[v]])')()",
		"return loadstring('return loadstring([=[return _G.redis.call([[set]],[[k]],[[v]])]=])()')()",
		"return load(coroutine.wrap(function() coroutine.yield('return redis.call([[set]],[[k]],[[v]])') end))()",
		"return coroutine.wrap(function() return redis.call('set','k','v') end)()",
		"return select(2, pcall(redis.call, 'set','k','v'))",
		"local f = loadstring('return redis') return f().call('set','k','v')",
	} {
		w.do("DEL k")
		before := logLength(r)
		if got := w.do(fmt.Sprintf("EVAL %q 0", script)); got != "+OK\r\n" {
			t.Errorf("%s: %q", script, got)
		}
		if after := logLength(r); after != before+1 {
			t.Errorf("%s: %d log entries", script, after-before)
		}
	}
	for _, script := range []string{
		"return loadstring(string.dump(function() return 1 end))()",
		"return getmetatable(redis).__index",
		"setmetatable(redis, {})",
		"rawset(redis, 'call', print)",
		"rawset(_G, 'redis', {})",
		"return redis.call('set', 'crdt:log', 'x')",
		"return redis.call('get', 'crdt:self')",
		"return redis.call('sort', 'k', 'by', 'crdt:*')",
		"return redis.call('fcall', 'anabranch_write_1', 0, '0', '2', 'DEL', 'k')",
		"return redis.call('swapdb', 0, 1)",
		"return redis.register_function('x', print)",
	} {
		if got := w.do(fmt.Sprintf("EVAL %q 0", script)); !strings.HasPrefix(got, "-") {
			t.Errorf("%s: %q", script, got)
		}
	}
	w.want("FCALL anabranch_write_1 0 0 2 DEL k", "-ERR Function not found\r\n")
	w.want("FUNCTION DELETE anabranch_1", "-"+errNoLibrary+"\r\n")
	w.want(`FUNCTION LOAD REPLACE "#!lua name=anabranch_1\nredis.register_function('x', function() end)"`, "-"+errOwnLibrary+"\r\n")
	w.want("FUNCTION LIST", "*0\r\n")
	w.want("KEYS crdt:*", "*0\r\n")
}

// TestScriptIsOneEntry: all that a script writes is one entry of the log, also when it fails in the middle.
func TestScriptIsOneEntry(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, script := range []string{
		"for i = 1, 500 do redis.call('set', 'k' .. i, i) end",
		"redis.call('incr', 'a') redis.call('select', 4) redis.call('sadd', 's', 1) error('stop')",
	} {
		before := logLength(r)
		w.do(fmt.Sprintf("EVAL %q 0", script))
		if after := logLength(r); after != before+1 {
			t.Errorf("%s: %d log entries", script, after-before)
		}
	}
	w.want("GET a", "$1\r\n1\r\n")
	w.want("EXISTS s", ":0\r\n")
}

// TestEndlessScript: while a script runs too long, others are told so, and can stop it if it has not written.
func TestEndlessScript(t *testing.T) {
	r := start(t, nil)
	r.direct("CONFIG SET lua-time-limit 100")
	for _, c := range []struct{ start, kill string }{
		{`EVAL "while true do end" 0`, "SCRIPT KILL"},
		{`EVAL "while true do pcall(function() while true do redis.call('get','k') end end) end" 0`, "SCRIPT KILL"},
		{"FCALL loop 0", "FUNCTION KILL"},
	} {
		stuck, other := r.dial(), r.dial()
		stuck.do(`FUNCTION LOAD REPLACE "#!lua name=l\nredis.register_function('loop', function() while true do end end)"`)
		other.do("GET k")
		stuck.send(c.start + "\r\n")
		eventually(t, "BUSY", func() bool { return strings.HasPrefix(other.do("GET k"), "-BUSY") })
		if c.kill == "FUNCTION KILL" {
			if got := other.do("FUNCTION STATS"); !strings.Contains(got, "$4\r\nloop\r\n") || !strings.Contains(got, "*3\r\n$5\r\nFCALL\r\n") {
				t.Errorf("FUNCTION STATS: %q", got)
			}
		}
		if got := other.do(c.kill); got != "+OK\r\n" {
			t.Errorf("%s: %q", c.kill, got)
		}
		if got := stuck.reply(); !strings.Contains(got, "killed by user") {
			t.Errorf("%s: %q", c.start, got)
		}
		other.want("SET k v", "+OK\r\n")
		other.want(c.kill, "-NOTBUSY No scripts in execution right now.\r\n")
	}
}

// TestScriptsOnAFullServer: a script that only removes runs; one that needs memory gets the error that Redis gives.
func TestScriptsOnAFullServer(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET k v", "SET l v")
	r.direct("CONFIG SET maxmemory 1")
	w.want(`EVAL "return redis.call('del','k')" 0`, ":1\r\n")
	w.want(`EVAL "return redis.call('get','l')" 0`, "$1\r\nv\r\n")
	if got := w.do(`EVAL "return redis.call('set','k','v')" 0`); !strings.HasPrefix(got, "-OOM ") {
		t.Errorf("got %q", got)
	}
	if got := w.do(`EVAL "#!lua\nreturn redis.call('del','l')" 0`); !strings.HasPrefix(got, "-OOM allow-oom flag is not set") {
		t.Errorf("got %q", got)
	}
	w.want(`EVAL "#!lua flags=allow-oom\nreturn redis.call('set','k','w')" 0`, "+OK\r\n")
	r.direct("CONFIG SET maxmemory 0")
	w.want("MGET k l", "*2\r\n$1\r\nw\r\n$1\r\nv\r\n")
}

// TestFunctionsSurviveALostEngine: libraries of clients are Redis's to keep, and the engine gets them again.
func TestFunctionsSurviveALostEngine(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do(`FUNCTION LOAD "#!lua name=l\nredis.register_function('f', function(k,a) return redis.call('set',k[1],a[1]) end)"`)
	payload := w.do("FUNCTION DUMP")
	if strings.Contains(payload, "anabranch") || !strings.Contains(payload, "name=l") {
		t.Errorf("dump: %q", payload)
	}
	w.want("FCALL f 1 k v", "+OK\r\n")
	r.direct("FUNCTION DELETE anabranch_1")
	w.want("FCALL f 1 k w", "+OK\r\n")
	before := logLength(r)
	w.want("FCALL f 1 k x", "+OK\r\n")
	if after := logLength(r); after != before+1 {
		t.Errorf("%d log entries", after-before)
	}
	w.want("FUNCTION FLUSH", "+OK\r\n")
	w.want("FCALL f 1 k y", "-ERR Function not found\r\n")
	header, body, _ := strings.Cut(payload, "\r\n")
	w.send(fmt.Sprintf("*4\r\n$8\r\nFUNCTION\r\n$7\r\nRESTORE\r\n%s\r\n%s$5\r\nFLUSH\r\n", header, body))
	if got := w.reply(); got != "+OK\r\n" {
		t.Errorf("restore: %q", got)
	}
	w.want("FCALL f 1 k z", "+OK\r\n")
	w.want("GET k", "$1\r\nz\r\n")
}

// TestScriptsKeepTheOrderOfASession: scripts travel on a lane of their own, and still come in order.
func TestScriptsKeepTheOrderOfASession(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	var lines []string
	want := ""
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("SET k %d", i), `EVAL "return redis.call('get','k')" 0`, `EVAL "return redis.call('incr','k')" 0`, "GET k", "PING")
		want += fmt.Sprintf("+OK\r\n$%d\r\n%d\r\n:%d\r\n$%d\r\n%d\r\n+PONG\r\n", len(fmt.Sprint(i)), i, i+1, len(fmt.Sprint(i+1)), i+1)
	}
	if got := w.do(lines...); got != want {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

// TestKilledScriptInATransaction: what the transaction wrote before and behind a script that was killed is in the log.
func TestKilledScriptInATransaction(t *testing.T) {
	r := start(t, nil)
	r.direct("CONFIG SET lua-time-limit 100")
	stuck, other := r.dial(), r.dial()
	stuck.do("MULTI", "SET a 1", `EVAL "while true do end" 0`, "SET b 1")
	before := logLength(r)
	stuck.send("EXEC\r\n")
	eventually(t, "BUSY", func() bool { return strings.HasPrefix(other.do("GET k"), "-BUSY") })
	other.want("SCRIPT KILL", "+OK\r\n")
	if got := stuck.reply(); !strings.HasPrefix(got, "*3\r\n+OK\r\n-") || !strings.HasSuffix(got, "+OK\r\n") {
		t.Errorf("EXEC: %q", got)
	}
	if after := logLength(r); after != before+1 {
		t.Errorf("%d log entries", after-before)
	}
	entry := r.direct("XREVRANGE crdt:log + - COUNT 1")
	for _, key := range []string{"a", "b"} {
		if !strings.Contains(entry, "\xa1S\xa1"+key+"\xa11") {
			t.Errorf("the log entry has nothing of %s: %q", key, entry)
		}
	}
}
