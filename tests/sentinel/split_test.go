package sentinel

import (
	"io"
	"net/http"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// refusesWrites says whether a proxy answers a write with an error that says that nothing was done.
func refusesWrites(t testing.TB, proxy *redistest.Proxy) bool {
	t.Helper()
	c, err := redistest.TryDial(t, proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Try("SET", "probe", "refused?")
	return err == nil && reply.IsError() && reply.Text == "NOREPLICAS Not enough good replicas to write."
}

// ask asks the admin port of a proxy.
func ask(t testing.TB, proxy *redistest.Proxy, path string) string {
	t.Helper()
	answer, err := http.Get("http://" + proxy.AdminAddr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func isReady(t testing.TB, proxy *redistest.Proxy) bool {
	t.Helper()
	return ask(t, proxy, "/readyz") == "ok\n"
}

// The network is split between the old primary with one proxy and one Sentinel, and everybody else. The old primary goes on, its proxy
// must not: it cannot know that another one has taken its place.
func TestASplitFencesTheOldPrimary(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	split(t, "2s", func(isolated *redistest.Proxy) {
		soon(t, "the isolated proxy refuses writes", func() bool { return refusesWrites(t, isolated) })
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if !refusesWrites(t, isolated) || isReady(t, isolated) {
				t.Error("it takes writes again")
				break
			}
		}
	})
}

// Without a fence the old primary takes writes that will be lost to its region. Regions are equal afterwards all the same.
func TestASplitWithoutAFenceDoesNotDiverge(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	split(t, "0", func(isolated *redistest.Proxy) {
		for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if refusesWrites(t, isolated) {
				t.Error("it refuses writes")
				break
			}
		}
	})
}

// split runs a load on both sides of a split, looks at the isolated proxy meanwhile, and settles when the network is whole again.
func split(t *testing.T, fenceAfter string, look func(isolated *redistest.Proxy)) {
	cluster, g := pair(t, redistest.Guard{Relayed: true}, redistest.WithProxiesIn("A", 2), redistest.WithFlags("--fence-after", fenceAfter))
	a := cluster.Regions[0]
	isolated, other := a.Proxies[0], a.Proxies[1]
	loadIsolated, end1 := startLoad(t, 2, 2, isolated)
	loadOther, end2 := startLoad(t, 2, 2, other)
	loadB, endB := startLoad(t, 2, 0, cluster.Regions[1].Proxy())
	time.Sleep(2 * time.Second)

	old := g.Primary()
	g.Split(old, g.Sentinels[0], isolated)
	soon(t, "the majority names another primary", func() bool { return g.Primary() != old })
	t.Logf("writes on the side of the majority after %.1f s more", firstWrite(t, other.Addr).Seconds())
	look(isolated)
	if !isReady(t, other) {
		t.Error("the other proxy is not ready")
	}

	g.Heal()
	g.AwaitGuarded()
	firstWrite(t, isolated.Addr)
	firstWrite(t, other.Addr)
	time.Sleep(2 * time.Second)
	end1()
	end2()
	endB()
	settle(t, cluster, loadIsolated, loadOther, loadB)
}
