package model_test

import (
	"reflect"
	"strings"
	"testing"

	"anabranch/crdtmeta/model"
	"anabranch/crdtmeta/model/history"
)

func TestRules(t *testing.T) {
	rules, err := history.ReadRules("../testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		t.Run(rule.Name, func(t *testing.T) { play(t, rule) })
	}
}

func play(t *testing.T, rule history.Rule) {
	w, start := newWorld(), int64(1_700_000_000_000)
	for _, step := range rule.Steps {
		at := strings.Index("ABC", step.Region)
		switch step.Kind {
		case "adopt":
			key, value := history.ParseValue(step.Words)
			for _, r := range w.regions {
				r.Adopt(0, key, value)
			}
		case "do":
			w.now++
			now := w.now
			if step.Time != 0 {
				now = start + 1000*step.Time
				w.now = max(w.now, now)
			}
			reply, _ := w.regions[at].Do(step.Words, now)
			if step.Reply != "" && step.Reply != history.Print(reply) {
				t.Errorf("line %d: %s replies %s, want %s", step.Line, history.Quote(step.Words), history.Print(reply), step.Reply)
			}
		case "deliver":
			deliverAll(t, w, at, strings.Index("ABC", step.To))
		case "sync":
			for range 3 { // an entry may wait for another origin's
				for from := range 3 {
					for to := range 3 {
						deliverAll(t, w, from, to)
					}
				}
			}
		case "expect":
			key, want := history.ParseValue(step.Words)
			for i, r := range w.regions {
				if got := r.Dump()[0][key]; !reflect.DeepEqual(got, want) {
					t.Errorf("line %d: region %d shows %+v, want %+v", step.Line, i+1, got, want)
				}
			}
		}
	}
}

func deliverAll(t *testing.T, w *world, from, to int) {
	for from != to && w.sent[from][to] < len(w.regions[from].Log()) {
		if err := w.regions[to].Apply(w.regions[from].Log()[w.sent[from][to]]); err != nil {
			if err != model.ErrWait {
				t.Fatal(err)
			}
			return
		}
		w.sent[from][to]++
	}
}
