package nemesis

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const (
	seedEnv    = "NEMESIS_SEED"
	minutesEnv = "NEMESIS_MINUTES"
)

const (
	shortRun   = 35 * time.Second
	shortPause = 60 * time.Millisecond // of each client, between its deeds
	longPause  = 120 * time.Millisecond
)

// TestThreeRegionsUnderAllFaults is the run: load and faults, then peace, and all promises.
func TestThreeRegionsUnderAllFaults(t *testing.T) {
	redistest.Slow(t)
	seed, length := seedOf(t), lengthOf(t)
	plan := makePlan(seed, length, chosenFaults(t))
	t.Logf("plan for %v:%s", length, describe(plan))
	w, l := startWorld(t), newLedger()
	before := make([]int64, len(w.Regions))
	for i := range w.Regions {
		before[i] = w.info(i, "memory", "used_memory")
	}
	pause := shortPause
	if length > 2*shortRun {
		pause = longPause
	}
	running := startLoad(w, l, seed, pause)
	began := time.Now()
	w.carryOut(plan)
	time.Sleep(length - time.Since(began))
	w.heal()
	running.end()
	if acked, _, _ := l.counts(); acked < int(length/time.Second)*20 {
		t.Errorf("only %d writes were acknowledged in %v: nothing was tried", acked, length)
	}

	space := requireEqual(w, l)
	if suspects := l.check(t, space); suspects != nil {
		t.Log(explainCells(w, suspects))
	}
	requireSketches(w, l)
	for _, region := range w.Regions {
		region.RequireNoMetadata(t)
	}
	requireReplicas(w)
	requireModestProxies(w)
	t.Logf("what clients were told: %v", l.errors)
	if t.Failed() {
		return // what follows would destroy what can be looked at
	}
	deleteAll(w, space)
	requireNothingLeft(w, before)
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64N(1 << 32)
	if text := os.Getenv(seedEnv); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		seed = given
	}
	again := seedEnv + "=" + strconv.FormatUint(seed, 10)
	for _, name := range []string{minutesEnv, faultsEnv} {
		if value := os.Getenv(name); value != "" {
			again += " " + name + "=" + value
		}
	}
	t.Logf("seed %d; again: %s go test ./tests/nemesis -race -count=1 -timeout 0 -v -run '^%s$'", seed, again, t.Name())
	return seed
}

func lengthOf(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(minutesEnv)
	if text == "" {
		return shortRun
	}
	minutes, err := strconv.ParseFloat(text, 64)
	if err != nil || minutes <= 0 {
		t.Fatalf("%s=%q: %v", minutesEnv, text, err)
	}
	return time.Duration(minutes * float64(time.Minute))
}
