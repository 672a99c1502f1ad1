package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
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
	for _, command := range []string{"INCRBY counter 1000", "RPUSH l 4"} {
		// The syncer arms the engine, too, and loading it anew ends what was armed before.
		eventually(t, "armed", func() bool { return a.armedWrite(command) })
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
	for _, link := range []*breaker{ab, ba} {
		link.freeze() // connecting again is of no use
		link.cut()
	}
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

// Who begins to lead while a region is out of reach takes its effects from others, too.
func TestEffectsOfADeadRegionReachANewLeader(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	for _, r := range regions {
		r.run(peersOf(r, regions))
	}
	a.write("SET k 1")
	synced(t, regions...)
	c.stop()
	a.write("SET k 2", "INCRBY n 9")
	eventually(t, "b has it", func() bool { return b.get("k") == "2" && b.get("n") == "9" })
	a.stop()
	a.server.Kill()
	b.write("INCR n")
	c.run(peersOf(c, regions))
	eventually(t, "c has it", func() bool { return c.get("k") == "2" && c.get("n") == "10" })
	sameData(t, b, c)
}

// A region whose Redis comes back empty gets everything back, goes on in a new epoch, and is not taken for its old self.
func TestEmptiedRegionGetsEverythingBack(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.write("INCRBY counter 5", "SET k 1", "SADD s x", "RPUSH l 1 2")
	b.write("INCRBY counter 100")
	synced(t, regions...)
	a.rdb.FlushAll(ctx)
	a.rdb.FunctionFlush(ctx)
	eventually(t, "armed", func() bool { return a.arm(ctx) == nil })
	a.must("INCRBY counter 1000")
	eventually(t, "all is back", func() bool { return a.get("k") == "1" && a.get("counter") == "1105" })
	eventually(t, "in a later epoch", func() bool {
		origin, err := a.region.origin(ctx)
		return err == nil && origin.Counter() > 1
	})
	eventually(t, "a takes writes", func() bool { return a.armedWrite("INCRBY counter 1") })
	c.write("SADD s y")
	eventually(t, "all have all", func() bool {
		return a.get("counter") == "1106" && b.get("counter") == "1106" && c.get("counter") == "1106"
	})
	synced(t, regions...)
	sameData(t, a, b, c)
}

// A copy of a region's Redis, a replica for example, becomes a region of its own, without copying data again.
func TestACopyOfARegionBecomesAnother(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	for i := range 500 {
		a.rdb.Set(ctx, fmt.Sprint("old", i), i, 0)
	}
	a.write("SADD s x y", "INCR n", "RPUSH l 1 2 3", "SET gone 1", "DEL gone", "SET k v")
	host, port, _ := strings.Cut(a.server.Addr, ":")
	if err := b.rdb.ReplicaOf(ctx, host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "copied", func() bool { return b.get("k") == "v" })
	b.rdb.ReplicaOf(ctx, "NO", "ONE")
	if err := b.arm(ctx); err == nil || !strings.HasPrefix(err.Error(), "CRDTREGION") {
		t.Fatalf("another region's data is taken: %v", err)
	}
	b.copyOf = a.name
	if err := b.arm(ctx); err != nil {
		t.Fatal(err)
	}
	a.write("SADD s z", "INCR n")
	b.write("SREM s x", "INCR n", "LPOP l")
	a.run(peersOf(a, regions), smallBacklog)
	b.run(peersOf(b, regions), smallBacklog)
	synced(t, a, b)
	sameData(t, a, b)
	if n := a.counters.mergesDone.Load() + b.counters.mergesDone.Load(); n != 0 {
		t.Errorf("%d merges", n)
	}
	if b.get("n") != "3" || b.get("old499") != "499" {
		t.Errorf("n is %q, old499 %q", b.get("n"), b.get("old499"))
	}
	a.write("FLUSHALL")
	synced(t, a, b)
	eventually(t, "nothing is left", func() bool {
		return len(a.rdb.Keys(ctx, "crdt:[0-5]*").Val())+len(b.rdb.Keys(ctx, "crdt:[0-5]*").Val()) == 0
	})
}

// With ship-after-replicas, peers see what enough replicas have, and nothing else.
func TestPeersSeeWhatReplicasHave(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	one := func(cfg *Config) { cfg.ShipAfterReplicas = 1 }
	a.run(peersOf(a, regions), one)
	b.run(peersOf(b, regions))
	a.write("SET k 1")
	eventually(t, "a waits for a replica", func() bool { return a.counters.replicaWaits.Load() > 0 })
	if got := b.get("k"); got != "" {
		t.Fatalf("b has %q before any replica", got)
	}
	redistest.StartReplica(t, a.server)
	eventually(t, "b has it", func() bool { return b.get("k") == "1" })
}

// A peer that is too slow for the backlog gets a merge, and never a log with a hole.
func TestASlowPeerIsNotGivenALogWithAHole(t *testing.T) {
	tiny := func(cfg *Config) {
		cfg.BacklogBytes, cfg.KeepTime, cfg.Grace, cfg.TrimInterval = 4<<10, time.Millisecond, 200*time.Millisecond, 5*time.Millisecond
		cfg.WindowBytes, cfg.ChunkEntries = 2<<10, 2
	}
	regions := mesh(t, 2, tiny)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET k 1")
	synced(t, a)
	if err := b.Pause(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		a.write(fmt.Sprintf("SADD s%d m%d", i%50, i))
	}
	eventually(t, "a has trimmed what b lacks", func() bool { return a.rdb.XLen(ctx, "crdt:log").Val() < 1000 })
	if err := b.Resume(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	synced(t, a)
	sameData(t, a, b)
	if b.counters.mergesDone.Load() == 0 {
		t.Error("nothing was merged")
	}
}
