package syncer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A region that joins empty has merged everything, and its own log says nothing of what it had: the others, who know nothing of it
// yet, synchronise everything with it in turn. What they have that it has not yet is lost.
func TestAnEmptyRegionThatJoinsTakesNothingFromTheOthers(t *testing.T) {
	regions := newRegions(t, 4)
	d, old := regions[3], regions[:3]
	ctx := context.Background()
	short := func(cfg *Config) { cfg.KeepTime, cfg.Grace = time.Millisecond, 50*time.Millisecond }
	for i, r := range old {
		r.run(peersOf(r, old), short, func(cfg *Config) {
			if i == 1 {
				cfg.BeatInterval = 500 * time.Millisecond // so that the others hear of the new member late
			}
		})
	}
	for i := range 120 {
		for _, r := range old {
			r.write(fmt.Sprintf("SET k%d %s", i, r.name), "INCR n", fmt.Sprintf("SADD s %s%d", r.name, i))
		}
	}
	synced(t, old...)
	want := old[0].get("k100")
	d.write("SET from:d early") // so that there is something in its log that must not be told
	d.run(peersOf(d, regions), short)
	if err := old[1].AddMember(ctx, d.name, []string{d.listen}); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		for _, r := range old {
			r.write(fmt.Sprintf("SET late%d %s", i, r.name), "INCR n", fmt.Sprintf("SADD s %s:%d", r.name, i))
		}
	}
	d.must("SET from:d v", "SADD s d")
	eventually(t, "d is a member", func() bool { return len(old[0].peers()) == 3 && len(old[2].peers()) == 3 })
	synced(t, regions...)
	for _, r := range old {
		if r.logs.count("merge with region", `"mode":"whole"`) > 0 {
			t.Errorf("%s has merged everything", r.name)
		}
	}
	for _, r := range regions {
		if got := r.get("k100"); got != want {
			t.Errorf("%s has %q, want %q", r.name, got, want)
		}
		if got := r.get("n"); got != "660" {
			t.Errorf("%s: n is %s", r.name, got)
		}
		if got := r.rdb.SCard(ctx, "s").Val(); got != 661 {
			t.Errorf("%s: s has %d", r.name, got)
		}
	}
	sameData(t, regions...)
}

// Regions to which one comes with data of its own, older or not, take what that has for right, or all wait for each other.
func TestARegionThatJoinsWithOldDataTakesNothingFromTheOthers(t *testing.T) {
	for _, at := range []int{0, 2} { // with the lowest id, and with the highest
		t.Run(regionNames[at], func(t *testing.T) {
			regions := unarmed(t, 3)
			c, old := regions[at], slices.Delete(slices.Clone(regions), at, at+1)
			a, b := old[0], old[1]
			ctx := context.Background()
			for i := range 50 {
				c.rdb.Set(ctx, fmt.Sprint("k", 2*i), "older", 0)
				c.rdb.Set(ctx, fmt.Sprint("old", i), "v", 0)
			}
			c.rdb.SAdd(ctx, "s", "older", "a1")
			for _, r := range regions {
				if err := r.arm(ctx); err != nil {
					t.Fatal(err)
				}
			}
			short := func(cfg *Config) { cfg.KeepTime, cfg.Grace = time.Millisecond, 50*time.Millisecond }
			for _, r := range old {
				r.run(peersOf(r, old), short)
			}
			for i := range 100 {
				a.write(fmt.Sprintf("SET k%d v", i), fmt.Sprintf("SADD s a%d", i))
			}
			b.write("INCR n")
			synced(t, a, b)
			for _, r := range old {
				eventually(t, r.name+" has collected", func() bool { return r.rdb.Exists(ctx, "crdt:0{k1}").Val() == 0 })
			}
			c.run(peersOf(c, regions), short)
			if err := a.AddMember(ctx, c.name, []string{c.listen}); err != nil {
				t.Fatal(err)
			}
			for i := range 50 {
				a.write(fmt.Sprintf("SET late%d v", i))
				b.write("INCR n")
			}
			c.must("SET from:c v")
			eventually(t, "c is a member", func() bool { return len(b.peers()) == 2 })
			eventually(t, "all have what c had", func() bool { return a.get("old49") == "v" && b.get("old49") == "v" })
			synced(t, regions...)
			sameData(t, regions...)
			for i := range 100 {
				if got := a.get(fmt.Sprint("k", i)); got != "v" {
					t.Fatalf("k%d is %q", i, got)
				}
			}
			if a.get("n") != "51" || b.get("late49") != "v" || b.get("from:c") != "v" || a.rdb.SCard(ctx, "s").Val() != 101 {
				t.Errorf("n is %s, late49 %q, from:c %q, s has %d", a.get("n"), b.get("late49"), b.get("from:c"), a.rdb.SCard(ctx, "s").Val())
			}
			for _, r := range old {
				if r.logs.count("merge with region", `"mode":"whole"`)+r.logs.count("merge with region", `"mode":"joining"`) > 0 {
					t.Errorf("%s has merged everything", r.name)
				}
			}
		})
	}
}
