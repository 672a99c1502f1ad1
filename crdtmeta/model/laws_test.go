package model_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"anabranch/crdtmeta/model"
	"anabranch/crdtmeta/model/history"

	"pgregory.net/rapid"
)

// world is three regions and a clock. Rapid shrinks what it does; a failure prints how to replay it.
type world struct {
	regions []*model.Region
	sent    [3][3]int // entries of the log of [from] that [to] has taken
	now     int64
	epochs  int
}

func newWorld() *world {
	w := &world{now: 1_700_000_000_000, epochs: 1}
	for id := 1; id <= 3; id++ {
		w.regions = append(w.regions, model.NewRegion(model.Origin{Region: id, Epoch: "1-aaaaaa"}))
	}
	return w
}

// deliver sends up to n entries and stops where one has to wait.
func (w *world) deliver(t *rapid.T, from, to, n int) {
	for ; n > 0 && w.sent[from][to] < len(w.regions[from].Log()); n-- {
		switch err := w.regions[to].Apply(w.regions[from].Log()[w.sent[from][to]]); {
		case err == nil:
			w.sent[from][to]++
		case errors.Is(err, model.ErrWait):
			return
		default:
			t.Fatalf("entry %d of region %d at region %d: %v", w.sent[from][to], from+1, to+1, err)
		}
	}
}

func (w *world) settle(t *rapid.T) {
	for range 1000 {
		open := false
		for from := range 3 {
			for to := range 3 {
				if from != to {
					w.deliver(t, from, to, 1)
					open = open || w.sent[from][to] < len(w.regions[from].Log())
				}
			}
		}
		if !open {
			return
		}
	}
	t.Fatal("the regions do not come to rest: some entries wait for ever")
}

func (w *world) run(t *rapid.T) {
	g := history.Generator{
		Numbers:  rapid.SampledFrom([]history.Numbers{history.Integers, history.Fractions}).Draw(t, "numbers"),
		Deadline: w.now + 1e12,
		Clash:    rapid.Bool().Draw(t, "clash"),
	}
	cut := 0
	for _, a := range g.Script(t).Actions {
		switch {
		case a.Kind == history.Write:
			// Clocks of regions that stand still make equal times, which must be ordered the same everywhere.
			w.now += int64(rapid.IntRange(0, 1).Draw(t, "milliseconds"))
			r := w.regions[a.At]
			r.Call(r.Next(w.now), a.DB, a.Commands)
		case a.Kind == history.Cut:
			cut = a.Cut
		case a.Kind == history.Epoch:
			w.epochs++
			w.regions[a.At].Begin(model.Origin{Region: a.At + 1, Epoch: fmt.Sprintf("%d-aaaaaa", w.epochs)})
		case a.Kind == history.Deliver && cut&(1<<a.Link) == 0:
			w.deliver(t, a.Link/3, a.Link%3, a.Count)
		}
	}
}

func TestRegionsThatHaveSeenTheSameAreEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.run(t)
		w.settle(t)
		for _, r := range w.regions[1:] {
			if a, b := w.regions[0].Dump(), r.Dump(); !reflect.DeepEqual(a, b) {
				t.Fatalf("regions differ\n%v\n%v", a, b)
			}
		}
		// A fourth region that writes nothing takes all logs in some other causal order.
		observer, taken := model.NewRegion(model.Origin{Region: 4, Epoch: "1-bbbbbb"}), [3]int{}
		for {
			var ready []int
			for i, r := range w.regions {
				if taken[i] < len(r.Log()) {
					ready = append(ready, i)
				}
			}
			if len(ready) == 0 {
				break
			}
			i := rapid.SampledFrom(ready).Draw(t, "next origin")
			for ; ; i = (i + 1) % 3 { // at least one of them can be taken
				if taken[i] < len(w.regions[i].Log()) && observer.Apply(w.regions[i].Log()[taken[i]]) == nil {
					taken[i]++
					break
				}
			}
		}
		if a, b := w.regions[0].Dump(), observer.Dump(); !reflect.DeepEqual(a, b) {
			t.Fatalf("an observer sees something else\n%v\n%v", a, b)
		}
	})
}

func TestDeliveringAgainChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.run(t)
		before := []any{w.regions[0].Dump(), w.regions[1].Dump(), w.regions[2].Dump()}
		for from := range 3 {
			for to := range 3 {
				for _, e := range w.regions[from].Log()[:w.sent[from][to]] {
					if err := w.regions[to].Apply(e); err != nil {
						t.Fatalf("an entry taken before: %v", err)
					}
				}
			}
		}
		for i, r := range w.regions {
			if !reflect.DeepEqual(before[i], any(r.Dump())) {
				t.Fatalf("region %d changed\n%v\n%v", i+1, before[i], r.Dump())
			}
		}
	})
}

// A missing entry must stop its origin, whatever the caller believes.
func TestGapIsRefused(t *testing.T) {
	a := model.NewRegion(model.Origin{Region: 1, Epoch: "1-aaaaaa"})
	b := model.NewRegion(model.Origin{Region: 2, Epoch: "1-aaaaaa"})
	a.Do([]string{"SET", "k", "1"}, 1)
	a.Do([]string{"SET", "k", "2"}, 2)
	if err := b.Apply(a.Log()[1]); !errors.Is(err, model.ErrGap) {
		t.Fatalf("got %v", err)
	}
}
