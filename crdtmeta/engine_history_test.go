package crdtmeta_test

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"anabranch/crdtmeta/model"
	"anabranch/crdtmeta/model/history"

	"pgregory.net/rapid"
)

// checksEnv sets how many histories each test plays. Rapid prints how to replay one that failed: a seed
// (-rapid.seed=…) and, for the shrunk history, a file (-rapid.failfile=…).
const checksEnv = "ANABRANCH_ENGINE_CHECKS"

// checkHistories is rapid.Check with a number of histories that suits real servers.
func checkHistories(t *testing.T, usual int, property func(*rapid.T)) {
	t.Helper()
	checks := strconv.Itoa(usual)
	if text := os.Getenv(checksEnv); text != "" {
		checks = text
	}
	if set := flag.Lookup("rapid.checks"); set.Value.String() == set.DefValue {
		if err := set.Value.Set(checks); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = set.Value.Set(set.DefValue) }()
	}
	rapid.Check(t, property)
}

// The engine and the model must agree on every reply and on all data, after every step.
func TestHistoriesAgreeWithTheModel(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 160, func(rt *rapid.T) { randomHistory(newPlay(rt, nodes, true), history.Integers, history.Fractions) })
}

// Stamps of different regions may be equal here, which happens when two clocks tick alike: the regions must agree all
// the same. The model cannot tell which one wins, because ordinals inside an entry are the engine's choice. Nor can it
// follow numbers that round.
func TestHistoriesWithEqualTimesConverge(t *testing.T) {
	nodes := startNodes(t, 3)
	nodes[0].id, nodes[1].id, nodes[2].id = 9, 10, 63 // the order of numbers is not the order of their texts
	checkHistories(t, 100, func(rt *rapid.T) {
		randomHistory(newPlay(rt, nodes, false), history.Integers, history.Fractions, history.Anything)
	})
}

func randomHistory(p *play, numbers ...history.Numbers) {
	g := p.generator(numbers...)
	p.adoptSome(g)
	script := g.Script(p.t)
	for _, a := range script.Actions {
		p.perform(a)
		if p.after != nil {
			p.after()
		}
	}
	p.finish(script.Order)
}

func (p *play) generator(numbers ...history.Numbers) history.Generator {
	return history.Generator{
		Numbers:  rapid.SampledFrom(numbers).Draw(p.t, "numbers"),
		Deadline: deadlines,
		Clash:    rapid.Bool().Draw(p.t, "clash"),
	}
}

func (p *play) perform(a history.Action) {
	from, to := a.Link/3, a.Link%3
	switch {
	case a.Kind == history.Write:
		p.write(a.At, a.DB, a.Commands...)
	case a.Kind == history.Epoch:
		p.nodes[a.At].lives++
		p.arm(a.At)
	case a.Kind == history.Reload:
		p.nodes[a.At].do(p.t, "FUNCTION", "LOAD", "REPLACE", library)
		p.arm(a.At)
	case a.Kind == history.Cut:
		p.cut = a.Cut
		p.t.Logf("links cut: %09b", p.cut)
	case p.cut&(1<<a.Link) != 0:
	case a.Kind == history.Deliver:
		p.deliver(from, to, p.sent[from][to], a.Count)
	case a.Kind == history.Again && p.sent[from][to] > 0:
		p.deliver(from, to, max(0, p.sent[from][to]-a.Back), a.Count)
	}
}

// adoptSome puts data into Redis that the engine has never seen, the same in all regions.
func (p *play) adoptSome(g history.Generator) {
	for i, key := range history.Keys {
		var v model.Value
		kind := rapid.IntRange(0, 9).Draw(p.t, "adopt")
		if kind < 5 && !g.Clash {
			kind = i // the favourite type of the key
		}
		switch kind {
		case 0:
			v = model.Value{Type: model.String, String: rapid.SampledFrom([]string{"5", "x", ""}).Draw(p.t, "value")}
		case 1:
			v = model.Value{Type: model.Hash, Elements: map[string]string{"m": "5", "n": "x"}}
		case 2:
			v = model.Value{Type: model.Set, Elements: map[string]string{"m": "", "o\x00": ""}}
		case 3:
			v = model.Value{Type: model.ZSet, Elements: map[string]string{"m": "5", "n": "0.5"}}
		case 4:
			v = model.Value{Type: model.List, List: []string{"x", "y", "x", "z", ""}}
		case 5:
			v = model.Value{Type: model.Stream, Elements: map[string]string{"1-1": "f v", "3-1": "f w", "ggroup": ""}}
		default:
			continue
		}
		if rapid.Bool().Draw(p.t, "expires") {
			v.Deadline = g.Deadline + 3000
		}
		p.adopt(rapid.SampledFrom([]int{0, 0, 1}).Draw(p.t, "database"), key, v)
	}
}
