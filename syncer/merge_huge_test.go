package syncer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// A key of so many elements that Redis works on it for longer than a client waits, a link is silent and a lease lasts is merged like any other
// one, over one connection. If a call were given up, it would be begun again and again, and Redis would do nothing else.
func TestAHugeKeyIsMergedOverOneConnection(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	impatient := func(cfg *Config) {
		options := *cfg.Redis.Options()
		options.ReadTimeout, options.PoolSize = 200*time.Millisecond, 4
		cfg.Redis = redis.NewClient(&options)
		t.Cleanup(func() { cfg.Redis.Close() })
		cfg.LeaseTime, cfg.BeatInterval, cfg.SilenceLimit = 800*time.Millisecond, 50*time.Millisecond, 800*time.Millisecond
	}
	const members = 120_000
	for i := range members / 1000 {
		args := []any{"FCALL", crdtmeta.FuncWrite, 0, 0, 1002, "SADD", "set"}
		for j := range 1000 {
			args = append(args, fmt.Sprint("member", i*1000+j))
		}
		if err := a.rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.rdb.HSet(ctx, "crdt:collected", baseField, a.id) // what the first of them had from before: a merge of everything
	a.run(peersOf(a, regions), impatient)
	b.run(peersOf(b, regions), impatient)
	within(t, time.Minute, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	if n := b.rdb.SCard(ctx, "set").Val(); n != members {
		t.Errorf("%d members, want %d", n, members)
	}
	if n := a.counters.mergesServed.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
	if n := mergedKeys(t, b); n != 1 {
		t.Errorf("it was merged %d times", n)
	}
}

func mergedKeys(t *testing.T, r *testRegion) int64 {
	t.Helper()
	stats, err := r.engineStats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return stats["merged_keys"]
}

// Keys that changed, all keys, and our own, of which some may be gone: a merge of everything goes through keys in three ways, and most keys
// would come in all of them.
func TestAKeyGoesOnceOverAConnectionOfAMerge(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	synced(t, a, b)
	b.stop()
	const keys = 300
	for i := range keys {
		a.write(fmt.Sprintf("SADD set%d m", i))
	}
	a.rdb.HSet(ctx, "crdt:collected", baseField, a.id)
	self, err := b.region.origin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	info, err := a.region.history(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// It has begun, and keys change before it goes on.
	begun := beginAll(mergeWhole)
	begun.Origin, begun.Base, begun.Self = info.origin.String(), base(a.id), self.String()
	begun.Since, begun.Until, begun.Upto = info.last, info.last, crdtmeta.Frontier{info.origin: info.last}
	if err := b.rdb.HSet(ctx, "crdt:merges", formatID(a.id), begun.text()).Err(); err != nil {
		t.Fatal(err)
	}
	for i := range keys / 3 {
		a.write(fmt.Sprintf("SADD set%d n", i))
	}
	b.run(peersOf(b, regions))
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	synced(t, a, b)
	sameData(t, a, b)
	if n := mergedKeys(t, b); n != keys {
		t.Errorf("%d keys were merged, want %d", n, keys)
	}
}
