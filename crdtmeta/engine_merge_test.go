package crdtmeta_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model/history"

	"pgregory.net/rapid"
)

// states is what a region has of some keys of a database, and the vector of all that it has seen.
type states struct {
	db     int
	vector string
	keys   []string
	each   []string
}

func (n *node) states(f failer, db int, keys []string) states {
	f.Helper()
	n.pick(f, 0)
	s := states{db: db}
	for left := keys; len(left) > 0; {
		words := []string{"FCALL", crdtmeta.FuncStates, "0", n.origin.String(), "100000000"}
		for _, key := range left {
			words = append(words, strconv.Itoa(db), key)
		}
		reply := n.do(f, words...).Strings()
		if s.vector == "" {
			s.vector = reply[0]
		}
		s.each = append(s.each, reply[1:]...)
		left = left[len(reply)-1:]
	}
	s.keys = keys
	n.fetch(f)
	return s
}

// position is where the region stands, for whoever has merged everything that it has.
func (n *node) position(f failer) string {
	f.Helper()
	n.pick(f, 0)
	return n.do(f, "FCALL", crdtmeta.FuncStates, "0", n.origin.String(), "1").Items[0].Text
}

// merge gives a region states of another one. upto is "" or the position that all keys have been merged up to.
func (n *node) merge(f failer, from int, mode, upto string, s states) {
	f.Helper()
	n.pick(f, 0)
	if mode == "changes" {
		n.tryMerge(f, from, mode, "some", "", states{vector: "\x80"})
	}
	progress := "some"
	if upto != "" {
		progress = ""
	}
	if answer := n.tryMerge(f, from, mode, progress, upto, s); answer != "ok" {
		f.Fatalf("region %d: merge answers %s", n.id, answer)
	}
	n.fetch(f)
}

func (n *node) tryMerge(f failer, from int, mode, progress, upto string, s states) (answer string) {
	f.Helper()
	n.pick(f, 0)
	words := []string{"FCALL", crdtmeta.FuncMerge, "0", n.origin.String(), strconv.Itoa(from), mode, progress, upto, s.vector}
	for i, key := range s.keys {
		words = append(words, strconv.Itoa(s.db), key, s.each[i])
	}
	reply := n.do(f, words...)
	if reply.IsError() {
		f.Fatalf("region %d: merge answers %v", n.id, reply)
	}
	return reply.Text
}

// mergeAll merges everything that one region has into another one, and notes what has arrived with it.
func (p *play) mergeAll(from, to int) {
	source, target := p.nodes[from], p.nodes[to]
	p.merged = true
	upto := source.position(p.t)
	for i, db := range databases {
		s, end := source.states(p.t, db, history.Keys), ""
		if i == len(databases)-1 {
			end = upto
		}
		target.merge(p.t, source.id, "changes", end, s)
	}
	p.t.Logf("%c<%c: merged", 'A'+to, 'A'+from)
	p.arrived(from, to, len(source.log))
}

// arrived notes that so many entries of a region's log are applied in another one, and all that they have seen.
func (p *play) arrived(from, to, count int) {
	third := 3 - from - to
	p.sent[from][to] = max(p.sent[from][to], count)
	p.sent[third][to] = max(p.sent[third][to], p.sent[third][from])
	if !p.twin {
		return
	}
	for range 100 {
		waits := false
		for _, other := range []int{from, third} {
			waits = p.deliverModelSome(other, to) || waits
		}
		if !waits {
			break
		}
	}
	p.compare(to)
}

// deliverModelSome delivers in the model what the engine has taken, as far as its context is covered.
func (p *play) deliverModelSome(from, to int) (waits bool) {
	var t crdtmeta.Time
	if taken := p.sent[from][to]; taken > 0 {
		t = p.nodes[from].log[taken-1].t
	}
	for _, e := range p.models[from].Log() {
		if crdtmeta.Time(e.T) > t {
			return false
		}
		if err := p.models[to].Apply(e); err != nil {
			return true
		}
	}
	return false
}

