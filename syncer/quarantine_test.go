package syncer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// soon puts a region that is away into quarantine at once, and collects without a period of grace to speak of.
func soon(cfg *Config) {
	cfg.QuarantineAfter, cfg.Grace, cfg.KeepTime, cfg.BacklogBytes = time.Second, 200*time.Millisecond, time.Millisecond, 32<<10
}

// A region that stays away does not hold collection back for ever. When it comes back, what was deleted meanwhile stays deleted,
// what it has written itself is kept, and its removals are void.
func TestRegionInQuarantineComesBackWithoutDeletedKeysAndWithItsOwn(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	regions := mesh(t, 3, soon)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	for i := range 50 {
		a.write(fmt.Sprintf("SET gone%d v", i), fmt.Sprintf("SADD set%d x y", i), fmt.Sprintf("SET kept%d v", i))
	}
	c.write("INCRBY counter 3")
	synced(t, regions...)
	c.stop()
	c.write("SET own 1", "SADD set1 mine", "INCRBY counter 4", "DEL kept1", "SREM set2 y", "SET kept2 changed")
	for i := range 50 {
		a.write(fmt.Sprintf("DEL gone%d", i))
		b.write(fmt.Sprintf("SREM set%d x", i))
	}
	a.write("INCRBY counter 100")
	eventually(t, "c is in quarantine", func() bool { return a.rdb.HExists(ctx, a.keys.quarantined, formatID(c.id)).Val() })
	eventually(t, "the tombstones are gone", func() bool {
		left := 0
		for _, r := range []*testRegion{a, b} {
			for _, key := range r.rdb.Keys(ctx, "crdt:0{gone*").Val() {
				left += len(key)
			}
		}
		return left == 0
	})
	c.run(peersOf(c, regions), soon)
	eventually(t, "c takes no writes", func() bool {
		err := c.tryWrite("SET x 1")
		return err != nil && strings.HasPrefix(err.Error(), "CRDTHELD") || c.counters.mergesDone.Load() > 0
	})
	eventually(t, "c is back", func() bool {
		return c.counters.mergesDone.Load() > 0 && c.tryWrite("SET back 1") == nil
	})
	eventually(t, "nobody is in quarantine", func() bool {
		return a.rdb.HLen(ctx, a.keys.quarantined).Val()+b.rdb.HLen(ctx, b.keys.quarantined).Val() == 0
	})
	synced(t, regions...)
	sameData(t, a, b, c)
	if a.get("gone7") != "" || a.get("own") != "1" || a.get("kept1") != "v" || a.get("kept2") != "changed" || a.get("counter") != "107" || b.get("back") != "1" {
		t.Errorf("gone7 %q own %q kept1 %q kept2 %q counter %q back %q", a.get("gone7"), a.get("own"), a.get("kept1"), a.get("kept2"), a.get("counter"), b.get("back"))
	}
	members := a.rdb.SMembers(ctx, "set1").Val()
	slices.Sort(members)
	if fmt.Sprint(members) != "[mine y]" {
		t.Errorf("set1 is %v", members)
	}
}

// Of two regions that are cut off from each other for long, at most one goes on without the other: what each has written
// meanwhile is kept.
func TestTwoRegionsDoNotGiveUpEachOther(t *testing.T) {
	for name, limit := range map[string]func(*Config){"time": soon, "memory": little} {
		t.Run(name, func(t *testing.T) { doNotGiveUpEachOther(t, limit) })
	}
}

func doNotGiveUpEachOther(t *testing.T, soon func(*Config)) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	regions := mesh(t, 2, soon)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET old 1", "SADD s x")
	synced(t, a, b)
	a.stop()
	b.stop()
	a.run(map[string][]string{b.name: {"127.0.0.1:1"}}, soon)
	b.run(map[string][]string{a.name: {"127.0.0.1:1"}}, soon)
	for i := range 20 {
		a.write(fmt.Sprintf("SET a%d 1", i), fmt.Sprintf("SADD s a%d", i))
		b.write(fmt.Sprintf("SET b%d 1", i), fmt.Sprintf("SADD s b%d", i))
	}
	eventually(t, "the one with the lowest id goes on alone", func() bool {
		for _, r := range regions {
			for i := range 100 {
				r.write(fmt.Sprintf("SADD %s%d%d x", r.name, i, time.Now().UnixNano()))
			}
		}
		return a.rdb.HExists(ctx, a.keys.quarantined, formatID(b.id)).Val()
	})
	eventually(t, "its metadata goes", func() bool { return a.rdb.Exists(ctx, "crdt:0{a5}").Val() == 0 })
	if b.rdb.HLen(ctx, b.keys.quarantined).Val() != 0 || b.rdb.Exists(ctx, "crdt:0{b5}").Val() == 0 {
		t.Error("the other one goes on alone, too")
	}
	a.stop()
	b.stop()
	a.run(peersOf(a, regions), soon)
	b.run(peersOf(b, regions), soon)
	eventually(t, "all have all", func() bool {
		for i := range 20 {
			for _, r := range regions {
				if r.get(fmt.Sprint("a", i)) == "" || r.get(fmt.Sprint("b", i)) == "" {
					return false
				}
			}
		}
		return a.rdb.SCard(ctx, "s").Val() == 41 && b.rdb.SCard(ctx, "s").Val() == 41
	})
	synced(t, a, b)
	sameData(t, a, b)
}

