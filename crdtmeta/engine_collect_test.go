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

// look is what a region had recorded at a moment.
type look struct {
	until   crdtmeta.Time     // own time
	effects crdtmeta.Frontier // newest effects of each origin
}

func (n *node) look(f failer) look {
	f.Helper()
	n.pick(f, 0)
	info := pairs(n.do(f, "FCALL", crdtmeta.FuncInfo, "0").Strings())
	number := func(name string) crdtmeta.Time {
		t, err := crdtmeta.ParseTime(info[name])
		if err != nil {
			f.Fatalf("region %d: %s is %q", n.id, name, info[name])
		}
		return t
	}
	l := look{until: max(number("last_t"), crdtmeta.TimeAt(int64(number("now_ms")))-1)}
	newest := pairs(n.do(f, "HGETALL", "crdt:newest").Strings())
	for origin, value := range newest {
		newest[origin], _, _ = strings.Cut(value, " ")
	}
	effects, err := crdtmeta.ParseFrontier(newest)
	if err != nil {
		f.Fatalf("region %d: %v", n.id, err)
	}
	effects[n.origin] = number("last_effect")
	l.effects = effects
	return l
}

// stable is what the region knows that all others have seen.
func (n *node) stable(f failer, others []int) crdtmeta.Frontier {
	f.Helper()
	n.pick(f, 0)
	frontier, err := crdtmeta.ParseFrontier(pairs(n.do(f, "HGETALL", "crdt:frontier").Strings()))
	contexts := map[crdtmeta.Origin]crdtmeta.Frontier{}
	for name, packed := range pairs(n.do(f, "HGETALL", "crdt:context").Strings()) {
		var origin crdtmeta.Origin
		if err == nil {
			origin, err = crdtmeta.ParseOrigin(name)
		}
		if err == nil {
			contexts[origin], err = crdtmeta.DecodeFrontier([]byte(packed))
		}
	}
	if err != nil {
		f.Fatalf("region %d: %v", n.id, err)
	}
	return crdtmeta.Stable(n.origin, others, frontier, contexts)
}

// collect visits keys, whatever their size.
func (n *node) collect(f failer, known look, db int, keys []string) {
	f.Helper()
	n.pick(f, 0)
	for _, key := range keys {
		for cursor := "0"; ; {
			reply := n.do(f, "FCALL", crdtmeta.FuncCollect, "0", n.origin.String(), string(known.effects.AppendMsgpack(nil)), known.until.String(),
				strconv.Itoa(db), key, cursor)
			if cursor = reply.Items[0].Text; cursor == "0" {
				break
			}
		}
	}
}

// collector is collection at one region, without a period of grace.
type collector struct {
	looks     []look
	collected crdtmeta.Frontier
}

func (p *play) collect(at int, c *collector) {
	var others []int
	for _, other := range p.nodes {
		if other != p.nodes[at] {
			others = append(others, other.id)
		}
	}
	p.collectWith(at, c, others)
}

// collectWith leaves out the regions that are not among the others.
func (p *play) collectWith(at int, c *collector, others []int) {
	n := p.nodes[at]
	c.looks = append(c.looks, n.look(p.t))
	stable := n.stable(p.t, others)
	p.t.Logf("%c has %v, stable is %v", 'A'+at, c.looks[len(c.looks)-1], stable)
	for i := len(c.looks) - 1; i >= 0; i-- {
		if !stable.CoversAll(c.looks[i].effects) {
			continue
		}
		p.t.Logf("%c collects %v", 'A'+at, c.looks[i])
		for _, db := range databases {
			n.collect(p.t, c.looks[i], db, history.Keys)
		}
		c.collected = c.looks[i].effects
		break
	}
	p.compare(at)
}

