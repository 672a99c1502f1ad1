package crdtmeta_test

import (
	"testing"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model/history"

	"pgregory.net/rapid"
)

// entering is a region, the third one, that merges everything from another one: in several rounds, each from a newer position of that one, while
// the other two go on.
type entering struct {
	*play
	collectors [3]collector
	held       bool // it may not write meanwhile: it was away for too long, or others have collected
	mode       string
	stage      stage

	from, third int // where it merges from
	upto        string
	count       int // entries of their logs that the position covers
	taken       int
	origin      crdtmeta.Origin
	left        []keyIn
}

type stage int

const (
	member stage = iota
	away
	merges
	back
)

const enters = 2 // the region

// concerns says that an action is one that this region has no part in now.
func (e *entering) concerns(a history.Action) bool {
	switch {
	case e.stage == member || e.stage == back:
		return true
	case a.Kind == history.Write:
		return a.At != enters || !e.held
	case a.Kind == history.Deliver || a.Kind == history.Again:
		return a.Link/3 != enters && a.Link%3 != enters
	}
	return a.Kind == history.Cut || a.At != enters
}

// leave has the other two agree on what they have of it, as they do before they collect without it.
func (e *entering) leave() {
	e.stage = away
	e.mergeAll(0, 1)
	e.mergeAll(1, 0)
}

// round begins with a newer position, and goes through all keys again, the changed ones among them.
func (e *entering) round() {
	source, target := e.nodes[e.from], e.nodes[enters]
	e.upto, e.count, e.taken, e.origin, e.left = source.position(e.t), len(source.log), e.sent[e.third][e.from], source.origin, nil
	for _, db := range databases {
		for _, key := range history.Keys {
			e.left = append(e.left, keyIn{db, key})
		}
	}
	if answer := target.tryMerge(e.t, source.id, e.mode, "some", e.upto, states{vector: "\x80"}); answer != "ok" {
		e.t.Fatalf("the merge begins with %s", answer)
	}
	target.fetch(e.t)
	e.t.Logf("C<%c: %s merge begins, or goes on", 'A'+e.from, e.mode)
}

func (e *entering) enter() {
	e.stage = merges
	e.from = rapid.IntRange(0, 1).Draw(e.t, "from")
	e.third = 1 - e.from
	if e.held {
		e.nodes[enters].hold(e.t, "away for too long")
	}
	e.round()
}

func (e *entering) step() {
	source, target := e.nodes[e.from], e.nodes[enters]
	switch {
	case source.origin != e.origin || rapid.IntRange(0, 9).Draw(e.t, "another round") == 0:
		e.round()
	case len(e.left) == 0 && e.late():
		e.round()
	case len(e.left) == 0:
		e.end()
	default:
		i := rapid.IntRange(0, len(e.left)-1).Draw(e.t, "key")
		at := e.left[i]
		e.left = append(e.left[:i:i], e.left[i+1:]...)
		target.merge(e.t, source.id, e.mode, "", source.states(e.t, at.db, []string{at.key}))
		e.t.Logf("C<%c: merged db%d %q", 'A'+e.from, at.db, at.key)
	}
}

// late says that something was collected which the position does not cover.
func (e *entering) late() bool {
	upto, err := crdtmeta.DecodePosition([]byte(e.upto))
	if err != nil {
		e.t.Fatal(err)
	}
	return !upto.CoversAll(e.collectors[e.from].collected) || !upto.CoversAll(e.collectors[e.third].collected)
}

func (e *entering) end() {
	target := e.nodes[enters]
	target.merge(e.t, e.nodes[e.from].id, e.mode, e.upto, states{vector: "\x80"})
	e.stage = back
	e.merged = true
	e.sent[e.from][enters], e.sent[e.third][enters] = e.count, e.taken
	e.t.Logf("C<%c: merge is over", 'A'+e.from)
	if !e.held {
		return
	}
	// What its log says was seen is not what its effects meet now: nobody is told, and the others merge what it has.
	last := len(target.log) - 1
	target.hold(e.t, "", target.log[last].t.String())
	target.log, e.sent[enters] = target.log[last:], [3]int{}
	e.mergeAll(enters, 0)
	e.mergeAll(enters, 1)
}

func (n *node) hold(f failer, words ...string) {
	f.Helper()
	n.pick(f, 0)
	n.do(f, append([]string{"FCALL", crdtmeta.FuncHold, "0", n.origin.String()}, words...)...)
}

// A region that merges everything, for whatever reason, in as many rounds as it takes, comes to the same data as the others.
func TestRegionsThatMergeEverythingConverge(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 100, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		g := p.generator(history.Integers, history.Fractions)
		p.adoptSome(g)
		e := &entering{play: p, mode: "whole", held: rapid.Bool().Draw(rt, "held")}
		switch rapid.IntRange(0, 2).Draw(rt, "why") {
		case 0: // it was away
			e.held = true
		case 1: // it is new
			e.stage = away
			nodes[enters].reset(rt)
		case 2: // it has data of its own from before
			e.stage, e.mode = away, "joining"
			nodes[enters].reset(rt)
			p.nodes = nodes[enters:]
			p.adoptSome(g)
			p.nodes = nodes
		}
		nodes[enters].fetch(rt)
		script := g.Script(rt)
		leaves := rapid.IntRange(0, len(script.Actions)).Draw(rt, "leaves")
		enters := rapid.IntRange(leaves, len(script.Actions)).Draw(rt, "enters")
		for i, a := range script.Actions {
			if i == leaves && e.stage == member {
				e.leave()
			}
			if i == enters {
				e.enter()
			}
			if e.concerns(a) {
				p.perform(a)
			}
			if e.stage == merges && rapid.IntRange(0, 2).Draw(rt, "goes on") > 0 {
				e.step()
			}
			e.collectSome()
		}
		if e.stage == member {
			e.leave()
		}
		if e.stage == away {
			e.enter()
		}
		for e.stage == merges {
			e.step()
		}
		p.finish(script.Order)
	})
}

// collectSome collects somewhere, without the region if that does not hold it back.
func (e *entering) collectSome() {
	at := rapid.IntRange(0, 12).Draw(e.t, "collect")
	switch {
	case at > enters:
	case e.stage == member || e.stage == back:
		e.collect(at, &e.collectors[at])
	case at != enters && e.held:
		e.collectWith(at, &e.collectors[at], []int{e.nodes[1-at].id})
	}
}
