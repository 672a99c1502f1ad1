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

func (r *testRegion) origin() crdtmeta.Origin {
	r.t.Helper()
	origin, err := r.region.origin(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return origin
}

// save makes a snapshot that a killed server starts from again: what is written afterwards is lost.
func (r *testRegion) save() {
	r.t.Helper()
	if err := r.rdb.Save(context.Background()).Err(); err != nil {
		r.t.Fatal(err)
	}
}

func TestRegionThatLostItsNewestWritesGoesOnInANewEpoch(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	a.write("SET kept 1")
	b.write("SET fromB 1")
	synced(t, a, b)
	a.save()
	a.write("SET orphan 1")
	b.write("SET fromB 2")
	synced(t, a, b)
	before := a.origin()
	a.server.Kill()
	a.server.Restart()
	eventually(t, "a has a new epoch", func() bool {
		origin, err := a.region.origin(context.Background())
		return err == nil && origin != before
	})
	if got := a.get("orphan"); got != "" {
		t.Fatalf("the test lost nothing: %q", got)
	}
	a.write("SET after 1")
	eventually(t, "b has what a wrote in the new epoch", func() bool { return b.get("after") == "1" })
	eventually(t, "a has again what it lost of b", func() bool { return a.get("fromB") == "2" })
	b.write("SET fromB 3")
	synced(t, a, b)
	if a.get("fromB") != "3" {
		t.Error("b's writes do not arrive")
	}
}

func TestRedisThatRestartsWithoutLossesIsPulledOn(t *testing.T) {
	regions := newRegionsWith(t, 2, redistest.WithAOF())
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions))
	a.write("SET x 1")
	synced(t, a, b)
	for i := range 3 {
		a.server.Kill()
		b.write(fmt.Sprintf("SET y %d", i))
		a.server.Restart()
		eventually(t, "a has what b wrote meanwhile", func() bool { return a.get("y") == fmt.Sprint(i) })
		eventually(t, "armed", func() bool { return a.tryWrite(fmt.Sprintf("SET x %d", i)) == nil })
		eventually(t, "b has what a wrote", func() bool { return b.get("x") == fmt.Sprint(i) })
	}
}

func TestLibraryThatWasFlushedIsLoadedAgain(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	if err := b.rdb.FunctionFlush(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	a.write("SET x 1")
	eventually(t, "applied", func() bool { return b.get("x") == "1" })
}

func TestFullMemoryMakesEntriesWaitAndNothingIsLost(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET x 1")
	synced(t, a)
	b.rdb.ConfigSet(ctx, "maxmemory", "1mb")
	for i := range 20 {
		a.write(fmt.Sprintf("SET k%d %d", i, i))
	}
	eventually(t, "shown", func() bool {
		p := b.peer(a.name)
		return p.State == StateStalled && strings.Contains(p.Error, "OOM")
	})
	if b.peer(a.name).LagEntries == 0 {
		t.Error("no lag is shown")
	}
	b.rdb.ConfigSet(ctx, "maxmemory", "0")
	synced(t, a)
	for i := range 20 {
		if got := b.get(fmt.Sprintf("k%d", i)); got != fmt.Sprint(i) {
			t.Errorf("k%d is %q", i, got)
		}
	}
}

func TestEffectsArriveInCausalOrder(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	slow := newBreaker(t, a.listen) // c hears of a only through it
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions))
	c.run(map[string][]string{a.name: {slow.addr}, b.name: {b.listen}}, func(cfg *Config) { cfg.SilenceLimit = time.Minute })
	a.write("SADD s first")
	b.write("SET warm 1")
	synced(t, a, b)
	slow.freeze()
	a.write("SADD s cause")
	eventually(t, "b has seen the cause", func() bool { return b.rdb.SIsMember(context.Background(), "s", "cause").Val() })
	b.write("SET effect 1")
	eventually(t, "c waits", func() bool {
		p := c.peer(b.name)
		return p.State == StateWaiting && strings.HasPrefix(p.WaitsFor, a.origin().String())
	})
	if c.get("effect") != "" {
		t.Fatal("the effect was seen before its cause")
	}
	slow.thaw()
	eventually(t, "c has both", func() bool {
		return c.get("effect") == "1" && c.rdb.SIsMember(context.Background(), "s", "cause").Val()
	})
}

func TestImpossibleAcknowledgementIsNotBelieved(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	a.write("SET x 1")
	ahead := crdtmeta.TimeAt(time.Now().Add(time.Hour).UnixMilli())
	b.rdb.HSet(context.Background(), "crdt:frontier", a.origin().String(), int64(ahead))
	b.run(peersOf(b, regions))
	eventually(t, "refused", func() bool {
		p := b.peer(a.name)
		return p.State == StateRefused && strings.Contains(p.Error, "its log ends at")
	})
	if n, err := a.Wait(context.Background(), 1, 50*time.Millisecond); n != 0 || err != nil {
		t.Errorf("believed: %d, %v", n, err)
	}
}

func TestKeysThatExpiredTooEarlyAreFetchedFromTheirOrigin(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET x value", "PEXPIRE x 300000")
	synced(t, a)
	if err := b.Pause(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	a.write("PEXPIRE x 600000")
	// The key is gone in b as if its TTL had run out a moment before the longer one arrives.
	if err := b.rdb.Del(ctx, "x").Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(ctx, a.name); err != nil {
		t.Fatal(err)
	}
	synced(t, a)
	if got := b.get("x"); got != "value" {
		t.Errorf("x is %q", got)
	}
}

func TestBacklogIsCaughtUpQuickly(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	const calls, ops = 500, 40
	for i := range calls {
		args := []any{"FCALL", crdtmeta.FuncWrite, 0, 0}
		for j := range ops {
			args = append(args, 3, "SET", fmt.Sprintf("key:%d:%d", i, j), strings.Repeat("v", 200))
		}
		if err := a.rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.run(peersOf(a, regions))
	began := time.Now()
	b.run(peersOf(b, regions))
	synced(t, a)
	took := time.Since(began)
	t.Logf("%d effects in %v: %.0f per second", calls*ops, took, calls*ops/took.Seconds())
	if got := b.get(fmt.Sprintf("key:%d:%d", calls-1, ops-1)); len(got) != 200 {
		t.Errorf("%d bytes", len(got))
	}
}