// A merge of all keys is as good as the delivery of everything that the other region has, whatever either has collected.
func TestAMergeIsADelivery(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 100, func(rt *rapid.T) {
		p := newPlay(rt, nodes, true)
		collectors := make([]collector, len(nodes))
		p.after = func() {
			if at := rapid.IntRange(0, 4*len(nodes)).Draw(rt, "collect"); at < len(nodes) {
				p.collect(at, &collectors[at])
			}
			if link := rapid.IntRange(0, 40).Draw(rt, "merge"); link < 9 && link/3 != link%3 {
				p.mergeAll(link/3, link%3)
			}
		}
		randomHistory(p, history.Integers, history.Fractions)
	})
}

// A merge goes on beside everything else: keys are merged some at a time, with writes and deliveries in between, and one after
// the other region has gone on. In the end all regions agree.
func TestMergesBesideWritesConverge(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 100, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		collectors := make([]collector, len(nodes))
		var running *merging
		p.after = func() {
			if at := rapid.IntRange(0, 4*len(nodes)).Draw(rt, "collect"); at < len(nodes) {
				p.collect(at, &collectors[at])
			}
			if running == nil {
				if link := rapid.IntRange(0, 20).Draw(rt, "merge"); link < 9 && link/3 != link%3 {
					running = p.begin(link/3, link%3)
				}
			} else if rapid.IntRange(0, 2).Draw(rt, "goes on") > 0 && running.step(p) {
				running = nil
			}
		}
		randomHistory(p, history.Integers, history.Fractions)
	})
}

// merging is a merge that is under way.
type merging struct {
	from, to int
	count    int // entries of the log that it covers
	taken    [3]int
	upto     string
	left     []keyIn
	origin   crdtmeta.Origin
}

type keyIn struct {
	db  int
	key string
}

func (p *play) begin(from, to int) *merging {
	source := p.nodes[from]
	m := &merging{from: from, to: to, upto: source.position(p.t), count: len(source.log), origin: source.origin}
	m.taken[3-from-to] = p.sent[3-from-to][from]
	for _, db := range databases {
		for _, key := range history.Keys {
			m.left = append(m.left, keyIn{db, key})
		}
	}
	p.t.Logf("%c<%c: merge begins", 'A'+to, 'A'+from)
	return m
}

// step merges some keys. It answers whether the merge is over.
func (m *merging) step(p *play) bool {
	source, target := p.nodes[m.from], p.nodes[m.to]
	if source.origin != m.origin {
		p.t.Logf("%c<%c: merge is void, as %v is over", 'A'+m.to, 'A'+m.from, m.origin)
		return true
	}
	for range rapid.IntRange(1, 4).Draw(p.t, "keys") {
		if len(m.left) == 0 {
			target.merge(p.t, source.id, "changes", m.upto, states{vector: "\x80"})
			third := 3 - m.from - m.to
			p.sent[m.from][m.to] = max(p.sent[m.from][m.to], m.count)
			p.sent[third][m.to] = max(p.sent[third][m.to], m.taken[third])
			p.t.Logf("%c<%c: merge is over", 'A'+m.to, 'A'+m.from)
			return true
		}
		i := rapid.IntRange(0, len(m.left)-1).Draw(p.t, "key")
		at := m.left[i]
		m.left = append(m.left[:i:i], m.left[i+1:]...)
		target.merge(p.t, source.id, "changes", "", source.states(p.t, at.db, []string{at.key}))
		p.t.Logf("%c<%c: merged db%d %q", 'A'+m.to, 'A'+m.from, at.db, at.key)
	}
	return false
}

