package nemesis

import (
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// recorder notes a failure instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

// filled is a ledger of a few writes of each kind.
func filled() *ledger {
	l := newLedger()
	l.increment("count0", 5, acknowledged)
	l.increment("count0", 3, unknown)
	for cell, o := range map[string]outcome{"set0/a": acknowledged, "set0/b": unknown, "set0/c": refused, "set0/d": acknowledged, "queue/e": acknowledged} {
		l.announce(cell, "")
		l.mark(cell, o)
	}
	l.unmark("set0/d", acknowledged)
	for _, cell := range []string{"order0/A1.0-1", "order0/A1.0-2"} {
		l.announce(cell, "")
		l.mark(cell, acknowledged)
		l.pushed("order0", "A1.0", cell[len("order0/"):])
	}
	l.together([]string{"order0/A1.0-1", "set0/a"})
	for _, value := range []string{"one", "two"} {
		l.endRegister(l.beginRegister("register0", 0, value), acknowledged)
		time.Sleep(time.Millisecond) // the second begins after the first has ended
	}
	l.endRegister(l.beginRegister("register0", 1, "three"), unknown)
	l.mortal("mortal-x", true)
	l.attempt("A1.3", 4)
	return l
}

// right is what a region may show then.
func right() redistest.Keyspace {
	return redistest.Keyspace{
		"0:count0":    {Type: "string", Value: `"5"`},
		"0:set0":      {Type: "set", Value: `["a"]`},
		"0:queue":     {Type: "list", Value: `["e"]`},
		"0:order0":    {Type: "list", Value: `["A1.0-1" "A1.0-2"]`},
		"0:register0": {Type: "string", Value: `"two"`},
		"1:xl0":       {Type: "list", Value: `["A1.3-4" "m0"]`},
	}
}

func passes(l *ledger, space redistest.Keyspace) bool {
	r := &recorder{}
	l.check(r, space)
	return !r.failed
}

// The ledger accepts all that may be, and nothing else.
func TestLedgerNoticesWhatMayNotBe(t *testing.T) {
	with := func(key, kind, value string) redistest.Keyspace {
		space := right()
		if kind == "" {
			delete(space, key)
		} else {
			space[key] = redistest.Entry{Type: kind, Value: value}
		}
		return space
	}
	for what, space := range map[string]redistest.Keyspace{
		"all of it":                       right(),
		"an unknown increment counted":    with("0:count0", "string", `"8"`),
		"an unknown member is there":      with("0:set0", "set", `["a" "b"]`),
		"a write of unknown outcome won":  with("0:register0", "string", `"three"`),
		"elements between those in order": with("0:order0", "list", `["A1.0-1" "A1.0-2"]`),
	} {
		if !passes(filled(), space) {
			t.Errorf("%s is refused", what)
		}
	}
	for what, space := range map[string]redistest.Keyspace{
		"a lost increment":            with("0:count0", "string", `"4"`),
		"a doubled increment":         with("0:count0", "string", `"10"`),
		"a lost counter":              with("0:count0", "", ""),
		"a lost member":               with("0:set0", "set", `["b"]`),
		"a refused member":            with("0:set0", "set", `["a" "c"]`),
		"a removed member":            with("0:set0", "set", `["a" "d"]`),
		"a member that nobody wrote":  with("0:set0", "set", `["a" "z"]`),
		"a key that nobody wrote":     with("0:other", "string", `"v"`),
		"an element nobody popped":    with("0:queue", "", ""),
		"another order":               with("0:order0", "list", `["A1.0-2" "A1.0-1"]`),
		"half a transaction":          with("0:order0", "list", `["A1.0-2"]`),
		"an overwritten value":        with("0:register0", "string", `"one"`),
		"a value that nobody wrote":   with("0:register0", "string", `"four"`),
		"a lost register":             with("0:register0", "", ""),
		"a key whose time is up":      with("0:mortal-x", "string", `"v"`),
		"an element from the future":  with("1:xl0", "list", `["A1.3-5"]`),
		"an element of nobody at all": with("1:xl0", "list", `["what"]`),
	} {
		if passes(filled(), space) {
			t.Errorf("%s is not noticed", what)
		}
	}
	l := filled()
	l.popped("queue", 1)
	if !passes(l, with("0:queue", "", "")) {
		t.Error("an element that a pop of unknown outcome may have taken is missed")
	}
}

// The same seed makes the same plan, every fault comes up, and no place is struck twice at once.
func TestPlansAreReplayedAndDoNotCollide(t *testing.T) {
	all := allFaults()
	for seed := range uint64(200) {
		plan := makePlan(seed, 2*time.Minute, all)
		if describe(plan) != describe(makePlan(seed, 2*time.Minute, all)) {
			t.Fatalf("seed %d makes two plans", seed)
		}
		struck := map[string]bool{}
		for i, s := range plan {
			struck[s.fault.name] = true
			if taken(plan[:i], s) {
				t.Errorf("seed %d: %s strikes where something else does", seed, s)
			}
		}
		if len(struck) != len(all) {
			t.Errorf("seed %d: only %d of %d faults come up", seed, len(struck), len(all))
		}
	}
}
