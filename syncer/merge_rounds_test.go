package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// A merge of everything goes on while the others collect without the region. It may take longer than the period of grace: what changes
// meanwhile comes with it, and the region is not in quarantine again at its end.
func TestAMergeOfEverythingMayTakeLongerThanTheGrace(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	const grace = 2500 * time.Millisecond
	away := func(cfg *Config) {
		soon(cfg)
		cfg.Grace = grace
	}
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	for i := range 20 {
		words := []string{"MSET"}
		for j := range 500 {
			words = append(words, fmt.Sprint("old", 500*i+j), "v")
		}
		a.write(strings.Join(words, " "))
	}
	near, far := redistest.StartRelay(t, a.listen), redistest.StartRelay(t, b.listen)
	a.run(peersOf(a, regions), away)
	b.run(peersOf(b, regions), away)
	peers := map[string][]string{a.name: {near.Addr}, b.name: {far.Addr}}
	c.run(peers, away)
	synced(t, regions...)
	c.stop()
	a.write("DEL old1")
	b.write("SET old2 changed")
	eventually(t, "c is in quarantine", func() bool {
		return a.rdb.HExists(ctx, a.keys.quarantined, formatID(c.id)).Val() && b.rdb.HExists(ctx, b.keys.quarantined, formatID(c.id)).Val()
	})
	eventually(t, "the tombstone is gone", func() bool { return a.rdb.Exists(ctx, "crdt:0{old1}").Val() == 0 })
	near.Set(redistest.Trouble{Latency: 40 * time.Millisecond})
	far.Set(redistest.Trouble{Latency: 40 * time.Millisecond})
	c.run(peers, away)
	eventually(t, "c merges everything", func() bool { return c.rdb.HExists(ctx, c.keys.merges, allField).Val() })
	began, n := time.Now(), 0
	for merged := c.counters.mergesDone.Load; merged() == 0 && time.Since(began) < time.Minute; n++ {
		a.write(fmt.Sprintf("DEL old%d", 10+n), fmt.Sprintf("SADD set x%d y%d", n, n), fmt.Sprintf("SREM set x%d", n-10))
		b.write(fmt.Sprintf("SET old%d changed", 7000-n), fmt.Sprintf("SET new%d v", n), fmt.Sprintf("DEL new%d", n-10))
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < grace*3/2 {
		t.Fatalf("the merge took %v, which shows nothing", took)
	}
	eventually(t, "c is back", func() bool { return c.tryWrite("SET back 1") == nil })
	synced(t, regions...)
	sameData(t, regions...)
	if rounds := c.logs.count("merge with region"); rounds < 2 {
		t.Errorf("the merge went over %d connections", rounds)
	}
	if spells := c.logs.count("this region is in quarantine"); spells != 1 {
		t.Errorf("c was in quarantine %d times", spells)
	}
}

// A merge of everything that goes on begins anew where more was collected than it has seen: the names of what was removed are gone.
func TestAMergeOfEverythingBeginsAnewWhereItHasMissedSomething(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET kept 1", "SET gone 1")
	b.write("SET own 1")
	synced(t, a, b)
	b.stop()
	info, err := a.region.history(ctx)
	if err != nil {
		t.Fatal(err)
	}
	self, err := b.region.origin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// All keys are gone through, and then a change is collected, and its name with it.
	broken := mergeProgress{
		Mode: mergeWhole, Phase: phaseOwn, Origin: info.origin.String(), Since: info.last, Until: info.last, Upto: crdtmeta.Frontier{info.origin: info.last, self: 1 << 52},
		Scan: mergeCursor{Done: true}, Own: mergeCursor{Done: true}, Began: time.Now(), Self: self.String(),
	}
	if answer, err := b.engine.merge(ctx, self, a.id, mergeWhole, broken.text(), string(position(t, a)), emptyVector, nil); err != nil || answer != mergeTaken {
		t.Fatal(answer, err)
	}
	a.write("DEL gone", "SET later 1")
	info, err = a.region.history(ctx)
	if err != nil {
		t.Fatal(err)
	}
	a.rdb.HSet(ctx, a.keys.collected, info.origin.String(), info.last.String())
	a.rdb.XTrimMaxLen(ctx, a.keys.log, 0)
	a.rdb.Del(ctx, a.keys.gc)
	b.run(peersOf(b, regions))
	eventually(t, "b begins anew, and has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	if n := b.logs.count("the merge begins anew"); n != 1 {
		t.Errorf("it began anew %d times", n)
	}
	synced(t, a, b)
	sameData(t, a, b)
	if b.get("later") != "1" || b.get("gone") != "" || a.get("own") != "1" {
		t.Errorf("later is %q, gone is %q, own is %q", b.get("later"), b.get("gone"), a.get("own"))
	}
}

// position is where a region stands now.
func position(t *testing.T, r *testRegion) []byte {
	t.Helper()
	self, err := r.region.origin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	at, err := r.engine.position(context.Background(), self)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(at)
}
