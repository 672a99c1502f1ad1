package syncer

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"anabranch/crdtmeta"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func effects(t crdtmeta.Time, origin crdtmeta.Origin, values ...any) entry {
	return packed(t, append([]any{"e", origin.String(), 1}, values...)...)
}

func epochEntry(t crdtmeta.Time, origin crdtmeta.Origin, old string, last crdtmeta.Time) entry {
	return packed(t, "t", origin.String(), old, int64(last))
}

func packed(t crdtmeta.Time, values ...any) entry {
	body, err := msgpack.Marshal(values)
	if err != nil {
		panic(err)
	}
	return entry{t: t, body: body}
}

var testLimits = applierLimits{
	chunkEntries: 8, chunkBytes: 1 << 10, chunkTime: 2 * time.Millisecond, pausePoll: 10 * time.Millisecond,
	waitPoll: 100 * time.Millisecond, retryMin: 50 * time.Millisecond, retryMax: time.Second,
}

func nothing(crdtmeta.Origin) crdtmeta.Time { return 0 }

var (
	peerOne = at(2, "1-aaaaaa")
	peerTwo = at(2, "2-bbbbbb")
	start0  = time.Unix(1_700_000_000, 0)
)

func TestApplierSendsChunksOfOneOrigin(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	err := a.push([]entry{effects(11, peerOne), effects(12, peerOne), epochEntry(20, peerTwo, peerOne.String(), 12), effects(21, peerTwo)})
	if err != nil {
		t.Fatal(err)
	}
	act := a.next(start0, nothing)
	if act.origin != peerOne || act.position != 10 || len(act.apply) != 2 {
		t.Fatalf("first call: %v at %d, %d entries", act.origin, act.position, len(act.apply))
	}
	if _, _, err := a.replied(start0, act, reply{frontier: 12, done: 2, status: replyOK}, 0); err != nil {
		t.Fatal(err)
	}
	act = a.next(start0, nothing)
	if act.origin != peerTwo || act.position != 0 || len(act.apply) != 2 {
		t.Fatalf("second call: %v at %d, %d entries", act.origin, act.position, len(act.apply))
	}
}

func TestUnknownOriginMustBeginWithItsEpoch(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	if err := a.push([]entry{effects(21, peerTwo)}); !errors.Is(err, errGap) {
		t.Errorf("entries of an epoch whose beginning is missing were taken: %v", err)
	}
}

func TestApplierKeepsWhatIsNotDone(t *testing.T) {
	other := at(3, "1-cccccc")
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne), effects(12, peerOne), effects(13, peerOne)})
	act := a.next(start0, nothing)
	detail := other.String() + " 77"
	done, _, err := a.replied(start0, act, reply{frontier: 11, done: 1, status: replyWait, detail: detail}, 0)
	if err != nil || done != 1 {
		t.Fatal(done, err)
	}
	if act = a.next(start0, nothing); len(act.apply) > 0 || !act.until.Equal(start0.Add(testLimits.waitPoll)) {
		t.Fatalf("did not wait: %+v", act)
	}
	covered := func(o crdtmeta.Origin) crdtmeta.Time {
		if o == other {
			return 77
		}
		return 0
	}
	if act = a.next(start0, covered); len(act.apply) != 2 || act.position != 11 || act.apply[0].t != 12 {
		t.Fatalf("not tried again when the frontier moved: %+v", act)
	}
	a.mode = modeWaiting
	if act = a.next(start0.Add(testLimits.waitPoll), nothing); len(act.apply) != 2 {
		t.Fatal("not tried again after the poll interval")
	}
}

func TestApplierHoldsWhilePaused(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne)})
	act := a.next(start0, nothing)
	_, _, _ = a.replied(start0, act, reply{frontier: 10, status: replyPaused}, 0)
	if act = a.next(start0, nothing); act.probe || len(act.apply) > 0 {
		t.Fatalf("did not hold: %+v", act)
	}
	if act = a.next(start0.Add(testLimits.pausePoll), nothing); !act.probe {
		t.Fatalf("did not look for a resume: %+v", act)
	}
	if a.wake(); !a.next(start0, nothing).probe {
		t.Fatal("did not look at once when told")
	}
	a.retry()
	if act = a.next(start0, nothing); len(act.apply) != 1 {
		t.Fatalf("did not go on: %+v", act)
	}
}

func TestApplierArmsAtOnceAndThenLaterAndLater(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne)})
	now := start0
	a.failed(now, redisError("CRDTTAKEOVER the engine is not armed for this server"))
	if act := a.next(now, nothing); !act.arm {
		t.Fatalf("did not arm: %+v", act)
	}
	a.retry()
	if act := a.next(now, nothing); len(act.apply) != 1 {
		t.Fatalf("did not try again: %+v", act)
	}
	var last time.Duration
	for range 10 {
		a.failed(now, redisError("OOM command not allowed"))
		act := a.next(now, nothing)
		pause := act.until.Sub(now)
		if len(act.apply) > 0 || pause < last || pause > testLimits.retryMax {
			t.Fatalf("pause %v after %v: %+v", pause, last, act)
		}
		last, now = pause, act.until
	}
	if last != testLimits.retryMax {
		t.Errorf("pauses end at %v, not at the cap", last)
	}
	if act := a.next(now, nothing); len(act.apply) != 1 || act.apply[0].t != 11 {
		t.Fatalf("lost the entry: %+v", act)
	}
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestClassify(t *testing.T) {
	for text, want := range map[string]failure{
		"CRDTTAKEOVER x":                  failureUnarmed,
		"ERR Function not found":          failureUnarmed,
		"OOM command not allowed":         failureMemory,
		"READONLY You can't write":        failureNotMaster,
		"LOADING Redis is loading":        failureLater,
		"BUSY Redis is busy":              failureLater,
		"ERR anabranch: something":        failureEngine,
		"NOREPLICAS Not enough good":      failureNotMaster,
		"ERR Function not found script: ": failureUnarmed,
	} {
		if got := classify(redisError(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
	if got := classify(errors.New("i/o timeout")); got != failureLater {
		t.Errorf("a network error is %v", got)
	}
}

func TestGapThatWentBackEndsTheLink(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne)})
	act := a.next(start0, nothing)
	if _, _, err := a.replied(start0, act, reply{frontier: 5, status: replyGap, detail: "5"}, 0); !errors.Is(err, errGap) {
		t.Errorf("a frontier that went back: %v", err)
	}
}

