package syncer

import (
	"context"
	"strings"
	"testing"
)

// alarmed says whether an alarm that has all these words is raised.
func (r *testRegion) alarmed(words ...string) bool {
	r.t.Helper()
	own, _, err := r.Statuses(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, text := range own.Alarms {
		all := true
		for _, word := range words {
			all = all && strings.Contains(text, word)
		}
		if all {
			return true
		}
	}
	return false
}

// A key that the engine cannot merge stops the merge. It is named in the log, in the status and in an alarm, until it is put right.
func TestAMergeThatIsStuckIsAnAlarmThatNamesTheKey(t *testing.T) {
	regions := mergingRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	broken := "crdt:0{new77}"
	b.rdb.Set(ctx, broken, "no record", 0)
	if err := b.Resume(ctx, AllRegions); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the merge is stuck", func() bool { return b.alarmed("nothing comes from region 'alpha'", "engine error", "key 0:new77") })
	if p := b.peer(a.name); p.State != StateStalled || !strings.Contains(p.Error, "key 0:new77") {
		t.Errorf("state %s, error %q", p.State, p.Error)
	}
	if n := b.logs.count(`"level":"error","peer":"alpha","phase":"log","cause":"engine error: ERR anabranch: key 0:new77`); n != 1 {
		t.Errorf("logged %d times", n)
	}
	b.rdb.Del(ctx, broken)
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	eventually(t, "the alarm is over", func() bool { return !b.alarmed("alpha") })
	synced(t, a, b)
	sameData(t, a, b)
}

// The region that has the broken key says so, to its own operator and to the other region's.
func TestAKeyThatCannotBeGivenIsNamedOnBothSides(t *testing.T) {
	regions := mergingRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	const broken = "crdt:0{new77}"
	whole := a.rdb.Get(ctx, broken).Val()
	b.stop()
	a.rdb.Set(ctx, broken, "no record", 0)
	if err := b.Resume(ctx, AllRegions); err != nil {
		t.Fatal(err)
	}
	b.run(peersOf(b, regions), smallBacklog)
	eventually(t, "b is told", func() bool { return strings.Contains(b.peer(a.name).Error, "key 0:new77") })
	if a.logs.count(`"level":"error","peer":"beta","cause":"ERR anabranch: key 0:new77`) == 0 {
		t.Error("a does not log it")
	}
	a.rdb.Set(ctx, broken, whole, 0)
	eventually(t, "b has merged", func() bool { return b.counters.mergesDone.Load() > 0 })
	sameData(t, a, b)
}

// What the engine refuses of a stream is an alarm, too.
func TestAStreamThatIsStuckIsAnAlarm(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET fine 1")
	synced(t, a, b)
	b.rdb.Set(ctx, "crdt:0{k}", "no record", 0)
	a.write("SADD k v")
	eventually(t, "an alarm", func() bool { return b.alarmed("nothing comes from region 'alpha'", "engine error") })
	b.rdb.Del(ctx, "crdt:0{k}")
	synced(t, a, b)
	eventually(t, "the alarm is over", func() bool { return !b.alarmed("alpha") })
}
