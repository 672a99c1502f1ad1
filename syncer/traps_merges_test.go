package syncer

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// Traps of full synchronisations, which are merges here.

// exchanged waits until these regions have applied each other's logs, whatever others there are.
func exchanged(t *testing.T, regions ...*testRegion) {
	t.Helper()
	for _, from := range regions {
		info, err := from.region.history(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range regions {
			eventually(t, to.name+" has the log of "+from.name, func() bool {
				frontier, err := to.region.frontier(context.Background())
				return err == nil && (to == from || frontier[info.origin] >= info.last)
			})
		}
	}
}

// trimmed waits until a region's log does not tell everything any more.
func trimmed(t *testing.T, r *testRegion) {
	t.Helper()
	eventually(t, r.name+" has trimmed its log", func() bool {
		info, err := r.region.history(context.Background())
		return err == nil && info.first > 0 && !info.whole
	})
}

// A full synchronisation leaves out keys whose last writer is somebody else than the one that sends or takes it: what has been
// merged from several regions, and what a third region wrote, is lost.
func TestAFullSyncBringsKeysWhoeverWroteThemLast(t *testing.T) {
	for _, mode := range []string{mergeWhole, mergeChanges} {
		t.Run(mode, func(t *testing.T) {
			regions := mesh(t, 3, smallBacklog)
			a, b, c := regions[0], regions[1], regions[2]
			ctx := context.Background()
			for i, r := range regions {
				r.write("INCRBY counter "+strconv.Itoa(10<<i), "SADD set "+r.name, "HSET hash "+r.name+" v", "SET last:"+r.name+" old")
				synced(t, regions...)
			}
			c.stop()
			// Each is the last writer of some keys, c of what it then loses. All change after c was last told of them.
			writers := regions[:2]
			if mode == mergeWhole {
				writers = regions
				c.run(peersOf(c, regions), smallBacklog)
			}
			for i, r := range writers {
				r.write("INCRBY counter "+strconv.Itoa(100<<i), "SADD set more:"+r.name, "SET last:"+r.name+" new", "HSET hash shared "+r.name)
				exchanged(t, writers...)
			}
			for i := range 500 {
				b.write("SET k" + strconv.Itoa(i%100) + " fromB" + strconv.Itoa(i))
				a.write("SET filler " + strings.Repeat("x", 500))
			}
			exchanged(t, a, b)
			if mode == mergeWhole {
				c.stop()
				c.rdb.FlushAll(ctx)
				if err := c.arm(ctx); err != nil {
					t.Fatal(err)
				}
			}
			trimmed(t, a)
			b.stop()
			b.server.Kill() // from here on only a can tell
			c.run(peersOf(c, regions), smallBacklog)
			eventually(t, "c has merged", func() bool { return c.counters.mergesDone.Load() > 0 })
			if c.logs.count(`"mode":"`+mode+`"`) == 0 {
				t.Error("that was another kind of merge")
			}
			eventually(t, "c has all", func() bool { return redistest.Diff(visible(t, a), visible(t, c), 0, 1) == "" })
			if c.get("last:"+b.name) != "new" || c.get("k99") != "fromB499" {
				t.Errorf("of b's keys c has %q and %q", c.get("last:"+b.name), c.get("k99"))
			}
		})
	}
}

// The position is moved when a full synchronisation begins, or as it goes on. When it is broken off, what had not come by then never
// comes: the log is read on from behind it.
func TestNoPositionMovesBeforeAFullSyncIsOver(t *testing.T) {
	const keys, size = 3000, 300
	plain := func(cfg *Config) { smallBacklog(cfg); cfg.CompressFrom = 1 << 30 }
	regions := mesh(t, 2, plain)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET first 1")
	synced(t, a)
	b.stop()
	position := func() crdtmeta.Time {
		t.Helper()
		frontier, err := b.region.frontier(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return frontier[a.origin()]
	}
	before := position()
	for i := range keys {
		a.write("SET k" + strconv.Itoa(i) + " " + strings.Repeat(strconv.Itoa(i%10), size))
	}
	link := newBreaker(t, a.listen)
	through := map[string][]string{a.name: {link.addr}}
	held := func() (n int64) { return b.rdb.DBSize(ctx).Val() }
	for round := range 3 {
		had := held()
		link.freezeAfter(keys * size / 5)
		b.run(through, plain)
		eventually(t, "the link is broken off", link.isFrozen)
		eventually(t, "something has come", func() bool { return held() > had })
		if at := position(); at != before {
			t.Fatalf("round %d: the position is %d before the merge is over, it was %d", round, at, before)
		}
		if round == 1 { // what is noted of the merge is not all that counts: here the Redis goes, too
			b.save()
			b.stop()
			b.server.Kill()
			b.server.Restart()
			eventually(t, "armed", func() bool { return b.arm(ctx) == nil })
		}
		b.stop()
		link.cut()
		link.thaw()
		a.write("SET k" + strconv.Itoa(round) + " again")
	}
	if n := held(); n >= 2*keys { // a key and its companion are two
		t.Fatalf("the merge was over before it could be broken off: %d keys", n)
	}
	b.run(through, plain)
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a)
	sameData(t, a, b)
	if at := position(); at <= before {
		t.Errorf("the position is %d after the merge, it was %d", at, before)
	}
}

// Whoever is out of date is overwritten by the full synchronisation that brings it up to date: its own writes are lost, those that
// it takes meanwhile, and those that it alone has from a third region.
func TestAStaleRegionLosesNothingInAFullSync(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ac := newBreaker(t, c.listen) // by which a hears of c
	a.run(map[string][]string{b.name: {b.listen}, c.name: {ac.addr}}, smallBacklog)
	b.run(peersOf(b, regions), smallBacklog)
	c.run(peersOf(c, regions), smallBacklog)
	for i, r := range regions {
		r.write("INCRBY counter "+strconv.Itoa(1<<i), "SET k"+r.name+" 1", "SADD set "+r.name, "RPUSH list "+r.name)
		synced(t, regions...)
	}
	// What c writes now reaches b alone, and then c is gone.
	ac.freeze()
	ac.cut()
	c.write("INCRBY counter 1000", "SADD set third", "RPUSH list third", "SET onlyB 1")
	eventually(t, "b has it", func() bool { return b.get("onlyB") == "1" })
	b.stop()
	c.stop()
	c.server.Kill()
	// b is stale: it has written what nobody has, and a has gone on for longer than its log reaches.
	b.write("INCRBY counter 10000", "SET own 1", "SADD set own", "RPUSH list own", "DEL kalpha", "SET kbeta changed")
	for i := range 1500 {
		a.write(fmt.Sprintf("SET new%d %0200d", i%300, i), "INCRBY counter 1")
	}
	a.write("SREM set beta", "SET kalpha 2", "LPOP list")
	trimmed(t, a)
	var writing sync.WaitGroup
	end := make(chan struct{})
	meanwhile := 0
	b.run(peersOf(b, regions), smallBacklog)
	writing.Go(func() { // ends with end
		for {
			select {
			case <-end:
				return
			default:
				if b.tryWrite("INCRBY counter 100000", "SET new"+strconv.Itoa(meanwhile%300)+" mine") == nil {
					meanwhile++
				}
				time.Sleep(time.Millisecond)
			}
		}
	})
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	close(end)
	writing.Wait()
	want := strconv.Itoa(1 + 2 + 4 + 1000 + 10000 + 1500 + 100000*meanwhile)
	eventually(t, "both have all", func() bool {
		return a.get("counter") == want && b.get("counter") == want && redistest.Diff(visible(t, a), visible(t, b), 0, 1) == ""
	})
	t.Logf("%d writes during the merge", meanwhile)
	if a.get("onlyB") != "1" || a.get("own") != "1" || a.get("kalpha") != "2" || a.get("kbeta") != "changed" {
		t.Errorf("onlyB %q, own %q, kalpha %q, kbeta %q", a.get("onlyB"), a.get("own"), a.get("kalpha"), a.get("kbeta"))
	}
	if got := fmt.Sprint(a.rdb.LRange(context.Background(), "list", 0, -1).Val()); !strings.Contains(got, "third") || !strings.Contains(got, "own") {
		t.Errorf("the list is %s", got)
	}
}
