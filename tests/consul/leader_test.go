package consul

import (
	"net/http"
	"testing"

	"anabranch/internal/redistest"
)

// The leader holds a lock by a session; when it dies, another proxy gets both lease and lock.
func TestAnotherProxyGetsTheLockOfADeadLeader(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(), redistest.WithProxiesIn("A", 2), redistest.WithFlags(flags(consul)...))
	a, b := cluster.Region("A"), cluster.Region("B")
	arrives(t, b, a, "before")
	var first string
	eventually(t, "the lock is held", func() bool { first = lockHolder(consul, "A"); return first != "" })
	leader := leaderOf(a)
	a.Proxies[leader].Kill()
	took := eventually(t, "the other one leads, and holds the lock", func() bool {
		second := lockHolder(consul, "A")
		return second != "" && second != first && leaderOf(a) == 1-leader
	})
	t.Logf("the other proxy led %v after the leader was killed", took)
	arrives(t, b, a, "after")

	// One that ends in order gives the lock up at once.
	a.Proxies[leader].Restart()
	eventually(t, "both are ready", func() bool { return passing(consul, "A", 2) })
	a.Proxies[1-leader].Stop()
	t.Logf("the other proxy led %v after the leader was stopped", eventually(t, "it leads", func() bool { return leaderOf(a) == leader }))
	arrives(t, b, a, "again")
}

// A lock that somebody takes away, as an operator may, ends the leadership; the leader comes back to it.
func TestALeaderWhoseSessionIsDestroyedTakesTheLockAnew(t *testing.T) {
	consul := redistest.StartConsul(t)
	region := redistest.StartCluster(t, 1, redistest.WithFlags(flags(consul)...)).Region("A")
	eventually(t, "the lock is held", func() bool { return lockHolder(consul, "A") != "" })
	var sessions []struct{ ID, Name string }
	consul.Get("/v1/session/list", &sessions)
	if len(sessions) != 1 || sessions[0].Name != "anabranch leader of A" {
		t.Fatalf("sessions: %+v", sessions)
	}
	consul.Put("/v1/session/destroy/"+sessions[0].ID, "", nil)
	eventually(t, "another session holds the lock", func() bool {
		var now []struct{ ID string }
		return consul.Try(http.MethodGet, "/v1/session/list", "", &now) == nil && len(now) == 1 && now[0].ID != sessions[0].ID &&
			lockHolder(consul, "A") != "" && leaderOf(region) == 0
	})
}
