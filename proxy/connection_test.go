package proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// compare sends the same lines to Redis and to the proxy, each on a connection of its own, and wants the same bytes.
func (r *rig) compare(lines ...string) {
	r.t.Helper()
	direct, through := dial(r.t, r.redis.Addr), r.dial()
	for _, line := range lines {
		want, got := direct.do(line), through.do(line)
		if hideIDs(want) != hideIDs(got) {
			r.t.Errorf("%s: got\n%q, redis\n%q", line, got, want)
		}
	}
}

var ids = regexp.MustCompile(`\r\nid\r\n:\d+`)

func hideIDs(reply string) string { return ids.ReplaceAllString(reply, "\r\nid\r\n:0") }

func TestConnectionCommandsAnswerAsRedisDoes(t *testing.T) {
	r := start(t, nil)
	r.compare("PING", "PING a", "PING a b", "ECHO", "ECHO x", "SELECT 3", "SELECT 16", "SELECT -1", "SELECT x", "SELECT 01",
		"SELECT 9999999999", "SELECT 99999999999999999999", "SELECT 0")
	r.compare("HELLO", "HELLO 2", "HELLO 3", "HELLO", "GET none", "PING", "HELLO 2", "GET none", "HELLO 4", "HELLO x", "HELLO 02",
		"HELLO 3 FOO", "HELLO 3 AUTH a", "HELLO 3 AUTH default x", "HELLO 2 AUTH nobody x", "HELLO 3 SETNAME a", "CLIENT GETNAME",
		`HELLO 3 SETNAME "a b"`, "HELLO 2 AUTH default x SETNAME b", "CLIENT GETNAME")
	r.compare("AUTH x", "AUTH default x", "AUTH nobody x", "AUTH a b c", "AUTH")
	r.compare("CLIENT SETNAME me", "CLIENT GETNAME", `CLIENT SETNAME "a b"`, `CLIENT SETNAME ""`, "CLIENT GETNAME", "CLIENT GETREDIR",
		"CLIENT TRACKINGINFO", "CLIENT NO-EVICT on", "CLIENT NO-EVICT x", "CLIENT UNBLOCK 999", "CLIENT UNBLOCK x", "CLIENT UNBLOCK 999 foo",
		"CLIENT KILL ID 0", "CLIENT KILL ID 999", "CLIENT KILL 1.2.3.4:5", "CLIENT KILL ID 1 TYPE", "CLIENT KILL FOO BAR",
		"CLIENT KILL USER nobody", "CLIENT KILL TYPE foo", "CLIENT LIST TYPE foo", "CLIENT LIST ID x", "CLIENT LIST FOO", "CLIENT LIST ID",
		"CLIENT LIST TYPE master", "CLIENT REPLY x", "CLIENT FOO", "CLIENT")
	r.compare("HELLO 3", "CLIENT TRACKINGINFO", "CLIENT LIST TYPE replica", "RESET", "GET none", "RESET x")
	r.compare("COMMAND COUNT", "COMMAND GETKEYS SET a b", "COMMAND FOO", "OBJECT ENCODING none", "OBJECT HELP", "CONFIG GET maxmemory-policy",
		"CONFIG GET", "CONFIG SET maxmemory-samples 6", "CONFIG GET maxmemory-samples", "CONFIG SET maxmemory-policy nonsense",
		"SLOWLOG RESET", "SLOWLOG LEN", "SLOWLOG FOO", "LATENCY LATEST", "ACL WHOAMI", "MEMORY USAGE none", "LASTSAVE x", "PUBSUB CHANNELS", "PUBLISH c m")
}

func TestPassword(t *testing.T) {
	r := start(t, func(c *Config) { c.Password = "secret" })
	protected := redistest.Start(t)
	dial(t, protected.Addr).do("CONFIG SET requirepass secret")
	direct := dial(t, protected.Addr)
	through := r.dial()
	for _, line := range []string{"PING", "GET k", "HELLO", "HELLO 3", "NOSUCH", "GET", "AUTH wrong", "AUTH nobody secret", "HELLO 3 AUTH default wrong",
		"AUTH secret", "GET k", "PING", "AUTH default secret", "RESET", "GET k", "HELLO 3 AUTH default secret", "GET k"} {
		want, got := direct.do(line), through.do(line)
		if hideIDs(got) != hideIDs(want) {
			t.Errorf("%s: got %q, redis %q", line, got, want)
		}
	}
}

func TestSelectKeepsOrder(t *testing.T) {
	r := start(t, nil)
	got := r.dial().do("SET k 0", "SELECT 1", "SET k 1", "GET k", "SELECT 0", "GET k", "HELLO 3", "GET none", "SELECT 1", "GET k")
	want := "+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n0\r\n"
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "_\r\n+OK\r\n$1\r\n1\r\n") {
		t.Errorf("got %q", got)
	}
}

func TestResetForgetsEverything(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET k 0", "SELECT 1", "HELLO 3", "CLIENT SETNAME me")
	w.want("RESET", "+RESET\r\n")
	w.want("GET none", "$-1\r\n")
	w.want("GET k", "$1\r\n0\r\n")
	w.want("CLIENT GETNAME", "$-1\r\n")
}

func TestClientReply(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send("CLIENT REPLY OFF\r\nSET k 1\r\nGET k\r\nPING\r\nNOSUCH\r\nCLIENT REPLY ON\r\nGET k\r\n")
	if got := w.reply() + w.reply(); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("OFF: got %q", got)
	}
	w.send("CLIENT REPLY SKIP\r\nSET k 2\r\nGET k\r\nCLIENT REPLY SKIP\r\nPING\r\nPING\r\n")
	if got := w.reply() + w.reply(); got != "$1\r\n2\r\n+PONG\r\n" {
		t.Errorf("SKIP: got %q", got)
	}
}

func TestClientListAndKill(t *testing.T) {
	r := start(t, nil)
	a, b := r.dial(), r.dial()
	a.do("CLIENT SETNAME first")
	b.do("SELECT 2", "CLIENT SETNAME second", "GET k")
	list := a.do("CLIENT LIST")
	for _, want := range []string{"name=first", "name=second", " db=2 ", "cmd=get", "cmd=client|list", "resp=2", "addr=" + a.conn.LocalAddr().String()} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in %s", want, list)
		}
	}
	if strings.Count(list, "\n") != 4 {
		t.Errorf("lines: %q", list)
	}
	a.want("CLIENT KILL ADDR "+b.conn.LocalAddr().String(), ":1\r\n")
	b.rest()
	eventually(t, "one client is left", func() bool { return r.server.Clients() == 1 })
	if got := a.do("CLIENT ID"); !strings.Contains(a.do("CLIENT INFO"), fmt.Sprintf("id=%s ", strings.Trim(got, ":\r\n"))) {
		t.Errorf("id %q", got)
	}
	a.send("CLIENT KILL TYPE normal SKIPME no\r\n")
	if got := a.rest(); got != ":1\r\n" {
		t.Errorf("killing itself: got %q", got)
	}
}
