package crdtmeta_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model/history"
)

// The rules that the model obeys must hold in the engine. Times in a rule are kept as an order only: the test waits
// for a later millisecond, so the steps of a rule must be written in the order of their times.
func TestRules(t *testing.T) {
	rules, err := history.ReadRules("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	nodes := startNodes(t, 3)
	for _, rule := range rules {
		t.Run(rule.Name, func(t *testing.T) { playRule(t, nodes, rule) })
	}
}

func playRule(t *testing.T, nodes []*node, rule history.Rule) {
	sent := [3][3]crdtmeta.Time{}
	deliver := func(from, to int) {
		if from == to {
			return
		}
		nodes[from].fetch(t)
		answer := nodes[to].apply(t, nodes[from].origin, sent[from][to], nodes[from].log...)
		if sent[from][to] = answer.frontier; answer.status != "ok" && answer.status != "wait" {
			t.Fatalf("delivery answers %+v", answer)
		}
		nodes[to].fetch(t)
	}
	for _, n := range nodes {
		n.reset(t)
	}
	for _, step := range rule.Steps {
		at := strings.Index("ABC", step.Region)
		switch step.Kind {
		case "adopt":
			key, value := history.ParseValue(step.Words)
			for _, n := range nodes {
				n.adopt(t, 0, key, value)
			}
		case "do":
			awaitTick(nodes)
			time.Sleep(time.Millisecond)
			replies, _ := nodes[at].call(t, 0, step.Words)
			if got := print(replies[0]); step.Reply != "" && got != step.Reply && got != `"`+step.Reply+`"` {
				t.Errorf("line %d: %s replies %s, want %s", step.Line, history.Quote(step.Words), got, step.Reply)
			}
		case "deliver":
			deliver(at, strings.Index("ABC", step.To))
		case "sync":
			for range 3 { // an entry may wait for another origin's
				for link := range 9 {
					deliver(link/3, link%3)
				}
			}
		case "expect":
			key, want := history.ParseValue(step.Words)
			for _, n := range nodes {
				data, companions := n.visible(t)
				if got := data[0][key]; !reflect.DeepEqual(got, want) {
					t.Errorf("line %d: region %d shows %+v, want %+v", step.Line, n.id, got, want)
				}
				n.checkCount(t, companions)
			}
		}
	}
}
