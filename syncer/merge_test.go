package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// smallBacklog trims as soon as there is a little.
func smallBacklog(cfg *Config) {
	cfg.BacklogBytes, cfg.KeepTime, cfg.Grace = 64<<10, time.Millisecond, 300*time.Millisecond
}

// A region that misses more than the backlog merges what changed: nothing that it has itself is lost, nothing that was deleted
// comes back, and both go on with their logs.
func TestPeerBehindTheBacklogMergesWhatChanged(t *testing.T) {
	regions := mesh(t, 2, smallBacklog)
	a, b := regions[0], regions[1]
	for i := range 200 {
		a.write(fmt.Sprintf("SET kept%d v", i), fmt.Sprintf("SADD set%d x y", i), fmt.Sprintf("SET gone%d v", i))
	}
	a.write("INCRBY counter 5", "RPUSH list a b c", "HSET hash f 1 g 2")
	b.write("INCRBY counter 7")
	synced(t, a, b)
	b.stop()
	for i := range 2000 {
		a.write(fmt.Sprintf("SET new%d %d", i%500, i), "INCRBY counter 1")
	}
	for i := range 200 {
		a.write(fmt.Sprintf("DEL gone%d", i), fmt.Sprintf("SREM set%d x", i), fmt.Sprintf("SADD set%d z", i))
	}
	a.write("LPOP list", "RPUSH list d", "HDEL hash g", "HSET hash h 3")
	b.write("INCRBY counter 100", "RPUSH list e", "SADD set0 w", "SET own 1", "DEL kept0", "HSET hash f 9")
	eventually(t, "a has trimmed what b lacks", func() bool {
		info, err := a.region.history(context.Background())
		return err == nil && !info.whole && a.rdb.XLen(context.Background(), "crdt:log").Val() < 3000
	})
	b.run(peersOf(b, regions), smallBacklog)
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
	if got := b.get("counter"); got != "2112" {
		t.Errorf("counter is %s, want 2112", got)
	}
	if b.get("gone7") != "" || a.get("kept0") != "" || a.get("own") != "1" || b.get("new499") != "1999" {
		t.Errorf("gone7 %q kept0 %q own %q new499 %q", b.get("gone7"), a.get("kept0"), a.get("own"), b.get("new499"))
	}
	if b.rdb.HExists(context.Background(), "crdt:merges", formatID(a.id)).Val() || b.rdb.Exists(context.Background(), "crdt:ahead").Val() != 0 {
		t.Error("the merge has left something behind")
	}
	a.write("SET last 1")
	b.write("SET last2 2")
	synced(t, a, b)
	sameData(t, a, b)
}

// A new region takes everything: data from before there were two, too.
func TestAnEmptyRegionMergesEverything(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	for i := range 3000 {
		a.rdb.Set(ctx, fmt.Sprint("old", i), i, 0)
	}
	a.rdb.RPush(ctx, "list", "x", "y", "z")
	a.rdb.Set(ctx, "timed", "v", time.Hour)
	a.write("SADD set m n", "INCR counter", "SET removed 1", "DEL removed")
	a.run(peersOf(a, regions), smallBacklog)
	for i := range 4000 {
		a.write(fmt.Sprintf("SET more%d v", i))
	}
	eventually(t, "a has trimmed its beginning", func() bool {
		info, err := a.region.history(ctx)
		return err == nil && !info.whole
	})
	b.run(peersOf(b, regions), smallBacklog)
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
	b.write("RPUSH list new", "SREM set m", "INCR counter", "DEL old5")
	a.write("LSET list 0 first", "SADD set o", "INCR counter", "SET old6 changed")
	synced(t, a, b)
	sameData(t, a, b)
}

// A merge that was broken off in its last phase ends at a later position than it had begun with: what changed between the two belongs
// to it, and so does a flush of a database whose keys had been gone through.
func TestAMergeBrokenOffInItsLastPhaseTakesWhatChangedMeanwhile(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	b.write("SET gone 1")
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
	broken := mergeProgress{
		Mode: mergeChanges, Phase: phaseOwn, Origin: info.origin.String(), Since: info.last, Until: info.last, Own: mergeCursor{DB: 1}, Began: time.Now(), Self: self.String(),
	}
	if err := b.rdb.HSet(ctx, b.keys.merges, formatID(a.id), broken.text()).Err(); err != nil {
		t.Fatal(err)
	}
	a.write("FLUSHALL", "SET later 1")
	b.run(peersOf(b, regions))
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
	if b.get("later") != "1" || b.get("gone") != "" {
		t.Errorf("later is %q, gone is %q", b.get("later"), b.get("gone"))
	}
}

// A Redis that comes back in the middle of a merge with data from before it has lost what was merged: all of it is taken again.
func TestAMergeGoesOnOnlyFromWhatTheServerStillHas(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	pipe := a.rdb.Pipeline()
	for i := range 10_000 {
		pipe.Set(ctx, fmt.Sprint("old", i), i, 0)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	a.run(peersOf(a, regions), smallBacklog)
	for i := range 4000 {
		a.write(fmt.Sprintf("SET more%d v", i))
	}
	eventually(t, "a has trimmed its beginning", func() bool {
		info, err := a.region.history(ctx)
		return err == nil && !info.whole
	})
	if err := errors.Join(b.arm(ctx), b.rdb.Save(ctx).Err()); err != nil {
		t.Fatal(err)
	}
	b.run(peersOf(b, regions))
	eventually(t, "part of it is merged", func() bool { return b.rdb.DBSize(ctx).Val() > 3000 })
	b.server.Kill()
	b.server.Restart()
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
}

// sameData fails unless all regions show the same keys.
func sameData(t *testing.T, regions ...*testRegion) {
	t.Helper()
	first := visible(t, regions[0])
	for _, r := range regions[1:] {
		if diff := redistest.Diff(first, visible(t, r), 0, 10); diff != "" {
			t.Fatalf("%s and %s differ:\n%s", regions[0].name, r.name, diff)
		}
	}
}

// visible is what clients see of a region.
func visible(t *testing.T, r *testRegion) redistest.Keyspace {
	t.Helper()
	space := redistest.Snapshot(t, redistest.Dial(t, r.server.Addr))
	maps.DeleteFunc(space, func(name string, _ redistest.Entry) bool { return strings.Contains(name, ":"+crdtmeta.DefaultPrefix) })
	return space
}

// A cursor of SCAN that our own Redis gave before it was started anew says nothing.
func TestMergeProgressForgetsCursorsOfAnotherEpoch(t *testing.T) {
	one, two := crdtmeta.Origin{Region: 1, Epoch: "1-aaaaaa"}, crdtmeta.Origin{Region: 1, Epoch: "2-bbbbbb"}
	begun := mergeProgress{Scan: mergeCursor{DB: 2, Cursor: 66}, Own: mergeCursor{DB: 3, Cursor: 77}, Self: one.String()}
	if got := begun.in(one); got.Own != begun.Own || got.Scan != begun.Scan {
		t.Errorf("in the same epoch: %+v", got)
	}
	if got := begun.in(two); got.Own != (mergeCursor{}) || got.Scan != begun.Scan || got.Self != two.String() {
		t.Errorf("in another one: %+v", got)
	}
}
