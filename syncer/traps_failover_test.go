package syncer

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// Traps of fail-overs, and of regions that have lost what others have.

// replicate gives the region's Redis a replica, and waits until it has everything.
func (r *testRegion) replicate() *redistest.Server {
	r.t.Helper()
	replica := redistest.StartReplica(r.t, r.server)
	r.replicated()
	return replica
}

// replicated waits until the replica has everything.
func (r *testRegion) replicated() {
	r.t.Helper()
	ctx := context.Background()
	r.write("SET replicated " + r.name)
	eventually(r.t, "the replica of "+r.name+" has everything", func() bool { return r.rdb.Wait(ctx, 1, time.Second).Val() == 1 })
}

// leaveBehind promotes a replica: what its primary takes from now on it does not have.
func leaveBehind(t *testing.T, replica *redistest.Server) {
	t.Helper()
	if err := replica.Client().ReplicaOf(context.Background(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
}

// failOver kills the region's Redis and goes on with another one.
func (r *testRegion) failOver(to *redistest.Server, peers map[string][]string) {
	r.t.Helper()
	r.stop()
	r.server.Kill()
	r.server, r.rdb = to, to.Client()
	r.run(peers)
	r.armedSoon()
}

// armedSoon waits until the region takes writes.
func (r *testRegion) armedSoon() {
	r.t.Helper()
	eventually(r.t, r.name+" takes writes", func() bool { return r.armedWrite("SET armed " + r.name) })
}

// must is write for a moment in which the engine may have to be armed.
func (r *testRegion) must(commands ...string) {
	r.t.Helper()
	for _, command := range commands {
		eventually(r.t, command, func() bool { return r.armedWrite(command) })
	}
}

// A promoted replica lacks what its peers have received already. It numbers its effects on from there, so that ids are used twice,
// and peers take new writes for those that they have.
func TestAPromotedReplicaBehindItsPeersUsesNoIDTwice(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	replica := a.replicate()
	for range 10 {
		a.write("INCR n", "RPUSH l x")
	}
	a.replicated()
	synced(t, regions...)
	leaveBehind(t, replica)
	for range 10 { // peers have it, the replica has not
		a.write("INCR n", "RPUSH l y", "SET k lost")
	}
	synced(t, regions...)
	before := a.origin()
	if got := replica.Client().Get(ctx, "n").Val(); got != "10" {
		t.Fatalf("the replica has n at %s: the test loses nothing", got)
	}
	a.failOver(replica, peersOf(a, regions))
	for i := range 10 {
		a.must("INCR n", "RPUSH l z", "SADD fresh "+strconv.Itoa(i))
	}
	a.must("SET k new")
	if a.origin() == before {
		t.Error("it goes on in the epoch of which b has more than it has itself")
	}
	eventually(t, "b has what is new, and a again what it had lost", func() bool {
		return b.get("k") == "new" && b.get("n") == "30" && a.get("n") == "30" && b.rdb.SCard(ctx, "fresh").Val() == 10
	})
	synced(t, regions...)
	sameData(t, a, b)
	if got := strings.Join(a.rdb.LRange(ctx, "l", 0, -1).Val(), ""); strings.Count(got, "x") != 10 || strings.Count(got, "y") != 10 || strings.Count(got, "z") != 10 {
		t.Errorf("the list is %s", got)
	}
}

// Two regions that have both lost what others had of them wait for each other for ever.
func TestTwoRegionsInRecoveryAtOnceDoNotWaitForEachOther(t *testing.T) {
	for _, count := range []int{2, 3} {
		t.Run(fmt.Sprintf("of %d", count), func(t *testing.T) {
			regions := mesh(t, count)
			a, b := regions[0], regions[1]
			replicas := []*redistest.Server{a.replicate(), b.replicate()}
			increment := func(key string) {
				for _, r := range regions[:2] {
					r.must("INCR " + key)
					exchanged(t, a, b) // so that each has seen what the other one will have lost
				}
			}
			increment("n")
			a.replicated()
			b.replicated()
			leaveBehind(t, replicas[0])
			a.write("INCRBY tail 1000") // b's replica has it, and it is in the context of what b did
			exchanged(t, a, b)
			b.write("INCR n")
			b.replicated()
			leaveBehind(t, replicas[1])
			increment("lost")
			synced(t, regions...)
			a.stop()
			b.stop()
			for _, r := range regions[:2] {
				r.server.Kill()
			}
			for i, r := range regions[:2] {
				r.failOver(replicas[i], peersOf(r, regions))
			}
			for range 10 {
				increment("n")
			}
			lost := "" // with two regions nobody has it any more
			if count == 3 {
				lost = "2"
			}
			for _, r := range regions {
				eventually(t, r.name+" has all", func() bool {
					return r.get("n") == "23" && r.get("tail") == "1000" && r.get("lost") == lost
				})
			}
			increment("last")
			synced(t, regions...)
			sameData(t, regions...)
		})
	}
}

// An acknowledgement that comes late, from a leader or an old primary that has not noticed the fail-over of its own region, counts
// for that region: it does not have any more what it acknowledges. Within an epoch nothing goes back either.
func TestAStaleAcknowledgementIsNotBelieved(t *testing.T) {
	r, _ := stopped(t)
	ctx := context.Background()
	ours := r.origin()
	epoch := func(n int) crdtmeta.Origin {
		return crdtmeta.Origin{Region: 2, Epoch: fmt.Sprintf("%d-%06x", n, 0xabc000+n)}
	}
	acknowledge := func(self crdtmeta.Origin, at crdtmeta.Time, closed ...crdtmeta.Origin) crdtmeta.Time {
		t.Helper()
		f := crdtmeta.Frontier{ours: at, self: 0}
		for _, origin := range closed {
			f[origin] = 77
		}
		if _, err := r.acks.store(ctx, 2, self, f); err != nil {
			t.Fatal(err)
		}
		r.acks.loaded = time.Time{}
		all, err := r.acks.load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return all[2][ours]
	}
	first, second, emptied := epoch(1), epoch(2), crdtmeta.Origin{Region: 2, Epoch: "1-123456"}
	for i, step := range []struct {
		self   crdtmeta.Origin
		at     crdtmeta.Time
		closed []crdtmeta.Origin
		want   crdtmeta.Time
	}{
		{first, 100, nil, 100},
		{first, 50, nil, 100}, // overtaken on its way
		{second, 60, []crdtmeta.Origin{first}, 60},
		{first, 200, nil, 60}, // of the old primary
		{second, 70, []crdtmeta.Origin{first}, 70},
		{emptied, 5, nil, 5}, // its Redis came back empty, and its epochs begin anew
		{emptied, 6, nil, 6},
	} {
		if got := acknowledge(step.self, step.at, step.closed...); got != step.want {
			t.Errorf("step %d: %s acknowledges %d: %d is believed, want %d", i, step.self, step.at, got, step.want)
		}
	}
}

// In a split without a fence two servers took themselves for A's primary. The one that was given up afterwards had begun the later
// epoch, and told B that the other one's was over. B believes nothing that A says, and A knows nothing of that epoch, until it is
// told: then A begins one that is later still.
func TestARegionIsToldOfALaterEpochOfItsOwn(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.must("SET k 1")
	b.must("SET k 2")
	synced(t, regions...)
	over, later := a.origin(), crdtmeta.Origin{Region: a.id, Epoch: fmt.Sprintf("%d-abcdef", a.origin().Counter()+5)}
	if err := b.rdb.HSet(ctx, b.keys.acks, formatID(a.id), string(crdtmeta.Frontier{later: 0, over: 77}.AppendMsgpack(nil))).Err(); err != nil {
		t.Fatal(err)
	}
	b.must("SET k 3")
	eventually(t, "a begins an epoch that is later", func() bool { return a.origin().Counter() > later.Counter() })
	eventually(t, "b believes what a acknowledges", func() bool {
		acked, err := b.acks.load(ctx)
		return err == nil && acked[a.id][b.origin()] > 0
	})
	a.must("SET k 4")
	synced(t, regions...)
	sameData(t, regions...)
	if a.origin().Counter() != later.Counter()+1 {
		t.Errorf("a is in epoch %s, and %s was heard of", a.origin().Epoch, later.Epoch)
	}
}