func TestGapThatWentForwardIsAnotherLeader(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne), effects(12, peerOne)})
	act := a.next(start0, nothing)
	if _, _, err := a.replied(start0, act, reply{frontier: 11, status: replyGap, detail: "11"}, 0); err != nil {
		t.Fatal(err)
	}
	if act = a.next(start0, nothing); act.position != 11 {
		t.Errorf("position %d, want 11", act.position)
	}
}

func TestFetchThatDoesNotHelpIsNotRepeatedAtOnce(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 10})
	_ = a.push([]entry{effects(11, peerOne)})
	fetch := reply{frontier: 10, status: replyFetch, detail: "3 some key"}
	act := a.next(start0, nothing)
	_, _, _ = a.replied(start0, act, fetch, 0)
	if act = a.next(start0, nothing); !act.fetch || a.db != 3 || string(a.key) != "some key" {
		t.Fatalf("%+v db %d key %q", act, a.db, a.key)
	}
	a.retry()
	act = a.next(start0, nothing)
	_, _, _ = a.replied(start0, act, fetch, 0)
	if act = a.next(start0, nothing); act.fetch || act.until.IsZero() {
		t.Errorf("asked again at once: %+v", act)
	}
}

func TestChunksFollowTheTimeThatCallsTake(t *testing.T) {
	a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 0})
	for i := range 100 {
		_ = a.push([]entry{effects(crdtmeta.Time(i+1), peerOne)})
	}
	step := func(took time.Duration) int {
		act := a.next(start0, nothing)
		n := len(act.apply)
		_, _, _ = a.replied(start0, act, reply{frontier: act.apply[n-1].t, done: n, status: replyOK}, took)
		return n
	}
	step(10 * time.Millisecond)
	step(10 * time.Millisecond)
	if n := step(10 * time.Millisecond); n != chunkLeast {
		t.Errorf("%d entries in a call after slow ones, want %d", n, chunkLeast)
	}
	for range 8 {
		step(0)
	}
	if n := step(0); n != testLimits.chunkEntries {
		t.Errorf("%d entries in a call after fast ones, want %d", n, testLimits.chunkEntries)
	}
}

// TestNothingIsLostOrDoubledWhateverTheEngineSays plays random answers of an engine that keeps its own frontier, as the
// real one does, and checks that every entry is applied exactly once and in order.
func TestNothingIsLostOrDoubledWhateverTheEngineSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(1, 60).Draw(t, "entries")
		a := newApplier(testLimits, crdtmeta.Frontier{peerOne: 0})
		real, pushed, now := crdtmeta.Time(0), 0, start0
		var order []crdtmeta.Time
		for steps := 0; int(real) < total; steps++ {
			if steps > 5000 {
				t.Fatal("no progress")
			}
			if n := rapid.IntRange(0, 5).Draw(t, "push"); n > 0 {
				for ; n > 0 && pushed < total; n-- {
					pushed++
					_ = a.push([]entry{effects(crdtmeta.Time(pushed), peerOne)})
				}
			}
			act := a.next(now, nothing)
			switch {
			case act.arm, act.probe, act.fetch:
				a.retry()
				continue
			case len(act.apply) == 0:
				now = now.Add(20 * time.Millisecond)
				continue
			}
			if rapid.Bool().Draw(t, "another leader") {
				for n := min(real+2, crdtmeta.Time(pushed)); real < n; { // what is ahead is in the queue
					real++
					order = append(order, real)
				}
			}
			if act.position > real {
				t.Fatalf("position %d, frontier %d", act.position, real)
			}
			sent := rapid.IntRange(0, len(act.apply)).Draw(t, "done")
			for _, e := range act.apply[:sent] {
				if e.t == real+1 {
					real = e.t
					order = append(order, e.t)
				} else if e.t > real+1 {
					t.Fatalf("entry %d was handed over at frontier %d", e.t, real)
				}
			}
			r := reply{frontier: real, done: sent, status: replyOK}
			if sent < len(act.apply) {
				r.status = rapid.SampledFrom([]string{replyWait, replyPaused, replyFetch, "error"}).Draw(t, "status")
				r.detail = map[string]string{replyWait: "3.0.1-cccccc 9", replyFetch: fmt.Sprintf("0 k%d", real)}[r.status]
			}
			if r.status == "error" {
				a.failed(now, errors.New("connection reset")) // the call was executed, the answer got lost
				continue
			}
			if _, _, err := a.replied(now, act, r, 0); err != nil {
				t.Fatal(err)
			}
		}
		for i, e := range order {
			if int(e) != i+1 {
				t.Fatalf("order %v", order)
			}
		}
	})
}
