package migration

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// anabranch runs a subcommand, and returns what it prints with its exit status.
func anabranch(t *testing.T, args ...string) (string, int) {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), redistest.Binary(t, false), args...).CombinedOutput()
	status := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			t.Fatal(err)
		}
		status = exit.ExitCode()
	}
	return string(out), status
}

// expect runs one whose exit status is known, and that must say some words.
func expect(t *testing.T, status int, args []string, words ...string) string {
	t.Helper()
	out, got := anabranch(t, args...)
	if got != status {
		t.Fatalf("%v ends with %d, want %d:\n%s", args, got, status, out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("%v does not say %q:\n%s", args, word, out)
		}
	}
	t.Logf("%v:\n%s", args, out)
	return out
}

// pair is a primary with a proxy in region A, and its replica with a proxy in region B.
type pair struct {
	primary, replica *redistest.Server
	a, b             *redistest.Proxy
}

func (p *pair) flagsB(mode string) []string {
	return []string{"--region", "B", "--region-id", "2", "--shadow-of", "A=1", "--redis", p.primary.URL(), "--mode", mode, "--lease-time", "500ms",
		"--dashboard-conflicts", "keys", "--peer", "A=" + p.a.PeerAddr}
}

func (p *pair) flagsA(mode string) []string {
	return append(flags(p.primary, mode, "--dashboard-conflicts", "keys"), "--peer", "B="+p.b.PeerAddr)
}

func startPair(t *testing.T) *pair {
	p := &pair{primary: redistest.Start(t)}
	p.replica = redistest.StartReplica(t, p.primary)
	p.a, p.b = redistest.NewProxy(t, "A1"), redistest.NewProxy(t, "B1")
	p.a.SetFlags(p.flagsA("passive")...)
	p.b.SetFlags(strings.Fields(strings.Replace(strings.Join(p.flagsB("passive"), " "), "--shadow-of A=1", "", 1))...)
	return p
}

