package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// little keeps metadata for a region that is away only while it is little, however long that takes.
func little(cfg *Config) {
	cfg.QuarantineMemory = MemoryShare{Bytes: 100 << 10}
	patient(cfg)
}

func patient(cfg *Config) {
	soon(cfg)
	cfg.QuarantineAfter = time.Hour
}

// A region that is away is given up when too much metadata waits for it, long before its time is over. One region that has no more room
// is enough: the others go on with it, as the one that was given up has to merge everything anyhow.
func TestTooMuchMetadataPutsARegionIntoQuarantine(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	a.run(peersOf(a, regions), little)
	b.run(peersOf(b, regions), patient)
	c.run(peersOf(c, regions), patient)
	ctx := context.Background()
	a.write("SET kept 1")
	c.write("SET own 1")
	synced(t, regions...)
	c.stop()
	round := 0
	eventually(t, "c is in quarantine at a", func() bool {
		for i := range 100 {
			a.write(fmt.Sprintf("SET gone%d v", 100*round+i), fmt.Sprintf("DEL gone%d", 100*round+i))
		}
		round++
		return a.rdb.HExists(ctx, a.keys.quarantined, formatID(c.id)).Val()
	})
	if n := a.logs.count("bytes of metadata wait for it"); n != 1 {
		t.Errorf("the cause was logged %d times", n)
	}
	eventually(t, "b follows", func() bool { return b.rdb.HExists(ctx, b.keys.quarantined, formatID(c.id)).Val() })
	eventually(t, "the tombstones are gone", func() bool {
		return len(a.rdb.Keys(ctx, "crdt:0{gone*").Val())+len(b.rdb.Keys(ctx, "crdt:0{gone*").Val()) == 0
	})
	c.run(peersOf(c, regions), patient)
	eventually(t, "c is back", func() bool { return c.tryWrite("SET back 1") == nil && a.get("back") == "1" })
	synced(t, regions...)
	sameData(t, regions...)
	if c.get("kept") != "1" || a.get("own") != "1" {
		t.Errorf("kept is %q, own is %q", c.get("kept"), a.get("own"))
	}
}

// Metadata that stays as long as its keys is no reason to give anybody up: it would not become less. What counts of it are the names that
// wait for another look.
func TestMetadataThatStaysIsNoReasonForQuarantine(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	// More than the names have, and less than they and the metadata.
	regions := mesh(t, 3, little, func(cfg *Config) { cfg.QuarantineMemory.Bytes *= 3 })
	a, c := regions[0], regions[2]
	ctx := context.Background()
	a.write("SET kept 1")
	synced(t, regions...)
	c.stop()
	for i := range 1000 {
		a.write(fmt.Sprintf("INCR counter%d", i), fmt.Sprintf("SET timed%d v EX 10000", i))
	}
	bytes := func(name string) (all int64) {
		for _, key := range a.rdb.Keys(ctx, name).Val() {
			all += a.rdb.MemoryUsage(ctx, key).Val()
		}
		return all
	}
	eventually(t, "the names of most of it wait, and are weighed", func() bool {
		own, _, err := a.Statuses(ctx)
		return err == nil && a.rdb.ZCard(ctx, a.keys.gc).Val() > 1000 && own.HeldBackBytes > bytes(a.keys.gc)/2
	})
	own, _, err := a.Statuses(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if all, names := bytes("crdt:0{*"), bytes(a.keys.gc); all < names || own.HeldBackBytes > names*3/2 {
		t.Errorf("%d bytes are said to wait, of %d of metadata and %d of names", own.HeldBackBytes, all, names)
	}
	if n := a.rdb.HLen(ctx, a.keys.quarantined).Val(); n != 0 {
		t.Error("a region was given up")
	}
	list, err := a.Info(ctx)
	if err != nil || !strings.Contains(fmt.Sprint(list), "crdt_gc_held_back_bytes") {
		t.Errorf("INFO does not tell: %v %v", list, err)
	}
}

func TestMemoryShare(t *testing.T) {
	known, unlimited := vitals{memoryLimit: 1000, machineMemory: 5000}, vitals{machineMemory: 5000}
	for _, test := range []struct {
		share MemoryShare
		v     vitals
		bytes int64
		below bool
	}{
		{MemoryShare{Percent: 25}, known, 250, false},
		{MemoryShare{Percent: 25}, known, 251, true},
		{MemoryShare{Percent: 25}, unlimited, 1250, false},
		{MemoryShare{Percent: 25}, unlimited, 1251, true},
		{MemoryShare{Percent: 25}, vitals{}, 1 << 50, false},
		{MemoryShare{Bytes: 7}, vitals{}, 8, true},
		{MemoryShare{Bytes: 7}, known, 7, false},
		{MemoryShare{All: true}, known, 1 << 50, false},
	} {
		if below := test.share.below(test.bytes, test.v); below != test.below {
			t.Errorf("%+v of %+v is below %d: %v", test.share, test.v, test.bytes, below)
		}
	}
	r := newRegions(t, 1)[0]
	for _, wrong := range []MemoryShare{{Percent: 101}, {Percent: -1}, {Bytes: -1}, {Bytes: 1, Percent: 1}, {All: true, Bytes: 1}} {
		cfg := r.config(nil)
		cfg.QuarantineMemory = wrong
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "QuarantineMemory") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	if s, err := New(r.config(nil)); err != nil || s.cfg.QuarantineMemory != DefaultQuarantineMemory {
		t.Errorf("none given: %v", err)
	}
}
