package syncer

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// What a region has lost, because its Redis came back with an old snapshot, it gets back from those who have it, while it is
// serving: values, and shares of counters that it goes on with.
func TestLostTailComesBackFromPeers(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.write("INCRBY counter 5", "SET k old", "SADD s x", "RPUSH l 1 2")
	b.write("INCRBY counter 100")
	synced(t, regions...)
	if err := a.rdb.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	a.write("INCRBY counter 7", "SET k new", "SADD s y", "SREM s x", "RPUSH l 3", "HSET h f v")
	synced(t, regions...)
	a.server.Kill()
	a.server.Restart()
	eventually(t, "armed", func() bool { return a.arm(ctx) == nil })
	if err := a.tryWrite("INCRBY counter 1000", "RPUSH l 4"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was lost is back", func() bool { return a.get("k") == "new" && a.get("counter") == "1112" })
	b.write("SET last 1")
	synced(t, regions...)
	sameData(t, a, b, c)
	if got := c.get("counter"); got != "1112" {
		t.Errorf("counter is %s", got)
	}
}

// One dead link between two regions does not keep their effects from each other.
func TestEffectsGoRoundADeadLink(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ab, ba := newBreaker(t, b.listen), newBreaker(t, a.listen)
	a.run(map[string][]string{b.name: {ab.addr}, c.name: {c.listen}})
	b.run(map[string][]string{a.name: {ba.addr}, c.name: {c.listen}})
	c.run(peersOf(c, regions))
	a.write("INCR n")
	synced(t, regions...)
	ab.cut()
	ba.cut()
	for i := range 20 {
		a.write("INCR n", fmt.Sprintf("SADD s a%d", i), "RPUSH l a")
		b.write("INCR n", fmt.Sprintf("SADD s b%d", i), "RPUSH l b")
		c.write("INCR n")
		time.Sleep(20 * time.Millisecond)
	}
	eventually(t, "all have all", func() bool { return a.get("n") == "61" && b.get("n") == "61" && c.get("n") == "61" })
	eventually(t, "lists too", func() bool {
		ctx := context.Background()
		return a.rdb.LLen(ctx, "l").Val() == 40 && b.rdb.LLen(ctx, "l").Val() == 40 && c.rdb.LLen(ctx, "l").Val() == 40
	})
	sameData(t, a, b, c)
	ab.thaw()
	ba.thaw()
	a.write("INCR n")
	synced(t, regions...)
	sameData(t, a, b, c)
}

// Orphans whose origin does not come back reach those who lack them, too.
func TestOrphansOfADeadRegionReachEveryone(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ac := newBreaker(t, a.listen)
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions))
	c.run(map[string][]string{a.name: {ac.addr}, b.name: {b.listen}})
	a.write("SET k 1")
	synced(t, regions...)
	ac.cut()
	a.write("SET k 2", "INCRBY n 9")
	eventually(t, "b has it", func() bool { return b.get("k") == "2" && b.get("n") == "9" })
	a.stop()
	a.server.Kill()
	b.write("INCR n")
	eventually(t, "c has it", func() bool { return c.get("k") == "2" && c.get("n") == "10" })
	sameData(t, b, c)
}
