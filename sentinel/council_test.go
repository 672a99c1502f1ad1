package sentinel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const life = 3 * time.Second

// says is an answer of a Sentinel that knows two others.
func says(id, primary string, epoch uint64, at time.Duration, replicas ...string) answer {
	return answer{id: id, primary: primary, epoch: epoch, others: make([]other, 2), replicas: replicas, at: start.Add(at)}
}

// step is one answer and the verdict that follows; trouble "" means that a majority confirms it.
type step struct {
	from    string
	answer  answer
	want    string
	trouble string
}

func TestTheCouncilDecides(t *testing.T) {
	const second = time.Second
	alone := says("1", "old", 0, 0)
	alone.others = nil
	for name, steps := range map[string][]step{
		"a majority is needed": {
			{"s1", says("1", "a", 1, 0), "", "1 of 3 Sentinels answer"},
			{"s2", says("2", "a", 1, 0), "a", ""},
		},
		"one that was told of a fail-over need not wait for the others": {
			{"s1", says("1", "a", 1, 0), "", "1 of 3"},
			{"s2", says("2", "a", 1, 0), "a", ""},
			{"s3", says("3", "b", 2, 0), "b", ""},
		},
		"one that was cut off with an old primary does not count": {
			{"s1", says("1", "a", 1, 0), "", "1 of 3"},
			{"s2", says("2", "b", 2, 0), "b", ""},
			{"s3", says("3", "b", 2, 0), "b", ""},
			{"s1", says("1", "a", 1, second), "b", ""},
		},
		"answers grow old, and what was known stays": {
			{"s1", says("1", "a", 1, 0), "", "1 of 3"},
			{"s2", says("2", "a", 1, 0), "a", ""},
			{"s1", says("1", "a", 1, 4*second), "a", "1 of 3"},
			{"s1", says("1", "b", 2, 5*second), "a", "1 of 3"},
			{"s3", says("3", "a", 1, 6*second), "b", ""},
		},
		"one that has lost its memory is no majority": {
			{"s1", alone, "", "1 of 3"},
		},
		"several that have lost theirs must be a majority": {
			{"s1", says("1", "b", 2, 0), "", "1 of 3"},
			{"s2", says("2", "b", 2, 0), "b", ""},
			{"s2", says("2", "a", 0, second), "b", ""},
			{"s3", says("3", "a", 0, 5*second), "b", "1 of 3"},
			{"s2", says("2", "a", 0, 5*second), "a", ""},
		},
		"one Sentinel under two addresses is one voice": {
			{"s1", says("1", "a", 1, 0), "", "1 of 3"},
			{"10.0.0.1", says("1", "a", 1, 0), "", "1 of 3"},
			{"s2", says("2", "a", 1, 0), "a", ""},
		},
		"two that disagree about one configuration": {
			{"s1", says("1", "a", 0, 0), "", "1 of 3"},
			{"s2", says("2", "b", 0, 0), "", "do not agree"},
			{"s3", says("3", "b", 0, 0), "b", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCouncil([]string{"s1", "s2", "s3"}, life)
			for i, s := range steps {
				c.hear(s.from, s.answer)
				v, err := c.decide(s.answer.at)
				if v.primary != s.want || (err == nil) != (s.trouble == "") || err != nil && !strings.Contains(err.Error(), s.trouble) {
					t.Fatalf("step %d: %q, %v; want %q, %q", i, v.primary, err, s.want, s.trouble)
				}
			}
		})
	}
}

