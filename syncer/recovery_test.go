package syncer

import (
	"bytes"
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

func TestLogIsTrimmedOnlyWhenEveryPeerHasIt(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	short := func(cfg *Config) { cfg.KeepTime = time.Millisecond }
	a.run(peersOf(a, regions), short)
	b.run(peersOf(b, regions), short)
	const writes = 1000
	for i := range writes {
		a.write(fmt.Sprintf("SET k %d", i))
	}
	eventually(t, "b has all", func() bool { return b.get("k") == fmt.Sprint(writes-1) })
	time.Sleep(500 * time.Millisecond)
	length := func() int64 { return a.rdb.XLen(context.Background(), "crdt:log").Val() }
	if n := length(); n != writes+1 {
		t.Fatalf("%d entries are left although a peer was never there", n)
	}
	c.run(peersOf(c, regions), short)
	eventually(t, "c has all", func() bool { return c.get("k") == fmt.Sprint(writes-1) })
	eventually(t, "trimmed", func() bool { return length() <= 200 })
	a.write("SET k last")
	eventually(t, "streams go on", func() bool { return b.get("k") == "last" && c.get("k") == "last" })
}

func TestPeerBehindTheBacklogNeedsAMergeAndSaysSo(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	for i := range 300 {
		a.write(fmt.Sprintf("SET k%d 1", i))
	}
	if n := a.rdb.XTrimMaxLen(context.Background(), "crdt:log", 50).Val(); n == 0 {
		t.Fatal("nothing was trimmed")
	}
	b.run(peersOf(b, regions))
	eventually(t, "shown", func() bool {
		p := b.peer(a.name)
		return p.State == StateMergeNeeded && strings.Contains(p.Error, "needs a merge")
	})
	time.Sleep(300 * time.Millisecond)
	if got := b.get("k299"); got != "" {
		t.Error("entries were applied over a hole")
	}
	if n := b.logs.count("no link to region"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestEntriesOfAnySizeArrive(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	small := func(cfg *Config) { cfg.BatchBytes, cfg.FrameBytes, cfg.WindowBytes = 16<<10, 64<<10, 128<<10 }
	a.run(peersOf(a, regions), small)
	b.run(peersOf(b, regions), small)
	ctx := context.Background()
	values := [][]byte{}
	for i, size := range []int{0, 1, 1 << 10, 16 << 10, 100 << 10, 5 << 20, 10} {
		value := bytes.Repeat([]byte{byte(i), 0, '\r', '\n'}, size/4)
		values = append(values, value)
		if err := a.rdb.Do(ctx, "FCALL", crdtmeta.FuncWrite, 0, 0, 3, "SET", fmt.Sprint("k", i), value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, a)
	for i, want := range values {
		if got, _ := b.rdb.Get(ctx, fmt.Sprint("k", i)).Bytes(); !bytes.Equal(got, want) {
			t.Errorf("value %d: %d bytes, want %d", i, len(got), len(want))
		}
	}
}

func TestAnotherProxyTakesOverTheLead(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	second := &testRegion{t: t, name: b.name, id: b.id, rdb: b.rdb, server: b.server, logs: b.logs, listen: ""}
	second.run(peersOf(b, regions), func(cfg *Config) { cfg.RunID = "run-second" })
	a.write("SET x 1")
	synced(t, a)
	eventually(t, "one leads", func() bool { return b.Leading() != second.Leading() })
	first, other := b, second
	if second.Leading() {
		first, other = second, b
	}
	first.stop()
	a.write("SET x 2")
	eventually(t, "the other leads", func() bool { return other.Leading() && b.get("x") == "2" })
}

func TestTwoLeadersAtOnceAreHarmless(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	// A second leader that holds a lease of its own, as after a long pause of the first one.
	second := &testRegion{t: t, name: b.name, id: b.id, rdb: b.rdb, server: b.server, logs: b.logs, listen: "", stop: func() {}}
	second.start(peersOf(b, regions), "crdt:lease2", func(cfg *Config) { cfg.RunID = "run-second" })
	eventually(t, "both lead", func() bool { return b.Leading() && second.Leading() })
	const writes = 500
	for range writes {
		a.write("INCR n", "SADD s x")
	}
	synced(t, a)
	if got := b.get("n"); got != fmt.Sprint(writes) {
		t.Errorf("n is %s, want %d", got, writes)
	}
}

func TestPausedProxyComesBackAfterItsLeaseWasTaken(t *testing.T) {
	r := newRegions(t, 1)[0]
	ctx := context.Background()
	first := lease{rdb: r.rdb, key: "crdt:lease", holder: "one", length: 200 * time.Millisecond}
	second := lease{rdb: r.rdb, key: "crdt:lease", holder: "two", length: 200 * time.Millisecond}
	for _, step := range []struct {
		lease lease
		want  bool
	}{{first, true}, {first, true}, {second, false}} {
		if ours, err := step.lease.take(ctx); err != nil || ours != step.want {
			t.Fatalf("%s: %v, %v", step.lease.holder, ours, err)
		}
	}
	time.Sleep(250 * time.Millisecond)
	if ours, err := second.take(ctx); err != nil || !ours {
		t.Fatalf("a lease that ran out: %v, %v", ours, err)
	}
	if ours, _ := first.take(ctx); ours {
		t.Error("the first holder renewed what is not its own any more")
	}
	_ = first.drop(ctx)
	if holder := r.rdb.Get(ctx, "crdt:lease").Val(); holder != "two" {
		t.Errorf("dropped the lease of another one: %q", holder)
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