// The whole way of docs/migration.md, forth and back, with clients of both regions that never stop.
func TestFromActivePassiveToActiveActiveAndBack(t *testing.T) {
	p := startPair(t)
	old := p.primary.Client()
	old.RPush(t.Context(), "list", "before")
	old.HSet(t.Context(), "old", "f", "v")
	expect(t, 0, []string{"migrate", "check", "--redis", p.primary.URL()}, "GO", "replica")

	// 1. Passive.
	for _, proxy := range []*redistest.Proxy{p.a, p.b} {
		proxy.Launch()
		proxy.AwaitReady()
	}
	inA, inB := startLoad(t, "a", 4, p.a), startLoad(t, "b", 4, p.b)
	p.a.Dial().Must("SETNX", "lock", "1")
	p.a.Dial().Must("SWAPDB", "7", "8")
	time.Sleep(step)
	admins := p.a.AdminAddr + "," + p.b.AdminAddr
	report := []string{"migrate", "report", "--min-time", "1s", "--admin", admins}
	expect(t, 1, report, "NO GO", "SWAPDB", "SETNX")
	if keys := redistest.Dial(t, p.primary.Addr).Must("KEYS", "crdt:*"); len(keys.Items) != 0 {
		t.Fatalf("a passive proxy has written %v", keys)
	}

	// 2. Shadow.
	change(p.a, p.flagsA("shadow")...)
	change(p.b, p.flagsB("shadow")...)
	recorded(t, p.primary)
	direct := p.primary.Client() // somebody who was forgotten
	direct.Set(t.Context(), "past", "1", 0)
	hot := func(proxy *redistest.Proxy, value string) { proxy.Dial().Must("SET", "hot", value) }
	for range 5 {
		hot(p.a, "a")
		hot(p.b, "b")
		p.a.Dial().Must("SET", "locked", "a", "NX")
		p.b.Dial().Must("SET", "locked", "b", "NX")
	}
	time.Sleep(2 * step)
	expect(t, 1, report, "NO GO", "past proxies", "last write wins", "lock taken twice", `"hot"`)
	out := expect(t, 1, append(report, "--json"))
	var parsed struct {
		Go      bool
		Proxies []struct {
			Conflicts struct {
				Outcomes map[string]int64
				Writes   int64
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &parsed); err != nil || parsed.Go || parsed.Proxies[0].Conflicts.Outcomes["merged"] == 0 {
		t.Errorf("%v: %+v", err, parsed)
	}
	direct.Close()
	old.Close()
	time.Sleep(100 * time.Millisecond)
	expect(t, 0, append(report, "--max-lossy", "60"), "GO", "A, B were compared", "bytes for each of these")

	// Back, and forth again.
	change(p.b, p.flagsB("passive")...)
	change(p.a, p.flagsA("passive")...)
	time.Sleep(step)
	change(p.a, p.flagsA("shadow")...)
	change(p.b, p.flagsB("shadow")...)
	recorded(t, p.primary)

	// 3. Active: first region A, then B on its promoted replica.
	promote := []string{"migrate", "promote", "--redis", p.replica.URL(), "--region", "B", "--admin", p.a.AdminAddr}
	expect(t, 1, promote, "NO GO")
	change(p.a, p.flagsA("active")...)
	time.Sleep(step)
	expect(t, 0, append(promote, "--dry-run"), "GO")
	expect(t, 0, promote, "promoted", "--copy-of A")
	active := []string{"--region", "B", "--region-id", "2", "--redis", p.replica.URL(), "--copy-of", "A", "--peer", "A=" + p.a.PeerAddr, "--lease-time", "500ms", "--gc-grace", "2s"}
	change(p.b, active...)
	time.Sleep(3 * step)
	inA.end()
	inB.end()
	equal(t, p.a, p.b)
	check(t, p.a.Dial(), inA, inB)
	if got := p.b.Dial().Must("HGET", "old", "f").Text; got != "v" {
		t.Errorf("what was there before is %q in B", got)
	}
	status, _ := anabranch(t, "status", "--admin", p.b.AdminAddr)
	if !strings.Contains(status, "stream") {
		t.Errorf("B: %s", status)
	}
	if merged := p.b.Log(); strings.Contains(merged, "merge of everything") {
		t.Errorf("B has copied data: %s", merged)
	}

	// Once more: clients of B go to A again, B is removed, and comes back as a copy after a passive time.
	p.b.Stop()
	expect(t, 0, []string{"members", "remove", "B", "--redis", p.a.Addr})
	redistest.Dial(t, p.replica.Addr).Must(append([]string{"REPLICAOF"}, strings.Split(p.primary.Addr, ":")...)...)
	p.a.Stop()
	p.a.SetFlags(p.flagsA("shadow")...)
	p.a.Launch()
	p.a.AwaitReady()
	change(p.a, p.flagsA("passive")...)
	change(p.a, p.flagsA("shadow")...)
	recorded(t, p.primary)
	change(p.a, p.flagsA("active")...)
	expect(t, 1, promote, "NO GO", "keeps its log for: \n")
	expect(t, 0, []string{"members", "add", "B=" + p.b.PeerAddr, "--redis", p.a.Addr})
	time.Sleep(2 * time.Second)
	expect(t, 0, promote, "promoted")
	p.b.Launch()
	p.b.AwaitReady()
	p.b.Dial().Must("SET", "once", "more")
	equal(t, p.a, p.b)

	// 4. All the way back: clients of B go to A again, B is removed, A steps down, and plain Redis is left.
	inA, inB = startLoad(t, "c", 4, p.a), startLoad(t, "d", 4, p.b)
	time.Sleep(step)
	inB.use(p.a)
	p.b.Stop()
	p.b.Addr = redistest.FreeAddr(t) // where no client comes
	p.b.AddFlags("--listen", p.b.Addr)
	p.b.Launch()
	p.b.AwaitReady()
	last := p.b.Dial()
	last.Must("SET", "migration:last", "1")
	if n := last.Must("CRDT", "WAIT", "1", "20000").Text; n != "1" {
		t.Fatal("A lacks what was written in B")
	}
	expect(t, 0, []string{"members", "remove", "B", "--redis", p.a.Addr})
	p.b.Stop()
	stepBack(t, p, inA, inB)
}

// stepBack goes from active to plain Redis with clients that write on.
func stepBack(t *testing.T, p *pair, loads ...*load) {
	change(p.a, flags(p.primary, "shadow")...)
	time.Sleep(step)
	change(p.a, flags(p.primary, "passive")...)
	time.Sleep(step)
	client := p.primary.Client()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && leased(client); {
		time.Sleep(50 * time.Millisecond)
	}
	expect(t, 0, []string{"uninstall", "--redis", p.primary.URL()}, "removed the library")
	for _, l := range loads {
		l.end()
	}
	conn := redistest.Dial(t, p.primary.Addr)
	if left := conn.Must("KEYS", "crdt:*"); len(left.Items) != 0 {
		t.Errorf("left: %v", left)
	}
	check2(t, conn, loads...)
}

func leased(client *redis.Client) bool {
	return client.Exists(context.Background(), "crdt:lease").Val() == 1
}
