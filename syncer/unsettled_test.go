package syncer

import (
	"context"
	"testing"
	"time"
)

// A region that merges everything has taken back what it had seen of a third one, and its frontier still covers it. Whoever merges from it
// then would never take that from the third one.
func TestNoChangesAreMergedFromARegionThatMergesEverything(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	ab, bc := newBreaker(t, b.listen), newBreaker(t, c.listen)
	a.run(map[string][]string{b.name: {ab.addr}, c.name: {c.listen}})
	b.run(map[string][]string{a.name: {a.listen}, c.name: {bc.addr}})
	c.run(peersOf(c, regions))
	c.write("SADD k x y")
	synced(t, regions...)
	bc.freeze()
	c.write("SREM k x")
	has := func(r *testRegion) bool { return r.rdb.SIsMember(ctx, "k", "x").Val() }
	eventually(t, "a has the removal", func() bool { return !has(a) })
	if err := a.engine.hold(ctx, a.origin(), heldQuarantine); err != nil {
		t.Fatal(err)
	}
	vector, states, err := b.engine.states(ctx, b.origin(), 1<<20, []keyState{{db: "0", key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	self := a.origin()
	begun := beginAll(mergeWhole)
	begun.Origin = b.origin().String()
	if answer, err := a.engine.merge(ctx, self, b.id, mergeWhole, begun.in(self).text(), "", vector, states); err != nil || answer != mergeTaken || !has(a) {
		t.Fatal(answer, err, has(a))
	}
	bc.cut()
	eventually(t, "b asks a for what c has done", func() bool { return b.logs.count("another region's effects") > 0 })
	time.Sleep(500 * time.Millisecond)
	bc.thaw()
	ab.cut() // so that a goes on with its merge
	eventually(t, "a has merged everything", func() bool { return !a.rdb.HExists(ctx, a.keys.merges, allField).Val() })
	synced(t, regions...)
	for _, r := range regions {
		eventually(t, r.name+" has the removal", func() bool { return !has(r) })
	}
	sameData(t, regions...)
}
