package syncer

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// parted are three regions. After part nobody gets the log of the first one, and what it writes is lost when its server is killed; until join.
func parted(t *testing.T) (regions []*testRegion, part, join func()) {
	regions = newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ab, ac := newBreaker(t, a.listen), newBreaker(t, a.listen)
	a.run(peersOf(a, regions))
	b.run(map[string][]string{a.name: {ab.addr}, c.name: {c.listen}})
	c.run(map[string][]string{a.name: {ac.addr}, b.name: {b.listen}})
	part = func() {
		t.Helper()
		synced(t, regions...)
		if err := a.rdb.Save(context.Background()).Err(); err != nil {
			t.Fatal(err)
		}
		for _, link := range []*breaker{ab, ac} {
			link.freeze()
			link.cut()
		}
	}
	join = func() {
		ab.thaw()
		ac.thaw()
	}
	return regions, part, join
}

// A merge has brought a key as it was at a moment that the other region's Redis then does not remember. Nobody's log has that, and
// still everything goes on, and the key becomes the same everywhere.
func TestWhatOnlyMergedKeysHaveIsClaimed(t *testing.T) {
	regions, part, join := parted(t)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.write("SET base 1", "SADD s w")
	part()
	a.write("SADD s x", "SET nobody 1", "INCR n", "SADD s z", "SREM s w")
	b.takeState(a, "s")
	a.server.Kill()
	a.server.Restart()
	b.write("SADD s y", "SREM s z")
	join()
	eventually(t, "a is armed", func() bool { return a.armedWrite("INCR m") })
	c.write("SADD s v")
	for _, r := range regions {
		eventually(t, r.name+" has it, and is not ahead any more", func() bool {
			return r.rdb.SIsMember(ctx, "s", "x").Val() && r.rdb.Exists(ctx, r.keys.ahead).Val() == 0
		})
	}
	synced(t, regions...)
	sameData(t, a, b, c)
	for member, want := range map[string]bool{"v": true, "w": false, "x": true, "y": true, "z": false} {
		if got := a.rdb.SIsMember(ctx, "s", member).Val(); got != want {
			t.Errorf("%s is in the set: %t", member, got)
		}
	}
	if err := errors.Join(b.rdb.Get(ctx, "base").Err(), c.rdb.Get(ctx, "m").Err()); err != nil {
		t.Error(err)
	}
}

// takeState merges keys as they are in another region, and does not end the merge.
func (r *testRegion) takeState(from *testRegion, names ...string) {
	r.t.Helper()
	if answer := r.tryState(from, names...)(); answer != mergeTaken {
		r.t.Fatal(answer)
	}
}

// tryState reads keys in another region; what it answers merges them, and says what the engine says.
func (r *testRegion) tryState(from *testRegion, names ...string) func() string {
	r.t.Helper()
	ctx := context.Background()
	var keys []keyState
	for _, name := range names {
		keys = append(keys, keyState{db: "0", key: name})
	}
	given := from.origin()
	vector, states, err := from.engine.states(ctx, given, 1<<20, keys)
	if err != nil {
		r.t.Fatal(err)
	}
	return func() string {
		r.t.Helper()
		self := r.origin()
		begun := mergeProgress{Mode: mergeChanges, Origin: given.String(), Phase: phaseLog, Began: time.Now()}.in(self)
		for _, keys := range [][]keyState{nil, states} { // it begins without keys
			with := vector
			if keys == nil {
				with = emptyVector
			}
			answer, err := r.engine.merge(ctx, self, from.id, mergeChanges, begun.text(), "", with, keys)
			if err != nil {
				r.t.Fatal(err)
			}
			if answer != mergeTaken {
				return answer
			}
		}
		return mergeTaken
	}
}

// Two regions have got different keys of what the first one then loses: who claims it has all of them.
func TestClaimsPutTogetherWhatSeveralRegionsHave(t *testing.T) {
	regions, part, join := parted(t)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.write("SADD s w", "SADD u w", "SADD both w", "RPUSH l w")
	part()
	a.write("SADD both x")
	b.takeState(a, "both")
	a.write("SADD s x", "SREM s w", "SADD u x", "SREM u w", "SREM both w", "RPUSH l x", "HSET h f v")
	b.takeState(a, "s", "l")
	c.takeState(a, "both", "u", "h")
	a.server.Kill()
	a.server.Restart()
	join()
	eventually(t, "a is armed", func() bool { return a.armedWrite("SET again 1") })
	for _, r := range regions {
		eventually(t, r.name+" has it, and is not ahead any more", func() bool {
			return r.rdb.SIsMember(ctx, "s", "x").Val() && r.rdb.SIsMember(ctx, "u", "x").Val() && r.rdb.Exists(ctx, r.keys.ahead).Val() == 0
		})
	}
	synced(t, regions...)
	sameData(t, regions...)
	for key, want := range map[string]string{"s": "x", "u": "x", "both": "x"} {
		if got := b.rdb.SMembers(ctx, key).Val(); len(got) != 1 || got[0] != want {
			t.Errorf("%s has %q", key, got)
		}
	}
	if got := c.rdb.LRange(ctx, "l", 0, -1).Val(); len(got) != 2 {
		t.Errorf("l has %q", got)
	}
}

// What a region gave before it came back with old data does not spread any more where that is known.
func TestNothingIsMergedFromAnEpochThatIsOver(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	a.write("SET k 1")
	synced(t, regions...)
	late := b.tryState(a, "k")
	ended := a.origin()
	a.server.Kill()
	a.server.Restart()
	eventually(t, "a is in another epoch", func() bool { return a.armedWrite("SET l 1") && a.origin() != ended })
	synced(t, regions...)
	if answer := late(); answer != mergeOver {
		t.Errorf("the answer is %q", answer)
	}
	b.takeState(a, "k")
}

