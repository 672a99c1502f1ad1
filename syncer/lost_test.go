package syncer

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"

	"github.com/redis/go-redis/v9"
)

// failover is a region's Redis with a replica that can take its place.
type failover struct {
	*testRegion
	replica *redistest.Server
	primary atomic.Pointer[string]
}

// withReplica gives a region, before it runs, a replica and a client that always leads to the primary.
func withReplica(r *testRegion) *failover {
	r.t.Helper()
	f := &failover{testRegion: r, replica: redistest.StartReplica(r.t, r.server)}
	f.primary.Store(&r.server.Addr)
	options := *r.rdb.Options()
	options.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialTCP(ctx, *f.primary.Load()) }
	r.rdb = redis.NewClient(&options)
	r.t.Cleanup(func() { _ = r.rdb.Close() })
	return f
}

// freeze cuts the replica off when it has everything: what is written from now on is lost with the primary.
func (f *failover) freeze() {
	f.t.Helper()
	ctx := context.Background()
	eventually(f.t, "the replica has everything", func() bool {
		conn := f.rdb.Conn()
		defer conn.Close()
		return conn.Set(ctx, "crdt:shipped", 1, 0).Err() == nil && conn.Wait(ctx, 1, time.Second).Val() == 1
	})
	if err := f.replica.Client().Do(ctx, "REPLICAOF", "NO", "ONE").Err(); err != nil {
		f.t.Fatal(err)
	}
}

// promote kills the primary and puts the replica in its place.
func (f *failover) promote() {
	f.t.Helper()
	f.server.Kill()
	f.server = f.replica
	f.primary.Store(&f.replica.Addr)
}

// lossOf is what a region says of its losses.
func (r *testRegion) lossOf() (lost, missing string) {
	r.t.Helper()
	list, err := r.Info(context.Background())
	if err != nil {
		return err.Error(), ""
	}
	for _, field := range list {
		switch field.Name {
		case "crdt_lost_on_failover":
			lost = field.Value
		case "crdt_missing_after_failover":
			missing = field.Value
		}
	}
	return lost, missing
}

// lost waits until a region has settled what it has lost.
func (r *testRegion) lost(want string) {
	r.t.Helper()
	var lost, missing string
	eventually(r.t, "lost "+want, func() bool {
		lost, missing = r.lossOf()
		return lost == want && missing == "0"
	})
}

// counted waits until the region's proxy, or another region, has heard how many effects its epoch has had.
func (r *testRegion) counted(by *testRegion, effects crdtmeta.Time) {
	r.t.Helper()
	origin := r.origin()
	eventually(r.t, fmt.Sprintf("%s has heard of %d effects of %s", by.name, effects, r.name), func() bool {
		if by == r {
			return r.tally.counted()[origin] == effects
		}
		heard, err := by.region.heard(context.Background())
		return err == nil && heard[origin].effects == int64(effects)
	})
}

// epochAfter waits for another epoch.
func (r *testRegion) epochAfter(before crdtmeta.Origin) {
	r.t.Helper()
	eventually(r.t, r.name+" has a new epoch", func() bool {
		origin, err := r.region.origin(context.Background())
		return err == nil && origin != before
	})
}

// threeWithReplica starts three regions that are in step, the first one with a replica that has everything and is cut off.
func threeWithReplica(t *testing.T) (*failover, []*testRegion) {
	t.Helper()
	regions := newRegionsWith(t, 3, redistest.WithConfig("repl-diskless-sync-delay 0"))
	a := withReplica(regions[0])
	for _, r := range regions {
		r.run(peersOf(r, regions))
	}
	a.write("SET kept 1", "SADD kepts m")
	synced(t, regions...)
	a.freeze()
	return a, regions
}

