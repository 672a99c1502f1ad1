package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// talk is what a client says that uses everything which a connection can be used for. What has > in front has no reply; < is what comes
// unasked.
var talk = []string{
	"PING", "SET k v", "GET k", "GET none", "INCR n", "INCR k", "NOSUCH x y", "GET", "LRANGE none 0 -1", "HSET h f v g w", "HGETALL h",
	"HELLO 3", "HGETALL h", "GET none", "ZADD z 1.5 a", "ZSCORE z a", "ZRANGE z 0 -1 WITHSCORES", "CLIENT TRACKING ON", "GET k", "SET k w", "<", "CLIENT TRACKING OFF", "HELLO 2",
	"MULTI", "SET k 1", "INCR k", "NOSUCH", "EXEC", "MULTI", "INCR k", "GET k", "EXEC", "WATCH k", "SET k 9", "MULTI", "GET k", "EXEC", "DISCARD",
	"SELECT 3", "SET only here", "DBSIZE", "SELECT 0", "DBSIZE", "SWAPDB 0 3", "GET only", "SWAPDB 0 3", "SELECT 99",
	"SUBSCRIBE c", "PUBLISH c m", "UNSUBSCRIBE c", "RPUSH l a b", "BLPOP l 0", "BLPOP empty 0.05", "EVAL return{1,KEYS[1]} 1 k", "SCRIPT EXISTS x", "XADD s 1-1 f v", "XREAD BLOCK 10 STREAMS s 1-1",
	"CLIENT SETNAME me", "CLIENT GETNAME", "AUTH wrong", "AUTH app secret", "ACL WHOAMI", "GET k", "SET denied x", ">CLIENT REPLY SKIP", ">PING",
	"OBJECT ENCODING n", "DEBUG SLEEP 0", "GETRANGE big 0 10", "STRLEN big", "ECHO crdt:", "CONFIG SET timeout 0", "SET crdt:x 1", "GET crdt:x",
}

// What a client says over a passive proxy is answered byte for byte as by Redis, whatever state its connection is in.
func TestAPassiveProxyAddsNothing(t *testing.T) {
	start := func() *redistest.Server {
		s := redistest.Start(t, redistest.WithConfig("user app on >secret ~* &* +@all -set", "enable-debug-command yes"))
		redistest.Dial(t, s.Addr).Must("SET", "big", strings.Repeat("0123456789", 500_000))
		return s
	}
	behind, direct := start(), start()
	p := redistest.NewProxy(t, "A1", flags(behind, "passive")...)
	p.Launch()
	p.AwaitReady()
	over, at := p.Dial(), redistest.Dial(t, direct.Addr)
	for i, line := range talk {
		var got, want redistest.Reply
		var errs [2]error
		if line == "<" {
			got, errs[0] = over.Receive()
			want, errs[1] = at.Receive()
		} else if sent, only := strings.CutPrefix(line, ">"); only {
			if over.Send(strings.Fields(sent)...) != nil || at.Send(strings.Fields(sent)...) != nil {
				t.Fatal(line)
			}
			continue
		} else {
			got, errs[0] = over.Try(strings.Fields(line)...)
			want, errs[1] = at.Try(strings.Fields(line)...)
		}
		if errs[0] != nil || errs[1] != nil || fmt.Sprint(got) != fmt.Sprint(want) && !strings.HasPrefix(line, "HELLO") { // that one tells the connection's id
			t.Fatalf("%d: %s: over the proxy %v %v, of Redis %v %v", i, line, got, errs[0], want, errs[1])
		}
	}
	over.Must("AUTH", "default", "")
	large := strings.Repeat("z", 20<<20)
	if n := over.Must("APPEND", "large", large).Text; n != "20971520" {
		t.Errorf("a large value: %s", n)
	}
	if got := over.Must("GET", "large").Text; got != large {
		t.Errorf("it comes back with %d bytes", len(got))
	}
	out := expect(t, 1, []string{"migrate", "report", "--min-time", "1ms", "--admin", p.AdminAddr}, "SWAPDB, 2 times", "key names starting with 'crdt:' are reserved", "NOSUCH, 2 times: unknown command", "CONFIG SET, 1 times: ")
	if strings.Contains(out, "here") {
		t.Errorf("a value of a client: %s", out)
	}
}

// Where other regions have something of the record, neither passive nor shadow mode starts, and nothing of the record is lost by trying.
func TestOtherRegionsAreNotForgotten(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Regions[0], cluster.Regions[1]
	a.Dial().Must("SET", "k", "1")
	cluster.Converge()
	for _, mode := range []string{"passive", "shadow"} {
		p := redistest.NewProxy(t, "A9", flags(a.Redis, mode)...)
		p.Launch()
		for deadline := time.Now().Add(20 * time.Second); p.Running(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("a %s proxy runs in front of an active region: %s", mode, p.Log())
			}
		}
		if !strings.Contains(p.Log(), "region B") && !strings.Contains(p.Log(), "Region B") {
			t.Errorf("%s: it does not say why: %s", mode, p.Log())
		}
	}
	a.Dial().Must("SET", "k", "2")
	b.Dial().Must("SET", "l", "3")
	cluster.Converge()
	cluster.RequireEqual(t)
}

// When Sentinels make another server the primary, clients of a passive proxy find it as they would without, and the engine of the new one
// records nothing either.
func TestAPassiveProxyFollowsThePrimary(t *testing.T) {
	guarded := redistest.StartGuarded(t, redistest.Guard{Replicas: 1, Sentinels: 3})
	p := redistest.NewProxy(t, "A1", "--region", "A", "--region-id", "1", "--redis", guarded.URL(), "--mode", "passive")
	p.Launch()
	p.AwaitReady()
	p.Dial().Must("SET", "before", "1")
	p.Dial().Must("WAIT", "1", "5000")
	guarded.Servers[0].Kill()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		conn, err := redistest.TryDial(t, p.Addr)
		if err == nil {
			reply, err := conn.Try("SET", "after", "1")
			conn.Close()
			if err == nil && reply.Text == "OK" {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no new primary: %v\n%s", err, p.Log())
		}
	}
	if got := p.Dial().Must("GET", "before").Text; got != "1" {
		t.Errorf("what was there before is %q", got)
	}
}
