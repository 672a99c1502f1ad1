package syncer

import (
	"context"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// A region that came back from an old snapshot says so with its HELLO. What it had seen before, and has lost, is not collected from
// then on, although its last epoch had said that it was there: its merge would take what it lacks, and what has no metadata any more,
// for removed, and so would the region itself in the end.
func TestNothingIsCollectedOnTheWordOfAnEpochThatIsOver(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	toB := newBreaker(t, b.listen)
	grace := func(cfg *Config) { cfg.Grace, cfg.SilenceLimit = 5*time.Second, time.Minute }
	a.run(map[string][]string{b.name: {toB.addr}}, grace)
	b.run(peersOf(b, regions), grace)
	a.must("SET early 1")
	b.must("SET own 1")
	synced(t, a, b)
	b.save()
	a.must("HSET h f 1", "DEL early")
	synced(t, a, b)
	written := a.lastEffect()
	eventually(t, "b has told that it has them", func() bool {
		contexts, err := a.region.contexts(ctx)
		frontier, frontierErr := a.region.frontier(ctx)
		return err == nil && frontierErr == nil && crdtmeta.Stable(a.origin(), []int{b.id}, frontier, contexts)[a.origin()] >= written
	})

	// From now on a hears nothing of b, while b hears a.
	toB.freeze()
	b.server.Kill()
	b.server.Restart()
	eventually(t, "b has merged or pulled what it lost", func() bool { return b.get("h") != "" || b.rdb.HGet(ctx, "h", "f").Val() == "1" })
	deadline := time.Now().Add(6 * time.Second) // more than the period of grace
	for time.Now().Before(deadline) {
		collected, err := a.region.collected(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if collected[a.origin()] >= written {
			t.Fatal("a has collected what the new epoch of b has not said that it has")
		}
		time.Sleep(50 * time.Millisecond)
	}
	toB.thaw()
	a.must("SET late 1")
	synced(t, a, b)
	sameData(t, a, b)
	eventually(t, "a collects again", func() bool {
		collected, err := a.region.collected(ctx)
		return err == nil && collected[a.origin()] >= written
	})
}

// lastEffect is the time of the region's newest effect.
func (r *testRegion) lastEffect() crdtmeta.Time {
	r.t.Helper()
	info, err := r.engine.info(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	at, err := crdtmeta.ParseTime(info["last_effect"])
	if err != nil {
		r.t.Fatal(err)
	}
	return at
}
