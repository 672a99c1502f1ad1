package crdtmeta_test

import (
	"testing"

	"anabranch/crdtmeta"
)

// Deliveries that no peer of ours sends. They must be refused before they change anything: the log's clock above all,
// which can never go back.
func TestBadDeliveriesAreRefused(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	_, good := a.call(t, 0, []string{"SET", "k", "v"})
	far := crdtmeta.TimeAt(good.t.Millis() + 11*365*24*3600*1000).ID()
	effects := "\x94\xa1e\xac" + a.origin.String()
	packed := packRun([]string{"k", "v"})
	run := func(n byte) string { return "\x95" + effects[1:] + "\xa0\xa1M" + string(rune(n)) }
	for name, words := range map[string][]string{
		"far ahead":         {a.origin.String(), "0", far, good.body, "0"},
		"our own":           {b.origin.String(), "0", good.id, good.body, "0"},
		"no origin":         {"nonsense", "0", good.id, good.body, "0"},
		"no position":       {a.origin.String(), "x", good.id, good.body, "0"},
		"no id":             {a.origin.String(), "0", "nonsense", good.body, "0"},
		"no body":           {a.origin.String(), "0", good.id, "\xc1", "0"},
		"an empty body":     {a.origin.String(), "0", good.id, "", "0"},
		"an unknown kind":   {a.origin.String(), "0", good.id, "\x93\xa1q\xa1x\xa0", "0"},
		"an unknown effect": {a.origin.String(), "0", good.id, effects + "\xa0\xa1?", "0"},
		"a missing body":    {a.origin.String(), "0", good.id},
		"a missing count":   {a.origin.String(), "0", good.id, good.body},
		"a negative count":  {a.origin.String(), "0", good.id, good.body, "-1"},
		"a run of nobody":   {a.origin.String(), "0", good.id, good.body, "1", packed},
		"another run":       {a.origin.String(), "0", good.id, run(2), "1", packed},
		"no run":            {a.origin.String(), "0", good.id, run(1), "1"},
		"a broken run":      {a.origin.String(), "0", good.id, run(1), "1", packed[1:]},
		"an empty run":      {a.origin.String(), "0", good.id, run(0), "1", "\xdc\x00\x00"},
		"runs left over":    {a.origin.String(), "0", good.id, run(1), "2", packed, packed},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.get(t, "DEBUG", "DIGEST")
			reply, err := b.conn.Try(append([]string{"FCALL", crdtmeta.FuncApply, "0"}, words...)...)
			if err != nil {
				t.Fatal(err)
			}
			if !reply.IsError() {
				t.Errorf("answers %v", reply)
			}
			if after := b.get(t, "DEBUG", "DIGEST"); after != before {
				t.Error("something has changed")
			}
		})
	}
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Errorf("a good delivery after that: %+v", answer)
	}
	if k := b.get(t, "GET", "k"); k != `"v"` {
		t.Errorf("k is %s", k)
	}
}

// The halves of one entry never become visible apart, and neither do entries behind one that has to wait.
func TestNothingBehindAWaitingEntryIsApplied(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.call(t, 0, []string{"SET", "k", "1"})
	b.call(t, 0, []string{"SET", "first", "1"})
	b.apply(t, a.origin, 0, a.log...)
	b.call(t, 0, []string{"SET", "second", "1"}, []string{"SET", "third", "1"})
	b.call(t, 0, []string{"SET", "fourth", "1"})
	for range 3 { // asking again changes nothing
		answer := c.apply(t, b.origin, 0, b.log...)
		if answer.status != "wait" {
			t.Fatalf("answer %+v", answer)
		}
		if got := c.get(t, "EXISTS", "first", "second", "third", "fourth"); got != "(integer) 1" {
			t.Fatalf("%s of the keys are there, want the first one", got)
		}
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
}