// What a promoted replica lacks and no other region had received is counted, exactly, as far as a proxy has asked in time: 2 strings,
// a string with its TTL, a set, a counter.
func TestATailThatNobodyHasIsCounted(t *testing.T) {
	a, regions := threeWithReplica(t)
	b, c := regions[1], regions[2]
	b.stop()
	c.stop()
	a.write("SET x 1", "SET y 2", "SET z 3 EX 1000", "SADD s m n o", "INCR counter")
	a.counted(a.testRegion, 2+6)
	before := a.origin()
	a.promote()
	a.epochAfter(before)
	eventually(t, "it is not known yet whether the others have it", func() bool {
		lost, missing := a.lossOf()
		return lost == "0" && missing == "6"
	})
	b.run(peersOf(b, regions))
	eventually(t, "b has said what it has", func() bool {
		own, _, err := a.Statuses(context.Background())
		return err == nil && fmt.Sprint(own.MissingAwaits) == "[gamma]"
	})
	c.run(peersOf(c, regions))
	a.lost("6")
	if n := a.logs.count("lost on fail-over: effects that no region has"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	a.write("SET after 1")
	synced(t, regions...)
	sameData(t, regions...)
	if a.get("x") != "" || a.get("kept") != "1" {
		t.Errorf("x is %q, kept is %q", a.get("x"), a.get("kept"))
	}
	a.stop()
	a.run(peersOf(a.testRegion, regions))
	eventually(t, "a new leader says the same", func() bool {
		lost, missing := a.lossOf()
		return lost == "6" && missing == "0"
	})
}

// What one peer has received comes back, and is not lost.
func TestATailThatOnePeerHasComesBackAndIsNotLost(t *testing.T) {
	a, regions := threeWithReplica(t)
	b, c := regions[1], regions[2]
	c.stop()
	a.write("SET x 1", "SET y 2", "INCR counter")
	eventually(t, "b has it", func() bool { return b.get("counter") == "1" })
	a.counted(a.testRegion, 2+3)
	before := a.origin()
	a.promote()
	a.epochAfter(before)
	c.run(peersOf(c, regions))
	eventually(t, "the tail is back", func() bool { return a.get("counter") == "1" && a.get("x") == "1" })
	a.write("INCR counter")
	synced(t, regions...)
	sameData(t, regions...)
	a.lost("0")
	eventually(t, "nothing is noted of the old epoch", func() bool {
		return !a.rdb.HExists(context.Background(), a.keys.heard, before.String()).Val()
	})
}

// Of a tail that a peer had received a part of, the rest is lost.
func TestTheRestOfATailIsLost(t *testing.T) {
	a, regions := threeWithReplica(t)
	b := regions[1]
	a.write("SET x 1", "SET y 2", "SET z 3")
	eventually(t, "b has the beginning", func() bool { return b.get("z") == "3" })
	for _, r := range regions[1:] {
		r.stop()
	}
	a.write("INCR counter", "INCR counter", "RPUSH list e", "DEL x")
	a.counted(a.testRegion, 2+3+4)
	before := a.origin()
	a.promote()
	a.epochAfter(before)
	for _, r := range regions[1:] {
		r.run(peersOf(r, regions))
	}
	eventually(t, "the beginning is back", func() bool { return a.get("z") == "3" })
	a.lost("4")
	synced(t, regions...)
	sameData(t, regions...)
	if a.get("x") != "1" || a.get("counter") != "" {
		t.Errorf("x is %q, counter is %q", a.get("x"), a.get("counter"))
	}
}

// When a region's proxies die with its Redis, the other regions remember how far it had got, although they have not applied it.
func TestPeersRememberHowMuchThereWas(t *testing.T) {
	a, regions := threeWithReplica(t)
	b := regions[1]
	ctx := context.Background()
	for _, r := range regions[1:] {
		if err := r.Pause(ctx, a.name); err != nil {
			t.Fatal(err)
		}
	}
	a.write("SET x 1", "SET y 2", "INCR counter")
	a.counted(b, 2+3)
	before := a.origin()
	a.stop()
	a.promote()
	if err := a.arm(ctx); err != nil {
		t.Fatal(err)
	}
	a.write("SET first 1")
	a.run(peersOf(a.testRegion, regions))
	if a.origin() == before {
		t.Fatal("no new epoch")
	}
	eventually(t, "a has heard of it again, and does not know yet who has it", func() bool {
		lost, missing := a.lossOf()
		return lost == "0" && missing == "3"
	})
	for _, r := range regions[1:] {
		if err := r.Resume(ctx, a.name); err != nil {
			t.Fatal(err)
		}
	}
	a.lost("3")
	synced(t, regions...)
	sameData(t, regions...)
}

// A Redis that restarts and has everything has lost nothing, nor has one that gets everything back from others.
func TestARestartWithoutLossesCountsNone(t *testing.T) {
	regions := newRegionsWith(t, 2, redistest.WithAOF())
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions))
	for i := range 3 {
		eventually(t, "a takes writes", func() bool { return a.armedWrite(fmt.Sprintf("SET x %d", i)) })
		for _, command := range []string{"SADD s m n", "INCR counter"} { // loading the library anew ends what was armed
			eventually(t, "a takes more", func() bool { return a.armedWrite(command) })
		}
		before := a.origin()
		if i == 0 {
			a.counted(a, 3)
		}
		a.server.Kill()
		b.write("SET y 1") // so that a has frontier records, which are no effects
		a.server.Restart()
		a.epochAfter(before)
		a.lost("0")
	}
	synced(t, a, b)
	sameData(t, a, b)
	if n := a.logs.count("lost on fail-over"); n != 0 {
		t.Errorf("a loss was logged %d times", n)
	}
}

// A region without others counts what its own Redis has lost.
func TestARegionAloneCountsItsLosses(t *testing.T) {
	a := newRegions(t, 1)[0]
	a.run(nil)
	a.write("SET x 1")
	a.save()
	a.write("SET x 2", "SET y 2")
	a.counted(a, 3)
	before := a.origin()
	a.server.Kill()
	a.server.Restart()
	a.epochAfter(before)
	a.lost("2")
}
