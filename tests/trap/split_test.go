package trap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// A fail-over leaves the old primary alone with some clients, and it goes on taking writes: by its own word it is a primary, so every
// check passes it like the new one. What it took is gone when it becomes a replica, or comes back over what is newer, or twice.
func TestAnIsolatedOldPrimaryThatTakesWritesLosesNothingThatHasLeftIt(t *testing.T) {
	p := start(t, 2, redistest.WithReplicas(), redistest.WithProxiesIn("A", 2))
	region := p.Regions[0]
	isolated, other := region.Proxies[0], region.Proxies[1]
	old, promoted := redistest.Dial(t, region.Redis.Addr), redistest.Dial(t, region.Replica.Addr)
	count := 0
	increment := func(c *redistest.Conn, who string, times int) {
		for i := range times {
			do(c, "INCR n")
			do(c, fmt.Sprintf("SADD s %s%d", who, i))
			do(c, fmt.Sprintf("RPUSH l %s", who))
			count++
		}
	}
	increment(p.a, "before", 10)
	do(p.a, "SET k before")
	p.Converge()
	if got := old.Must("WAIT", "1", "20000").Int(); got != 1 {
		t.Fatal("the replica has not got everything")
	}
	// The others promote the replica, and one proxy with its clients stays with the old primary.
	promoted.Must("REPLICAOF", "NO", "ONE")
	other.Stop()
	other.AddFlags("--redis", region.Replica.URL())
	other.Launch()
	other.AwaitReady()
	successor := other.Dial()
	for _, server := range []*redistest.Conn{old, promoted} {
		if role := server.Must("ROLE").Items[0].Text; role != "master" {
			t.Fatalf("a server says that it is %s", role)
		}
	}
	increment(p.a, "isolated", 20)
	do(p.a, "SET k isolated")
	wantSoon(t, p.b, "SISMEMBER s isolated19", "(integer) 1", 30*time.Second) // this has left it
	increment(successor, "promoted", 30)
	do(successor, "SET k promoted")
	increment(p.b, "b", 5)
	// The old primary is found, and becomes a replica: it loses all that the new one has not.
	host, port, _ := strings.Cut(region.Replica.Addr, ":")
	old.Must("REPLICAOF", host, port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		reply, err := p.a.Try("SET", "x", "1")
		if err != nil || reply.IsError() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a proxy whose server is a replica takes writes")
		}
	}
	isolated.Stop()
	isolated.AddFlags("--redis", region.Replica.URL())
	isolated.Launch()
	isolated.AwaitReady()
	region.Redis, region.Replica = region.Replica, region.Redis
	p.dial()
	wantSoon(t, p.a, "SISMEMBER s isolated19", "(integer) 1", 30*time.Second)
	increment(p.a, "after", 3)
	p.Converge()
	p.everywhere("GET n", fmt.Sprintf("%q", fmt.Sprint(count)))
	p.everywhere("SCARD s", fmt.Sprintf("(integer) %d", count))
	p.everywhere("LLEN l", fmt.Sprintf("(integer) %d", count))
	p.everywhere("GET k", `"promoted"`)
	p.RequireEqual(t)
}
