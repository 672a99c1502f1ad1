package syncer

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A Redis comes back with old data while its leader goes on. The leader must not vouch for it before it is armed: clients are held until
// another region has said that nothing is missing which is collected there.
func TestARedisThatComesBackOldIsHeldAlthoughItsLeaderLives(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.trust = "100"
	var barred atomic.Bool
	a.run(peersOf(a, regions), func(cfg *Config) {
		cfg.Arm = func(ctx context.Context) error {
			for barred.Load() {
				sleep(ctx, time.Millisecond)
			}
			return a.arm(ctx)
		}
	})
	b.run(peersOf(b, regions))
	a.write("SET k 1")
	synced(t, regions...)
	alive := func() int64 {
		n, _ := strconv.ParseInt(a.rdb.Get(ctx, "crdt:alive").Val(), 10, 64)
		return n
	}
	eventually(t, "the leader gives signs of life", func() bool { return alive() > 0 })
	if err := a.rdb.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	saved := alive()
	eventually(t, "the snapshot is old", func() bool { return alive() > saved+500 })
	b.stop()
	barred.Store(true)
	a.server.Kill()
	a.server.Restart()
	told := func() string { return a.rdb.HGet(ctx, a.keys.status, ownField).Val() }
	before := told()
	eventually(t, "the leader publishes", func() bool { return told() != before })
	if at := alive(); at > saved {
		t.Errorf("the sign of life is %d ms newer than the data", at-saved)
	}
	barred.Store(false)
	eventually(t, "clients are held", func() bool {
		err := a.tryWrite("SET k 2")
		return err != nil && strings.HasPrefix(err.Error(), "CRDTHELD "+heldAway)
	})
	b.run(peersOf(b, regions))
	eventually(t, "clients may write again", func() bool { return a.tryWrite("SET k 3") == nil })
	synced(t, regions...)
	sameData(t, a, b)
}

// What the leader remembers of collection is about another past then: the metadata that has come back is collected, too, and no entry of the
// log that names it goes before.
func TestMetadataThatComesBackIsCollected(t *testing.T) {
	regions := mesh(t, 2, func(cfg *Config) {
		cfg.Grace, cfg.CollectInterval, cfg.KeepTime = 5*time.Second, 50*time.Millisecond, time.Millisecond
	})
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET early 1")
	eventually(t, "collection has begun", func() bool { return a.rdb.HExists(ctx, a.keys.collected, cursorField).Val() })
	for i := range 400 { // the log is trimmed by nodes of a hundred
		a.write("SET k" + strconv.Itoa(i) + " 1")
	}
	left := func() int { return len(a.rdb.Keys(ctx, "crdt:0{k*").Val()) }
	kept := func() int64 { return a.rdb.XLen(ctx, a.keys.log).Val() }
	synced(t, regions...)
	if err := a.rdb.Save(ctx).Err(); err != nil || left() != 400 {
		t.Fatalf("%v, %d keys have metadata", err, left())
	}
	eventually(t, "all is collected, and the log is trimmed", func() bool { return left() == 0 && kept() < 200 })
	a.server.Kill()
	a.server.Restart()
	if left() != 400 || kept() < 400 {
		t.Fatalf("metadata of %d keys has come back, and %d entries", left(), kept())
	}
	eventually(t, "a is armed", func() bool { return a.armedWrite("SET other 1") })
	eventually(t, "all is collected again", func() bool { return left() == 0 })
	synced(t, regions...)
	sameData(t, a, b)
}

// The time after which a region goes on alone begins when it is held, however long somebody has been leading.
func TestALeaderThatLivesDoesNotLetARegionGoAtOnce(t *testing.T) {
	r, _ := stopped(t)
	ctx := context.Background()
	r.cfg.AloneAfter = 300 * time.Millisecond
	l := &leader{Syncer: r.Syncer, links: []*linkStatus{newLinkStatus("other", nil)}}
	held := func() bool { return r.rdb.Exists(ctx, r.keys.held).Val() > 0 }
	look := func() {
		t.Helper()
		if err := l.letAlone(ctx); err != nil {
			t.Fatal(err)
		}
	}
	look()
	time.Sleep(2 * r.cfg.AloneAfter)
	for range 2 {
		if err := r.engine.hold(ctx, r.origin(), heldAway+"9 s"); err != nil {
			t.Fatal(err)
		}
		if look(); !held() {
			t.Error("clients were held, and may write at once")
		}
		time.Sleep(2 * r.cfg.AloneAfter)
		if look(); held() {
			t.Error("clients are still held")
		}
		look()
	}
}

// A Redis that comes back empty has forgotten who was added at run time, and its proxies have not.
func TestMembersSurviveAnEmptyRedis(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.run(nil)
	b.run(peersOf(b, regions))
	if err := a.AddMember(ctx, b.name, []string{b.listen}); err != nil {
		t.Fatal(err)
	}
	a.write("SET k 1")
	synced(t, regions...)
	a.server.Kill()
	a.server.Restart() // nothing was saved
	eventually(t, "a is armed", func() bool { return a.armedWrite("SET l 1") })
	eventually(t, "a has its data again", func() bool { return a.get("k") == "1" })
	synced(t, regions...)
	sameData(t, a, b)
}

// A merge of everything has taken the frontier back although this region itself still has what it wrote in an epoch that has ended.
// Nobody else has it, so this region says that it is here, and others take it; and collection goes on.
func TestTheRestOfAnEpochThatOnlyItsRegionHasIsClaimed(t *testing.T) {
	regions := mesh(t, 3, func(cfg *Config) { cfg.Grace, cfg.CollectInterval = 100*time.Millisecond, 50*time.Millisecond })
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET k 1")
	synced(t, regions...)
	ended := a.origin()
	if err := a.rdb.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	a.server.Kill()
	a.server.Restart()
	eventually(t, "a is in another epoch", func() bool { return a.armedWrite("SET k 2") && a.origin() != ended })
	synced(t, regions...)
	newest, counts, err := a.region.newest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	last := newest[ended] + 100
	if err := a.rdb.HSet(ctx, a.keys.newest, ended.String(), last.String()+" "+counts[ended].String()).Err(); err != nil {
		t.Fatal(err)
	}
	a.write("SET l 1")
	for _, r := range regions {
		eventually(t, r.name+" has all of it", func() bool {
			frontier, err := r.region.frontier(ctx)
			return err == nil && frontier[ended] == last
		})
	}
	eventually(t, "what was written since is collected", func() bool { return a.rdb.Exists(ctx, "crdt:0{l}").Val()+b.rdb.Exists(ctx, "crdt:0{l}").Val() == 0 })
	synced(t, regions...)
	sameData(t, regions...)
}
