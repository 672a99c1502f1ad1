package sentinel

import (
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// The Sentinels die one after the other while the primary and its replicas live, and come back. Nobody notices. Without Sentinels and
// without a replica that could have been promoted unseen, nobody can tell any more.
func TestSentinelsDieOneAfterTheOther(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	const fence = 6 * time.Second
	cluster, g := pair(t, redistest.Guard{}, redistest.WithFlags("--fence-after", fence.String()))
	a := cluster.Regions[0].Proxy()
	l, end := startLoad(t, 3, 2, a)
	loadB, endB := startLoad(t, 1, 0, cluster.Regions[1].Proxy())
	for _, s := range g.Sentinels {
		s.Kill()
		time.Sleep(500 * time.Millisecond)
	}
	soon(t, "it is told that nobody would fail over", func() bool {
		return strings.Contains(ask(t, a, "/status"), `"trouble": "0 of 3 Sentinels answer, and a majority is needed`)
	})
	time.Sleep(fence + 2*time.Second)
	if ask(t, a, "/readyz") != "ok\n" {
		t.Error("not ready without Sentinels")
	}
	if n := l.errors(); n > 0 {
		t.Errorf("%d errors because of dead Sentinels", n)
	}

	replica := g.Replica()
	replica.Pause()
	soon(t, "writes are refused", func() bool { return refusesWrites(t, a) })
	if why := ask(t, a, "/readyz"); !strings.Contains(why, "no majority of the Sentinels confirms the primary, and neither do all of its replicas") {
		t.Errorf("/readyz: %s", why)
	}
	replica.Continue()
	firstWrite(t, a.Addr)

	for _, s := range g.Sentinels {
		s.Start()
	}
	g.AwaitGuarded()
	primary := g.Primary()
	primary.Kill()
	l.replicas.Store(1)
	t.Logf("first write after %.2f s", firstWrite(t, a.Addr).Seconds())
	time.Sleep(2 * time.Second)
	end()
	endB()
	settle(t, cluster, l, loadB)
}

// A planned fail-over: the old primary lives, and is told to follow. There is no other region from which anything could come back.
func TestPlannedFailOver(t *testing.T) {
	redistest.Slow(t)
	n := runs(t, 1)
	cluster := redistest.StartCluster(t, 1, redistest.WithGuard("A", redistest.Guard{}))
	g, a := cluster.Regions[0].Guarded, cluster.Regions[0].Proxy()
	l, end := startLoad(t, 4, 2, a)
	var pauses []time.Duration
	for run := range n {
		time.Sleep(time.Second)
		old := g.Primary()
		l.takePause()
		if _, err := g.Ask(g.Sentinels[run%len(g.Sentinels)], "SENTINEL", "FAILOVER", redistest.PrimaryName); err != nil {
			t.Fatal(err)
		}
		soon(t, "the Sentinels name another primary", func() bool { return g.Primary() != old })
		g.AwaitGuarded()
		firstWrite(t, a.Addr)
		pauses = append(pauses, l.takePause())
	}
	time.Sleep(2 * time.Second)
	end()
	total := settle(t, cluster, l)
	report(t, "planned fail-overs", total, measured{"longest time without an acknowledgement", pauses})
}