// What a new region has taken, and goes on with, comes back to where it was taken from as what it is.
func TestAWholeMergeMakesTheSameData(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for _, command := range [][]string{
		{"RPUSH", "l", "x", "y", "z"}, {"SET", "k", "v"}, {"HSET", "h", "f", "1"}, {"SADD", "s", "m"}, {"ZADD", "z", "1", "m"},
		{"XADD", "x", "1-1", "f", "v"}, {"XGROUP", "CREATE", "x", "g", "0"}, {"PFADD", "p", "m"}, {"SET", "timed", "v", "PXAT", "9000000000000"},
	} {
		a.do(t, command...)
	}
	keys := []string{"l", "k", "h", "s", "z", "x", "p", "timed"}
	b.merge(t, a.id, "whole", a.position(t), a.states(t, 0, keys))
	requireEqual(t, nodes)
	b.run(t, "RPUSH", "l", "new")
	b.run(t, "SET", "k", "w", "XX", "KEEPTTL")
	b.run(t, "HSET", "h", "g", "2")
	b.run(t, "SADD", "s", "n")
	b.run(t, "ZADD", "z", "2", "n")
	b.run(t, "XADD", "x", "2-1", "f", "v")
	a.merge(t, b.id, "changes", b.position(t), b.states(t, 0, keys))
	requireEqual(t, nodes)
	if n := a.do(t, "LLEN", "l").Int(); n != 4 {
		t.Errorf("the list has %d elements, want 4", n)
	}
}

// The end of a merge of everything takes the frontier back once, and not again when it is said again.
func TestAWholeMergeEndsOnce(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.do(t, "SET", "k", "v")
	upto, sent := a.position(t), a.states(t, 0, []string{"k"})
	b.merge(t, a.id, "whole", "", sent)
	b.merge(t, a.id, "whole", upto, states{vector: "\x80"})
	c.run(t, "SET", "later", "1")
	exchange(t, []*node{b, c})
	before := b.do(t, "HGETALL", "crdt:frontier").Strings()
	b.merge(t, a.id, "whole", upto, states{vector: "\x80"})
	if after := b.do(t, "HGETALL", "crdt:frontier").Strings(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the frontier was %q, and is %q", before, after)
	}
}

// takenBack are three regions: the third one has removed x from k, the first one has that by a merge, and is in the middle of a merge of
// everything from the second one, which has not got it.
func takenBack(t *testing.T) []*node {
	t.Helper()
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	c.run(t, "SADD", "k", "x", "y")
	exchange(t, nodes)
	c.run(t, "SREM", "k", "x")
	a.merge(t, c.id, "changes", "", c.states(t, 0, []string{"k"}))
	a.do(t, "FCALL", crdtmeta.FuncHold, "0", a.origin.String(), "away for too long")
	a.merge(t, b.id, "whole", "", b.states(t, 0, []string{"k"}))
	return nodes
}

// A merge of everything brings back what another merge had taken away by a removal that the other side has not seen. The removal comes again,
// with its log.
func TestAWholeMergeDoesNotHideWhatComesAgain(t *testing.T) {
	nodes := takenBack(t)
	a, b := nodes[0], nodes[1]
	if got := words(a.do(t, "SMISMEMBER", "k", "x", "y")); got != "1 1" {
		t.Errorf("in the middle of the merge k has %s", got)
	}
	if got := a.do(t, "HGET", "crdt:merges", "all").Text; got != strconv.Itoa(b.id) {
		t.Errorf("everything is merged from %q", got)
	}
	a.merge(t, b.id, "whole", b.position(t), states{vector: "\x80"})
	a.do(t, "FCALL", crdtmeta.FuncHold, "0", a.origin.String(), "")
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := words(a.do(t, "SMISMEMBER", "k", "x", "y")); got != "0 1" {
		t.Errorf("k has %s", got)
	}
	if n := a.do(t, "HEXISTS", "crdt:merges", "all").Int(); n != 0 {
		t.Error("the merge is over, and still noted")
	}
}

