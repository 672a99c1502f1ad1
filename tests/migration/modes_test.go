package migration

import (
	"context"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const step = 1500 * time.Millisecond // under load at each step

// flags are those of a proxy of region A in a mode.
func flags(server *redistest.Server, mode string, more ...string) []string {
	return append([]string{"--region", "A", "--region-id", "1", "--redis", server.URL(), "--mode", mode, "--lease-time", "500ms", "--gc-grace", "2s", "--log-level", "info"}, more...)
}

// change restarts a proxy with other flags.
func change(p *redistest.Proxy, flags ...string) {
	p.Stop()
	p.SetFlags(flags...)
	p.Launch()
	p.AwaitReady()
}

// recorded waits until metadata is kept.
func recorded(t *testing.T, server *redistest.Server) {
	t.Helper()
	client := server.Client()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if client.Exists(t.Context(), "crdt:self").Val() == 1 && client.Exists(t.Context(), "crdt:plain").Val() == 0 {
			return
		}
	}
	t.Fatal("nothing is recorded")
}

// Two proxies go through the modes one after the other, forth and back, so that for a while one writes past the other. Nothing is lost,
// and what is recorded in the end is true: a region that joins has the same data, and stays equal under writes on both sides.
func TestRollingChangesOfModeUnderLoad(t *testing.T) {
	server := redistest.Start(t)
	server.Client().RPush(context.Background(), "before", "1", "2")
	one, two := redistest.NewProxy(t, "A1", flags(server, "passive")...), redistest.NewProxy(t, "A2", flags(server, "passive")...)
	one.Launch()
	two.Launch()
	one.AwaitReady()
	two.AwaitReady()
	if keys := server.Client().Keys(t.Context(), "crdt:*").Val(); len(keys) != 0 {
		t.Fatalf("passive proxies have put keys into Redis: %v", keys)
	}
	clients := startLoad(t, "a", 4, one, two)
	time.Sleep(step)
	for _, mode := range []string{"shadow", "passive", "shadow"} {
		change(one, flags(server, mode)...)
		time.Sleep(step)
		change(two, flags(server, mode)...)
		if mode == "shadow" {
			recorded(t, server)
		}
		time.Sleep(step)
	}
	for _, p := range []*redistest.Proxy{one, two} {
		change(p, flags(server, "active")...)
		time.Sleep(step)
	}

	// B begins empty: it takes what A has recorded, and what lay there before.
	empty := redistest.Start(t)
	b := redistest.NewProxy(t, "B1", "--region", "B", "--region-id", "2", "--redis", empty.URL(), "--lease-time", "500ms", "--gc-grace", "2s", "--peer", "A="+one.PeerAddr)
	b.Launch()
	b.AwaitReady()
	one.Dial().Must("CRDT", "MEMBERS", "ADD", "B", b.PeerAddr)
	time.Sleep(step)
	others := startLoad(t, "b", 4, b)
	others.awaitAcked() // its writes are held until it has all of it
	time.Sleep(2 * step)
	clients.end()
	others.end()
	equal(t, one, b)
	check(t, one.Dial(), clients, others)
}

// equal waits until both regions have everything of each other, and compares them.
func equal(t *testing.T, a, b *redistest.Proxy) {
	t.Helper()
	for _, p := range []*redistest.Proxy{a, b} {
		if n := p.Dial().Must("CRDT", "WAIT", "1", "20000").Text; n != "1" {
			t.Fatalf("a region lacks writes of the other after 20 s: %s", p.Log())
		}
	}
	for _, p := range []*redistest.Proxy{a, b} {
		p.Dial().Must("CRDT", "WAIT", "1", "20000")
	}
	if diff := redistest.Diff(redistest.Snapshot(t, a.Dial()), redistest.Snapshot(t, b.Dial()), 0, 20); diff != "" {
		t.Errorf("the regions differ:\n%s", diff)
	}
}
