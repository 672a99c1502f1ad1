package syncer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// mergingRegions starts regions of which the second takes a merge from the first that does not come to an end, since the first is paused there. The
// log no longer serves it.
func mergingRegions(t *testing.T, n int) []*testRegion {
	t.Helper()
	regions := mesh(t, n, smallBacklog)
	a, b := regions[0], regions[1]
	a.write("SET k v")
	synced(t, a, b)
	b.stop()
	eventually(t, "a has trimmed what b lacks", func() bool {
		for i := range 500 {
			a.write(fmt.Sprintf("SET new%d v", i))
		}
		info, err := a.region.history(context.Background())
		return err == nil && !info.whole && b.appliedOf(a) < info.first
	})
	if err := b.Pause(context.Background(), a.name); err != nil {
		t.Fatal(err)
	}
	b.run(peersOf(b, regions), smallBacklog)
	eventually(t, "the merge waits", func() bool { return b.peer(a.name).Merge != nil })
	return regions
}

// appliedOf is how much of another region's log is applied.
func (r *testRegion) appliedOf(other *testRegion) crdtmeta.Time {
	r.t.Helper()
	frontier, err := r.region.frontier(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return frontier.Of(other.id, 0).Newest()
}

// A merge can take hours. Meanwhile both sides hear who is in quarantine and who is a member, as over a stream: otherwise collection
// would wait for regions that all have given up, and a region that was removed would be taken from.
func TestALongMergeTellsOfQuarantineAndMembership(t *testing.T) {
	regions := mergingRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	c.stop()
	a.rdb.HSet(ctx, a.keys.quarantined, formatID(c.id), 1)
	eventually(t, "b hears over the merge who is in quarantine at a", func() bool {
		p := b.peer(a.name)
		return p.Merge != nil && slices.Contains(p.Apart, formatID(c.id))
	})
	if err := a.RemoveMember(ctx, c.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b hears over the merge that c was removed", func() bool {
		_, removed := b.removed(c.name)
		return removed
	})
	if err := b.Resume(ctx, AllRegions); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
}

// A region that is put into quarantine while it merges what changed has to take everything instead.
func TestQuarantineEndsAMergeOfWhatChanged(t *testing.T) {
	regions := mergingRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	if mode := b.peer(a.name).Merge.Mode; mode != mergeChanges {
		t.Fatalf("b merges %q", mode)
	}
	frontier, err := a.region.frontier(ctx)
	if err != nil {
		t.Fatal(err)
	}
	a.rdb.HSet(ctx, a.keys.quarantined, formatID(b.id), frontier.Of(b.id, 0).Newest().String())
	eventually(t, "b is in quarantine and merges everything", func() bool {
		why, err := b.heldWhy(ctx)
		p := b.peer(a.name)
		return err == nil && why == heldQuarantine && p.Merge != nil && p.Merge.Mode == mergeWhole
	})
	time.Sleep(3 * a.cfg.BeatInterval)
	if p := b.peer(a.name); p.Merge == nil {
		t.Errorf("the merge of everything was ended too: %+v", p)
	}
	if err := b.Resume(ctx, AllRegions); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b takes writes again", func() bool { return b.tryWrite("SET back 1") == nil })
	eventually(t, "a takes from b again", func() bool { return a.get("back") == "1" })
	sameData(t, a, b)
}