// While everything is merged the frontier is what it will be at the end, or less, and no log is applied: a key that comes with effects of a third
// region says that it is ahead by them, and takes them no more when they come.
func TestAWholeMergeTakesTheFrontierBackAtOnce(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	none := states{vector: "\x80"}
	c.run(t, "SADD", "k", "y")
	exchange(t, nodes)
	c.run(t, "SADD", "k", "z")
	if answer := a.apply(t, c.origin, 0, c.log...); answer.status != "ok" {
		t.Fatalf("%+v", answer)
	}
	upto := b.position(t)
	if answer := a.tryMerge(t, b.id, "whole", "some", upto, none); answer != "ok" {
		t.Fatal(answer)
	}
	if got, want := a.frontierOf(t, c.origin), b.frontierOf(t, c.origin); got != want {
		t.Errorf("the frontier is at %d, and that of the other region at %d", got, want)
	}
	c.run(t, "SADD", "k", "x")
	if answer := a.apply(t, c.origin, 0, c.log...); answer.status != "merges" {
		t.Errorf("%+v", answer)
	}
	if answer := a.tryMerge(t, c.id, "changes", "some", "", none); answer != "anew" {
		t.Errorf("another merge: %s", answer)
	}
	exchange(t, []*node{b, c})
	b.run(t, "SREM", "k", "x")
	a.merge(t, b.id, "whole", "", b.states(t, 0, []string{"k"}))
	a.merge(t, b.id, "whole", upto, none)
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := words(a.do(t, "SMISMEMBER", "k", "x", "y", "z")); got != "0 1 1" {
		t.Errorf("k has %s", got)
	}
}

// A merge of everything that ends makes one of changes void that goes on beside it: what that had merged may have been taken back.
func TestAWholeMergeEndsOthers(t *testing.T) {
	nodes := takenBack(t)
	a, b, c := nodes[0], nodes[1], nodes[2]
	upto, none := c.position(t), states{vector: "\x80"}
	a.merge(t, b.id, "whole", b.position(t), none)
	if answer := a.tryMerge(t, c.id, "changes", "some", "", c.states(t, 0, []string{"l"})); answer != "anew" {
		t.Errorf("more keys: %s", answer)
	}
	if answer := a.tryMerge(t, c.id, "changes", "", upto, none); answer != "anew" {
		t.Errorf("the end: %s", answer)
	}
	a.do(t, "FCALL", crdtmeta.FuncHold, "0", a.origin.String(), "")
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := words(a.do(t, "SMISMEMBER", "k", "x", "y")); got != "0 1" {
		t.Errorf("k has %s", got)
	}
}

// What a call of the log costs does not grow with the number of calls that a merge took.
func TestManyVectorsDoNotSlowTheLog(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "SET", "first", "1")
	b.merge(t, a.id, "changes", "", a.states(t, 0, []string{"first"}))
	vector := string(crdtmeta.Frontier{a.log[0].origin: a.log[len(a.log)-1].t + 1}.AppendMsgpack(nil))
	words := []string{"HSET", "crdt:ahead"}
	for i := range 5000 {
		words = append(words, "more"+strconv.Itoa(i), vector)
	}
	b.do(t, words...)
	apply := func(n int) {
		for i := range n {
			a.run(t, "SADD", "s", strconv.Itoa(i))
			a.fetch(t)
			b.take(t, a)
		}
	}
	apply(1)
	before := b.do(t, "HLEN", "crdt:ahead").Int()
	if before < 4000 {
		t.Errorf("one call has looked at more than %d of 5000 vectors", 5000-before)
	}
	apply(100)
	if n := b.do(t, "EXISTS", "crdt:ahead").Int(); n != 0 {
		t.Errorf("%d vectors are left, although the frontier covers them", b.do(t, "HLEN", "crdt:ahead").Int())
	}
	requireEqual(t, nodes)
}