// A region is not let in on the word of what was collected before: more may have been since.
func TestARegionIsNotLetInOnAnOldWord(t *testing.T) {
	r, _ := stopped(t)
	ctx := context.Background()
	server, caller := &server{Syncer: r.Syncer}, hello{Name: "beta", ID: 2, Reentry: 2}
	collect := func(at int) {
		r.rdb.HSet(ctx, r.keys.collected, "1.0.1-abcdef", at)
		r.rdb.HSet(ctx, r.keys.quarantined, formatID(caller.ID), 1)
	}
	collect(10)
	told, err := r.region.collected(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.admitAgain(ctx, caller, told); err != nil {
		t.Errorf("is not let in: %v", err)
	}
	collect(11)
	if err := server.admitAgain(ctx, caller, told); err == nil || !strings.Contains(err.Error(), "connect again") {
		t.Errorf("is let in: %v", err)
	}
}

// A region that has to merge everything itself is no measure for another one that has to.
func TestARegionInQuarantineGivesNoMergeOfEverything(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	b.rdb.Set(context.Background(), "old", "v", 0)
	b.write("SET k v")
	if n := b.rdb.XTrimMaxLen(context.Background(), "crdt:log", 1).Val(); n == 0 {
		t.Fatal("nothing was trimmed")
	}
	b.run(peersOf(b, regions))
	if err := b.engine.hold(context.Background(), b.origin(), heldQuarantine); err != nil {
		t.Fatal(err)
	}
	a.run(peersOf(a, regions))
	eventually(t, "a is told", func() bool { return strings.Contains(a.peer(b.name).Error, "itself in quarantine") })
	if a.get("k") != "" || a.counters.mergesDone.Load() != 0 {
		t.Error("a has merged")
	}
	if err := b.engine.hold(context.Background(), b.origin(), ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has all", func() bool { return a.get("k") == "v" && a.get("old") == "v" })
}

// A region whose leaders change often gives up one that is dead all the same: each leader goes on counting where the last one ended.
func TestTimeAwayIsCountedOverLeaders(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	soonish := func(cfg *Config) {
		soon(cfg)
		cfg.QuarantineAfter = 4 * time.Second
	}
	regions := newRegions(t, 3)
	a, c := regions[0], regions[2]
	a.run(peersOf(a, regions), soonish)
	for _, r := range regions[1:] {
		r.run(peersOf(r, regions), patient)
	}
	ctx := context.Background()
	a.write("SET k v")
	synced(t, regions...)
	c.stop()
	a.write("SET k w")
	eventually(t, "c is in quarantine", func() bool {
		a.stop()
		a.run(peersOf(a, regions), soonish)
		time.Sleep(time.Second) // a quarter of what is needed
		return a.rdb.HExists(ctx, a.keys.quarantined, formatID(c.id)).Val()
	})
}

// A region that is paused there holds collection back for as long as that takes. When its link breaks for a moment, it is not away for all that time.
func TestALinkThatBreaksForAMomentIsNoTimeAway(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	way := redistest.StartRelay(t, c.listen)
	a.run(map[string][]string{b.name: {b.listen}, c.name: {way.Addr}}, func(cfg *Config) {
		soon(cfg)
		cfg.QuarantineAfter = 3 * time.Second
	})
	b.run(peersOf(b, regions), patient)
	c.run(peersOf(c, regions), patient)
	ctx := context.Background()
	synced(t, regions...)
	if err := c.Pause(ctx, AllRegions); err != nil {
		t.Fatal(err)
	}
	a.write("SET k v")
	since := func() time.Duration {
		own, _, err := a.published(ctx)
		held, waits := own.HeldBackBy[c.name]
		if err != nil || !waits {
			return 0
		}
		return own.At.Sub(held)
	}
	eventually(t, "c holds collection back for longer than it may be away", func() bool { return since() > a.cfg.QuarantineAfter+time.Second })
	for range 10 {
		way.Set(redistest.Trouble{Cut: true})
		eventually(t, "the link is down", func() bool { return !a.peer(c.name).State.up() })
		way.Set(redistest.Trouble{})
		eventually(t, "the link is up", func() bool { return a.peer(c.name).State.up() })
	}
	if n := a.logs.count("region is in quarantine"); n > 0 {
		t.Error("c is in quarantine, which was away for a moment")
	}
	way.Set(redistest.Trouble{Cut: true})
	eventually(t, "c is in quarantine when it is away for good", func() bool { return a.rdb.HExists(ctx, a.keys.quarantined, formatID(c.id)).Val() })
}

// While nobody leads nobody knows who is there: that time is not held against a region.
func TestTimeWithoutALeaderIsNoTimeAway(t *testing.T) {
	now := time.Now()
	times := map[string]time.Time{"gamma": now.Add(-11 * time.Hour), "removed": now.Add(-12 * time.Hour), "future": now}
	last := RegionStatus{At: now.Add(-10 * time.Hour), HeldBackBy: times, SilentSince: times}
	var waits heldBack
	waits.adopt(last, []string{"beta", "gamma", "future"}, now)
	held, silent := waits.list(now)
	for what, found := range map[string]map[string]time.Time{"held back by": held, "silent are": silent} {
		if away := now.Sub(found["gamma"]); len(found) != 1 || away != time.Hour {
			t.Errorf("%s %v; gamma for %v, want 1h", what, found, away)
		}
	}
	held, silent = waits.publish(now, last.At)
	for what, again := range map[string]time.Time{"held back": held["gamma"], "silent": silent["gamma"]} {
		if !again.Equal(times["gamma"]) {
			t.Errorf("%s: published as %v, was %v", what, again, times["gamma"])
		}
	}
}

// A region that lost what all others have collected says nothing of it any more. That is no removal: nothing is taken from it until it
// has merged everything.
func TestNothingIsTakenFromARegionThatHasMissedWhatIsCollected(t *testing.T) {
	regions := mesh(t, 3, soon)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.write("SADD s old")
	synced(t, regions...)
	if err := b.rdb.Save(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	a.write("SADD s x")
	synced(t, regions...)
	eventually(t, "all know it", func() bool { return a.rdb.Exists(ctx, "crdt:0{s}").Val() == 0 })
	b.stop()
	b.server.Kill()
	b.server.Restart()
	eventually(t, "b is armed", func() bool { return b.armedWrite("SADD s y") })
	a.stop()
	begun := mergeProgress{Mode: mergeChanges, Phase: phaseLog, Began: time.Now()}
	if err := a.rdb.HSet(ctx, a.keys.merges, formatID(b.id), begun.text()).Err(); err != nil {
		t.Fatal(err)
	}
	nowhere := map[string][]string{a.name: {"127.0.0.1:1"}, c.name: {"127.0.0.1:1"}}
	b.run(nowhere, soon) // so that it does not learn what it has missed
	a.run(peersOf(a, regions), soon)
	eventually(t, "a takes nothing from b", func() bool { return a.peer(b.name).State == StateApart })
	if members := a.rdb.SMembers(ctx, "s").Val(); len(members) != 2 {
		t.Errorf("s is %v", members)
	}
	b.stop()
	b.run(peersOf(b, regions), soon)
	eventually(t, "b is back", func() bool { return b.counters.mergesDone.Load() > 0 && b.tryWrite("SET back 1") == nil })
	eventually(t, "all have all", func() bool {
		return a.rdb.SCard(ctx, "s").Val() == 3 && b.rdb.SCard(ctx, "s").Val() == 3 && c.rdb.SCard(ctx, "s").Val() == 3
	})
	synced(t, regions...)
	sameData(t, a, b, c)
}

// A region that has merged everything from one region is let in by the others, also by one that it first asks for a merge of changes: it had
// begun one there before.
func TestARegionIsLetInForAMergeOfChanges(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET k 1")
	b.write("SET l 1")
	synced(t, regions...)
	b.stop()
	a.write("SET k 2")
	last := a.appliedOf(b)
	begun := mergeProgress{Mode: mergeChanges, Phase: phaseLog, Began: time.Now()}
	for _, err := range []error{
		a.rdb.HSet(ctx, a.keys.quarantined, formatID(b.id), last.String()).Err(),
		b.rdb.Set(ctx, b.keys.reentry, (last + 1).String(), 0).Err(),
		b.rdb.HSet(ctx, b.keys.merges, formatID(a.id), begun.text()).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b.run(peersOf(b, regions))
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	eventually(t, "nobody is in quarantine", func() bool { return a.rdb.HLen(ctx, a.keys.quarantined).Val() == 0 })
	synced(t, regions...)
	sameData(t, a, b)
}

// A region in quarantine whose last peer is removed has nobody left to merge from: it takes writes.
func TestARegionInQuarantineWithoutPeersTakesWrites(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	b.write("SET kept 1")
	synced(t, a, b)
	a.stop()
	self, err := b.region.origin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.engine.hold(ctx, self, heldQuarantine); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * b.cfg.StatusInterval)
	if err := b.tryWrite("SET x 1"); err == nil {
		t.Fatal("it takes writes while it has a peer to merge from")
	}
	if err := b.RemoveMember(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it takes writes", func() bool { return b.tryWrite("SET x 1") == nil })
	if b.get("kept") != "1" {
		t.Error("kept is gone")
	}
}
