package syncer

import (
	"context"
	"testing"

	"anabranch/crdtmeta"
)

// What a new region's clients have removed before the others hear of it does not come back with what the others had from before: they will remove it,
// too. It is found in the new region's log, however long that is.
func TestWhatANewRegionHasRemovedDoesNotComeBackWithAMerge(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.rdb.SAdd(ctx, "set", "x", "y")
	a.rdb.Set(ctx, "string", "old", 0)
	a.rdb.RPush(ctx, "list", "old")
	a.rdb.HSet(ctx, "kept", "f", "v")
	a.rdb.HSet(ctx, "crdt:collected", baseField, a.id)
	b.write("SADD set x", "SREM set x", "SET string new", "DEL string", "SADD list other")
	pipe := b.rdb.Pipeline()
	for range 25_000 { // more than one call reads
		pipe.Do(ctx, "FCALL", crdtmeta.FuncWrite, 0, 0, 2, "INCR", "filler")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	a.run(peersOf(a, regions))
	if err := a.Pause(ctx, b.name); err != nil {
		t.Fatal(err)
	}
	b.run(peersOf(b, regions))
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	if err := a.Resume(ctx, b.name); err != nil {
		t.Fatal(err)
	}
	synced(t, a, b)
	sameData(t, a, b)
	if members := b.rdb.SMembers(ctx, "set").Val(); len(members) != 1 || members[0] != "y" {
		t.Errorf("the set has %q", members)
	}
	if b.get("string") != "" || b.get("filler") != "25000" || b.rdb.HGet(ctx, "kept", "f").Val() != "v" || b.rdb.Type(ctx, "list").Val() != "set" {
		t.Errorf("string %q, filler %s, list is a %s", b.get("string"), b.get("filler"), b.rdb.Type(ctx, "list").Val())
	}
}