func TestAVerdictIsAsOldAsTheAnswerThatMadeItsMajority(t *testing.T) {
	c := newCouncil([]string{"s1", "s2", "s3"}, life)
	c.hear("s1", says("1", "a", 1, 0, "b", "c"))
	c.hear("s2", says("2", "a", 1, time.Second, "c", "d"))
	c.hear("s3", says("3", "a", 1, 2*time.Second))
	v, err := c.decide(start.Add(2 * time.Second))
	if err != nil || v.confirmed != start.Add(time.Second) || !slices.Equal(v.replicas, []string{"b", "c", "d"}) {
		t.Errorf("%+v, %v", v, err)
	}
	// All are silent by now: what was confirmed stays as old as it is.
	if later, err := c.decide(start.Add(time.Hour)); err == nil || later.confirmed != v.confirmed || later.primary != "a" {
		t.Errorf("%+v, %v", later, err)
	}
}

// Sentinels that are found count for the majority, and so do those that are configured and dead.
func TestTheSizeOfTheCouncil(t *testing.T) {
	for name, test := range map[string]struct {
		configured []string
		answers    map[string]answer
		want       int
	}{
		"configured":              {[]string{"s1", "s2", "s3", "s4", "s5"}, nil, 5},
		"known to one":            {[]string{"s1"}, map[string]answer{"s1": says("1", "a", 1, 0)}, 3},
		"aliases count once":      {[]string{"s1", "one", "s2"}, map[string]answer{"s1": {id: "1", at: start}, "one": {id: "1", at: start}}, 2},
		"an alias that is silent": {[]string{"s1", "one", "s2"}, map[string]answer{"s1": {id: "1", at: start}, "one": {id: "1"}}, 2},
	} {
		c := newCouncil(test.configured, life)
		for addr, a := range test.answers {
			c.hear(addr, a)
		}
		if got := c.size(c.voices(start)); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// Whatever order answers arrive in, and whoever of five Sentinels is silent: only a majority that agrees can send anybody back.
func TestFewSendNobodyBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 5
		c := newCouncil([]string{"s0", "s1", "s2", "s3", "s4"}, life)
		epochs := make([]uint64, size) // what each Sentinel knows
		highest, told := uint64(0), uint64(0)
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 1500).Draw(t, "millis")) * time.Millisecond
			i := rapid.IntRange(0, size-1).Draw(t, "sentinel")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // a fail-over
				highest++
				epochs[i] = highest
			case 1: // one tells another
				j := rapid.IntRange(0, size-1).Draw(t, "other")
				epochs[j] = max(epochs[i], epochs[j])
			default:
				a := says(fmt.Sprint(i), fmt.Sprint("primary", epochs[i]), epochs[i], now)
				a.others = make([]other, size-1)
				c.hear(fmt.Sprint("s", i), a)
			}
			v, err := c.decide(start.Add(now))
			voices, agree := c.voices(start.Add(now)), 0
			for _, a := range voices {
				if a.primary == v.primary {
					agree++
				}
			}
			if v.epoch < told && agree <= size/2 {
				t.Fatalf("%d of %d lead from %d back to %d", agree, size, told, v.epoch)
			}
			told = v.epoch
			if err == nil && len(voices) <= size/2 {
				t.Fatal("confirmed without a majority")
			}
		}
	})
}

// That a fail-over begins is believed of a single Sentinel, but only about the primary of the moment: the news may come late.
func TestAnAnnouncementCountsForThePrimaryOfTheMoment(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Sentinels, cfg.Name = []string{"s1"}, "main"
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := &assembly{Watcher: w, announced: make(chan struct{}, 1)}
	leaving := func() bool { p, _ := w.Primary(); return !p.Leaving.IsZero() }
	w.publish(verdict{primary: "10.0.0.1:6379"}, nil)
	<-w.Changed()
	a.announce(eventLeaving, strings.Fields("master main 10.0.0.2 6379"))
	if leaving() {
		t.Error("the announcement was about another one")
	}
	a.announce(eventLeaving, strings.Fields("master main 10.0.0.1 6379"))
	if !leaving() {
		t.Error("the announcement is not known")
	}
	<-w.Changed()
	w.publish(verdict{primary: "10.0.0.2:6379"}, nil)
	<-w.Changed()
	if leaving() {
		t.Error("the new primary is leaving")
	}
}
