package consul

import (
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// Consul dies: effects flow, the leader stays, and is replaced by its lease when it dies. Consul comes back, with its data or
// without, and everything is there again.
func TestEverythingGoesOnWithoutConsul(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(), redistest.WithProxiesIn("A", 2), redistest.WithFlags(flags(consul)...))
	a, b := cluster.Region("A"), cluster.Region("B")
	arrives(t, a, b, "with")
	arrives(t, b, a, "with back")
	eventually(t, "the lock is held", func() bool { return lockHolder(consul, "A") != "" })
	leader := leaderOf(a)

	consul.Kill()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if now := leaderOf(a); now != leader {
			t.Fatalf("proxy %d of A leads without Consul, before it was %d", now, leader)
		}
	}
	arrives(t, a, b, "without")
	arrives(t, b, a, "without back")
	a.Proxies[leader].Kill()
	t.Logf("without Consul the other proxy led %v after the leader was killed", eventually(t, "the other one leads", func() bool { return leaderOf(a) == 1-leader }))
	a.Proxies[leader].Restart()
	b.Proxy().Restart() // it knows the other region from its own Redis
	arrives(t, a, b, "restarted")
	arrives(t, b, a, "restarted back")
	if n := strings.Count(b.Proxy().Log(), "Consul cannot be used"); n == 0 || n > 12 {
		t.Errorf("B says %d times that Consul cannot be used:\n%s", n, b.Proxy().Log())
	}

	for _, empty := range []bool{false, true} {
		leader := leaderOf(a)
		consul.Kill()
		if empty {
			consul.Forget()
		}
		consul.Restart()
		took := eventually(t, "all are registered again, and the membership is there", func() bool {
			m := membersIn(consul)
			return passing(consul, "A", 2) && passing(consul, "B", 1) && m.has("A", false) && m.has("B", false)
		})
		t.Logf("all registered %v after Consul was back (empty: %v)", took, empty)
		eventually(t, "the leader has its lock again", func() bool { return lockHolder(consul, "A") != "" })
		if now := leaderOf(a); now != leader {
			t.Errorf("proxy %d of A leads when Consul is back, before it was %d", now, leader)
		}
		key := map[bool]string{false: "kept", true: "forgotten"}[empty]
		arrives(t, a, b, key)
		arrives(t, b, a, key+" back")
	}
}

// An agent that hangs is as good as none.
func TestEverythingGoesOnWhileConsulHangs(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(), redistest.WithFlags(flags(consul)...))
	a, b := cluster.Region("A"), cluster.Region("B")
	arrives(t, a, b, "before")
	consul.Pause()
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if leaderOf(a) != 0 {
			t.Fatal("A has no leader while Consul hangs")
		}
	}
	arrives(t, a, b, "meanwhile")
	eventually(t, "the log says so", func() bool { return strings.Contains(a.Proxy().Log(), "Consul does not answer") })
	began := time.Now()
	a.Proxy().Stop()
	t.Logf("SIGTERM took %v while Consul hangs", time.Since(began))
	a.Proxy().Restart()
	arrives(t, b, a, "restarted")
	consul.Continue()
	eventually(t, "both are registered", func() bool { return passing(consul, "A", 1) && passing(consul, "B", 1) })
	arrives(t, a, b, "after")
}
