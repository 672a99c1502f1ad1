package differential

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// seedEnv replays the choices of a run.
const seedEnv = "ANABRANCH_TEST_SEED"

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedEnv); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		seed = given
	}
	t.Logf("seed %d; again: %s=%d go test ./tests/differential -run '^%s$'", seed, seedEnv, seed, t.Name())
	return seed
}

const (
	walks      = 25
	walkLength = 400
)

// TestRandomCommandsAnswerAsRedisDoes sends random commands at few keys, to plain Redis and to the first of two regions,
// and compares replies, data, and the second region.
func TestRandomCommandsAnswerAsRedisDoes(t *testing.T) {
	g := newGrammar(t, seedOf(t))
	g.add(databases)
	r := newRig(t, 2)
	for walk := range walks {
		s := r.open(t, []string{"2", "3"}[walk%2])
		script := make([]line, walkLength)
		for i := range script {
			script[i] = g.command()
			script[i].number = i + 1
		}
		s.play(script, walk%3 > 0)
		r.compareData(s)
		if t.Failed() {
			explain(t, script)
			return
		}
	}
}

// TestRandomCommandsAreDeterministic is the same walk between two plain servers.
func TestRandomCommandsAreDeterministic(t *testing.T) {
	g := newGrammar(t, seedOf(t))
	g.add(databases)
	r := newPlainRig(t)
	for range walks {
		s := r.open(t, "2")
		script := make([]line, walkLength)
		for i := range script {
			script[i] = g.command()
			script[i].number = i + 1
		}
		s.play(script, true)
		r.compareData(s)
	}
}

// explain prints a failed walk, so that it can be read without playing it again.
func explain(t *testing.T, script []line) {
	t.Helper()
	var out strings.Builder
	for _, l := range script {
		out.WriteString(strconv.Itoa(l.number) + ": " + strings.Join(quoted(l.args), " ") + "\n")
	}
	t.Logf("the walk was:\n%s", out.String())
}
