package trap

import (
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// A server that becomes a replica in the middle of a client's transaction takes no write of it, and leaves neither the client nor
// the other regions in half a transaction. It is a primary again later, of another history, and goes on.
func TestADemotionInTheMiddleOfATransactionLeavesNothingHalf(t *testing.T) {
	p := start(t, 2)
	other := redistest.Start(t)
	do(p.a, "SET before 1")
	p.Converge()
	do(p.a, "MULTI")
	do(p.a, "SET x 1")
	do(p.a, "INCR y")
	server := redistest.Dial(t, p.Regions[0].Redis.Addr)
	server.Must("REPLICAOF", "127.0.0.1", other.Addr[len("127.0.0.1:"):])
	if reply := p.a.Do("EXEC"); !reply.IsError() {
		t.Errorf("EXEC on a replica answers %s", reply)
	}
	server.Must("REPLICAOF", "NO", "ONE")
	p.Regions[0].Proxy().AwaitReady()
	wantSoon(t, p.a, "SET after 1", "OK", 20*time.Second) // on the same connection, and not queued
	wantSoon(t, p.b, "GET after", `"1"`, 20*time.Second)
	for _, c := range []*redistest.Conn{p.a, p.b} {
		want(t, c, "EXISTS x y", "(integer) 0")
	}
}

// Regions whose servers come back from disk at the same time do not wait for each other.
func TestRegionsThatRestartAtOnceGoOn(t *testing.T) {
	p := start(t, 3, redistest.WithRedis(redistest.WithAOF()))
	for _, c := range []*redistest.Conn{p.a, p.b, p.c} {
		do(c, "INCR n")
	}
	for _, region := range p.Regions {
		region.Redis.Kill()
	}
	for _, region := range p.Regions {
		region.Redis.Restart()
	}
	for _, region := range p.Regions {
		region.Proxy().AwaitReady()
	}
	p.dial()
	for _, c := range []*redistest.Conn{p.a, p.b, p.c} {
		do(c, "INCR n")
	}
	p.Converge()
	p.everywhere("GET n", `"6"`)
	p.RequireEqual(t)
}