// A key that was merged before, and is ahead, takes what has no stamp from a later merge of everything, too.
func TestAWholeMergeBringsWhatHasNoStampsToKeysThatAreAhead(t *testing.T) {
	nodes := startNodes(t, 2)
	for _, n := range nodes {
		n.reset(t)
	}
	a, b := nodes[0], nodes[1]
	a.pick(t, 0)
	a.do(t, "SADD", "s", "y")
	upto := a.position(t)
	commands(t, a, "SET other 1")
	b.merge(t, a.id, "whole", "", a.states(t, 0, []string{"s"}))
	b.merge(t, a.id, "whole", upto, states{vector: "\x80"})
	b.pick(t, 0)
	if b.do(t, "EXISTS", "crdt:ahead").Int() != 1 {
		t.Fatal("the key is not ahead")
	}
	a.pick(t, 0)
	a.do(t, "SADD", "s", "x")
	b.merge(t, a.id, "whole", "", a.states(t, 0, []string{"s"}))
	b.pick(t, 0)
	if got := b.do(t, "SCARD", "s").Int(); got != 2 {
		t.Errorf("the set has %d members", got)
	}
}

// What this region had written last, and has collected, lies here without a stamp. In a merge of everything that is no reason to leave
// out that write, and to take what it had won over.
func TestAWholeMergeShowsNoLoserOfWhatWasCollectedHere(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	keys := []string{"k", "h", "z", "l"}
	a.call(t, 0, []string{"RPUSH", "l", "x", "y"})
	exchange(t, nodes)
	for value, n := range []*node{b, c} {
		text := strconv.Itoa(value)
		awaitTick(nodes)
		n.call(t, 0, []string{"SET", "k", text}, []string{"HSET", "h", "f", text}, []string{"ZADD", "z", text, "m"}, []string{"LSET", "l", "0", text})
	}
	exchange(t, nodes)
	c.collect(t, c.look(t), 0, keys)
	c.pick(t, 0)
	if n := c.do(t, "EXISTS", "crdt:0{k}").Int(); n != 0 {
		t.Fatal("nothing was collected")
	}
	c.merge(t, a.id, "whole", a.position(t), a.states(t, 0, keys))
	requireEqual(t, nodes)
	for _, command := range []string{"GET k", "HGET h f", "ZSCORE z m", "LINDEX l 0"} {
		if got := c.get(t, strings.Fields(command)...); got != `"1"` {
			t.Errorf("%s answers %s, what was written last is 1", command, got)
		}
	}
}

// A region that was empty wrote without having seen what all others know without a stamp, so both are kept beside each other. Where that is
// collected, what was written is known without a stamp, too: a merge must not take it for what was known before.
func TestAMergeKnowsWhatWasCollectedFromWhatWasKnownBefore(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	keys := []string{"k", "h", "z"}
	write := func(n *node, text string) {
		n.call(t, 0, []string{"SET", "k", text}, []string{"HSET", "h", "f", text}, []string{"ZADD", "z", text, "m"})
	}
	collect := func(n *node) {
		t.Helper()
		n.collect(t, n.look(t), 0, keys)
		n.pick(t, 0)
		if left := n.do(t, "EXISTS", "crdt:0{k}", "crdt:0{h}", "crdt:0{z}").Int(); left != 0 {
			t.Fatalf("region %d has not collected %d keys", n.id, left)
		}
	}
	write(b, "9")
	exchange(t, nodes[1:])
	collect(b)
	collect(c)
	write(a, "2")
	a.merge(t, b.id, "whole", b.position(t), b.states(t, 0, keys))
	exchange(t, nodes)
	collect(c)
	both := a.states(t, 0, keys)
	a.merge(t, c.id, "changes", "", c.states(t, 0, keys))
	c.merge(t, a.id, "changes", "", both)
	b.merge(t, a.id, "changes", "", a.states(t, 0, keys))
	requireEqual(t, nodes)
	for _, command := range []string{"GET k", "HGET h f", "ZSCORE z m"} {
		if got := a.get(t, strings.Fields(command)...); got != `"2"` {
			t.Errorf("%s answers %s, what was written last is 2", command, got)
		}
	}
}