// Whatever is collected, whenever, and in whichever region: all effects that are still to come must do the same. In the end,
// when everything has been deleted, nothing is left.
func TestCollectionMakesNoDifference(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 60, func(rt *rapid.T) {
		p := newPlay(rt, nodes, true)
		collectors := make([]collector, len(nodes))
		p.after = func() {
			if at := rapid.IntRange(0, 2*len(nodes)).Draw(rt, "collect"); at < len(nodes) {
				p.collect(at, &collectors[at])
			}
		}
		randomHistory(p, history.Integers, history.Fractions)
		p.after = nil
		at := rapid.IntRange(0, 2).Draw(rt, "deletes")
		for _, db := range databases {
			if rapid.Bool().Draw(rt, "flush") {
				p.write(at, db, []string{"FLUSHDB"})
			} else {
				p.write(at, db, append([]string{"DEL"}, history.Keys...))
			}
		}
		for range 4 {
			p.settle([]int{1, 2, 3, 5, 6, 7}) // what had only a TTL left is removed once more
			for at := range nodes {
				awaitTick(nodes)
				p.collect(at, &collectors[at])
			}
		}
		for at, n := range nodes {
			data, companions := n.visible(rt)
			if len(data) > 0 || len(companions) > 0 {
				p.explain(at)
				rt.Fatalf("region %c: all is deleted everywhere, and there are %v and %v companions", 'A'+at, data, fmt.Sprint(companions))
			}
		}
	})
}

func TestKeyOfIsTheInverseOfCompanion(t *testing.T) {
	n := regions(t, 1)[0]
	for _, key := range oddKeys {
		n.run(t, "SET", key, "v")
		found := false
		for _, name := range n.do(t, "KEYS", "crdt:*").Strings() {
			of, ok := crdtmeta.KeyOf(crdtmeta.DefaultPrefix, name)
			found = found || ok && of == key
		}
		if !found {
			t.Errorf("no companion is one of %q", key)
		}
		n.run(t, "FLUSHALL")
	}
}

// A merge leaves a vector for each of its calls, and the log drops only some of them in one call. When the log is at rest, keys whose vector
// is still there although the frontier covers it are collected all the same, and the vectors go.
func TestKeysWhoseVectorIsLeftAreCollected(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "SET", "k", "1")
	a.run(t, "SADD", "s", "m")
	b.merge(t, a.id, "changes", "", a.states(t, 0, []string{"k", "s"}))
	vectors := b.do(t, "HGETALL", "crdt:ahead").Strings()
	words := []string{"HSET", "crdt:ahead"}
	for i := range 1000 {
		words = append(words, "more"+strconv.Itoa(i), vectors[1])
	}
	b.do(t, words...)
	exchange(t, nodes)
	b.pick(t, 0)
	b.do(t, append([]string{"HSET", "crdt:ahead"}, vectors...)...)
	b.collect(t, b.look(t), 0, []string{"k", "s"})
	b.pick(t, 0)
	if n := b.do(t, "EXISTS", "crdt:0{k}", "crdt:0{s}").Int(); n != 0 {
		t.Errorf("%d keys have metadata", n)
	}
	known := b.look(t)
	for range 11 {
		b.do(t, "FCALL", crdtmeta.FuncCollect, "0", b.origin.String(), string(known.effects.AppendMsgpack(nil)), known.until.String())
	}
	if n := b.do(t, "HLEN", "crdt:ahead").Int(); n != 0 {
		t.Errorf("%d vectors are left", n)
	}
	requireEqual(t, nodes)
}

// While the frontier has not caught up, a key is visited again.
func TestAKeyThatIsAheadIsVisitedAgain(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "SET", "k", "1")
	b.merge(t, a.id, "changes", "", a.states(t, 0, []string{"k"}))
	known := b.look(t)
	known.effects[a.origin] = a.log[len(a.log)-1].t
	b.collect(t, known, 0, []string{"k"})
	b.pick(t, 0)
	if n := b.do(t, "ZCARD", "crdt:gc").Int(); n != 1 {
		t.Errorf("%d keys are to be visited again", n)
	}
}

// What was known to all in one epoch need not be here in the next one.
func TestAnotherEpochIsNotCollected(t *testing.T) {
	a := regions(t, 1)[0]
	a.run(t, "SET", "k", "1")
	known := a.look(t)
	a.origin.Epoch = "7-abcdef"
	reply := a.do(t, "FCALL", crdtmeta.FuncCollect, "0", a.origin.String(), string(known.effects.AppendMsgpack(nil)), known.until.String(), "0", "k", "0")
	if n := a.do(t, "EXISTS", "crdt:0{k}").Int(); n != 1 || len(reply.Items) != 0 {
		t.Errorf("%d companions are left, and the answer is %v", n, reply)
	}
}