// A server that is still in an epoch of its region that is over, an old primary for example, gives nothing any more where that is known.
func TestNothingIsTakenFromAnOldPrimary(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	link := newBreaker(t, a.listen)
	a.run(map[string][]string{b.name: {"127.0.0.1:1"}}) // so that it does not learn of a later epoch
	b.run(map[string][]string{a.name: {link.addr}})
	a.write("SET k 1")
	eventually(t, "b has k", func() bool { return b.get("k") == "1" })
	later := crdtmeta.Origin{Region: a.id, Epoch: strconv.FormatInt(a.origin().Counter()+1, 10) + "-ffffff"}.String()
	if err := b.rdb.HSet(ctx, b.keys.frontier, later, 1).Err(); err != nil {
		t.Fatal(err)
	}
	link.cut()
	eventually(t, "b refuses", func() bool { return b.logs.count("later epoch") > 0 })
	a.write("SET k 2")
	time.Sleep(300 * time.Millisecond)
	if got := b.get("k"); got != "1" {
		t.Errorf("b has taken %s", got)
	}
	if err := b.rdb.HDel(ctx, b.keys.frontier, later).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has all of it", func() bool { return b.get("k") == "2" })
}

func TestAnEpochIsOverOnlyWhenEverybodySaysSo(t *testing.T) {
	one := crdtmeta.Origin{Region: 1, Epoch: "1-aaaaaa"}
	next := crdtmeta.Origin{Region: 1, Epoch: "2-bbbbbb"}
	self := crdtmeta.Origin{Region: 2, Epoch: "1-cccccc"}
	for name, test := range map[string]struct {
		others  map[int]crdtmeta.Frontier
		removed []int
		want    bool
	}{
		"its region has gone on, and the third one knows": {map[int]crdtmeta.Frontier{1: {one: 5}, 3: {one: 5, next: 7}}, nil, true},
		"the third one does not know it yet":              {map[int]crdtmeta.Frontier{1: {one: 5}, 3: {one: 5}}, nil, false},
		"its region is still in it":                       {map[int]crdtmeta.Frontier{1: {}, 3: {one: 5, next: 7}}, nil, false},
		"the third one has more":                          {map[int]crdtmeta.Frontier{1: {one: 5}, 3: {one: 8, next: 7}}, nil, false},
		"its region was removed":                          {map[int]crdtmeta.Frontier{3: {one: 5}}, []int{1}, true},
		"its region is gone, and was not removed":         {map[int]crdtmeta.Frontier{3: {one: 5}}, nil, false},
	} {
		others := toldRegions{}
		for id, frontier := range test.others {
			others = append(others, toldRegion{id: id, frontier: frontier})
		}
		if got := others.over(one, self, 6, test.removed); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if (toldRegions{}).over(self, self, 6, nil) {
		t.Error("our own epoch is not over")
	}
}

// Who has another region's log up to a place in the middle of a merge there has not got what the merge had brought by then: no later
// entry names those keys, and the frontier moves only at the end.
func TestARelayBringsWhatAMergeHadBroughtBeforeOurPlace(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	b.write("SET base 1")
	synced(t, regions...)
	b.stop()
	b.write("SADD s x", "INCRBY n 5")
	position, err := b.engine.position(ctx, b.origin())
	if err != nil {
		t.Fatal(err)
	}
	vector, states, err := b.engine.states(ctx, b.origin(), 1<<20, []keyState{{db: "0", key: "s"}, {db: "0", key: "n"}})
	if err != nil {
		t.Fatal(err)
	}
	merge := func(progress string, keys []keyState) {
		t.Helper()
		answer, err := c.engine.merge(ctx, c.origin(), b.id, mergeChanges, progress, position, vector, keys)
		if err != nil || answer != mergeTaken {
			t.Fatal(answer, err)
		}
	}
	merge("some", nil)
	merge("some", states)
	c.write("SET p 1")
	eventually(t, "a follows c's log", func() bool { return a.get("p") == "1" })
	a.stop()
	merge("", nil)
	frontier, err := a.region.frontier(ctx)
	if err != nil {
		t.Fatal(err)
	}
	place := frontier[c.origin()]
	begun := mergeProgress{Mode: mergeChanges, Phase: phaseLog, Since: place, Until: place, Began: time.Now()}
	if err := a.rdb.HSet(ctx, a.keys.merges, formatID(c.id), begun.text()).Err(); err != nil {
		t.Fatal(err)
	}
	a.run(peersOf(a, regions))
	eventually(t, "a has merged", func() bool { return a.counters.mergesDone.Load() > 0 })
	if !a.rdb.SIsMember(ctx, "s", "x").Val() || a.get("n") != "5" {
		t.Error("a says that it has what c has got from b, and has not")
	}
	sameData(t, a, c)
}

func TestPlacesInTheMiddleOfMerges(t *testing.T) {
	r := newRegions(t, 1)[0]
	r.run(nil)
	ctx := context.Background()
	if err := r.rdb.HSet(ctx, r.keys.merges, "7", "{}", "first:7", 100, "ended:90", 70, "ended:75", 60, "ended:20", 10, "pruned", 5).Err(); err != nil {
		t.Fatal(err)
	}
	s := &server{Syncer: r.Syncer}
	for since, want := range map[crdtmeta.Time]crdtmeta.Time{200: 99, 100: 99, 99: 99, 90: 90, 89: 59, 75: 59, 60: 59, 30: 30, 20: 20, 19: 9, 10: 9, 5: 5, 4: 0} {
		got, err := s.beforeMerges(ctx, since)
		if err != nil || got != want {
			t.Errorf("before %d: %d, want %d (%v)", since, got, want, err)
		}
	}
}
