package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

func (r *testRegion) observe() Observation {
	r.t.Helper()
	o, err := r.Observe(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return o
}

func TestFootprintCountsKeysAndCompanions(t *testing.T) {
	regions := newRegions(t, 2)
	a := regions[0]
	a.rdb.Set(context.Background(), "old", "data from before", 0)
	a.run(peersOf(a, regions), func(c *Config) { c.FootprintInterval = 50 * time.Millisecond })
	for i := range 20 {
		a.write(fmt.Sprintf("SET k%d v", i))
	}
	if err := a.rdb.Do(context.Background(), "EVAL", "redis.call('SELECT', 3) return redis.call('MSET', 'x', 1, 'y', 2)", 0).Err(); err != nil {
		t.Fatal(err)
	}
	want := []DatabaseStatus{{DB: 0, Keys: 21, Companions: 20}, {DB: 3, Keys: 2}}
	eventually(t, "keys are counted", func() bool { return fmt.Sprint(a.observe().Own.Databases) == fmt.Sprint(want) })
	// A companion of these takes some 100 bytes.
	eventually(t, "bytes are estimated", func() bool { n := a.observe().Own.CompanionBytes; return n > 20*50 && n < 20*300 })
	if n := a.observe().Own.Companions(); n != 20 {
		t.Errorf("%d companions", n)
	}
	if db := a.rdb.Do(context.Background(), "CLIENT", "LIST").String(); strings.Count(db, " db=3 ") > 0 {
		t.Errorf("a connection stays in another database: %s", db)
	}
}

func TestObservationTellsWhoIsInQuarantineAndWhatMemoryThereIs(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET x 1")
	synced(t, a)
	a.rdb.ConfigSet(ctx, "maxmemory", "100mb")
	b.stop() // it would be let in again
	a.rdb.HSet(ctx, a.keys.quarantined, formatID(b.id), "1")
	eventually(t, "quarantine and memory show", func() bool {
		own := a.observe().Own
		return fmt.Sprint(own.Quarantined) == "[beta]" && own.MemoryLimit == 100<<20 && own.MemoryUsed > 0
	})
	if err := a.engine.hold(ctx, a.origin(), heldQuarantine); err != nil {
		t.Fatal(err)
	}
	eventually(t, "held writes show", func() bool { return a.observe().Own.Held == heldQuarantine })
	fields, err := a.Status(ctx)
	if text := fmt.Sprint(fields); err != nil || !strings.Contains(text, "{in quarantine beta}") || !strings.Contains(text, "{writes held "+heldQuarantine) {
		t.Errorf("CRDT STATUS: %s, %v", text, err)
	}
}

func TestRegionsSayHowFarTheyAreBehindEachOther(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	a.write("SET x 1")
	b.write("SET y 1")
	c.write("SET z 1")
	synced(t, a, b, c)
	behind := func() (ms int64, told bool) {
		ms, told = a.peer(b.name).Others[c.name]
		return ms, told
	}
	eventually(t, "b has all of c's", func() bool { ms, told := behind(); return told && ms == 0 })
	if err := b.Pause(context.Background(), c.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b is paused", func() bool { return b.peer(c.name).State == StatePaused })
	time.Sleep(50 * time.Millisecond) // b lacks what c writes from now on, by so much at least
	c.write("SET z 2")
	eventually(t, "b lacks some of c's", func() bool { ms, told := behind(); return told && ms >= 20 })
	if ms := a.peer(c.name).Others[b.name]; ms != 0 {
		t.Errorf("c is %d ms behind b", ms)
	}
	if err := b.Resume(context.Background(), c.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has all of c's again", func() bool { ms, told := behind(); return told && ms == 0 })
}

func TestEngineStatsNameConflictsByType(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	for _, r := range regions {
		if err := r.Pause(context.Background(), AllRegions); err != nil {
			t.Fatal(err)
		}
	}
	a.write("SET x 1")
	b.write("SET x 2")
	for _, r := range regions {
		if err := r.Resume(context.Background(), AllRegions); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, a, b)
	o := a.observe()
	if o.Engine.Conflicts != 1 || o.Engine.ConflictsBy["string"] != 1 || fmt.Sprint(o.Engine.ConflictTypes()) != "[string]" {
		t.Errorf("conflicts: %+v", o.Engine)
	}
	if o.Engine.Entries == 0 || o.Engine.Effects != 1 || o.Engine.AppliedEffects != 1 || !o.Leads || o.Here.StreamsServed == 0 {
		t.Errorf("got %+v, %+v", o.Engine, o.Here)
	}
	if origin, err := crdtmeta.ParseOrigin(o.Own.Origin); err != nil || origin.Counter() < 1 {
		t.Errorf("origin %q: %v", o.Own.Origin, err)
	}
}
