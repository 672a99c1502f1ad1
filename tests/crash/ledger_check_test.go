package crash

import (
	"testing"

	"anabranch/internal/redistest"
)

// TestLedgerNoticesLossAndDoubling feeds the ledger with keyspaces that are wrong in one way each.
func TestLedgerNoticesLossAndDoubling(t *testing.T) {
	fill := func() *ledger {
		l := newLedger()
		l.outcome(op{counter: "c", amount: 5}, true)
		l.outcome(op{counter: "c", amount: 3}, false)
		l.outcome(op{counter: "h/f", amount: -2}, true)
		l.outcome(op{marker: "s/m1"}, true)
		l.outcome(op{marker: "k1", value: "v"}, true)
		l.outcome(op{marker: "k2", value: "v"}, false)
		return l
	}
	good := func() redistest.Keyspace {
		return redistest.Keyspace{
			"0:c":  {Type: "string", Value: `"5"`},
			"0:h":  {Type: "hash", Value: `"f"="-2" "g"="1"`},
			"0:s":  {Type: "set", Value: `["m0" "m1"]`},
			"0:k1": {Type: "string", Value: `"v"`},
		}
	}
	if !passes(fill(), good()) {
		t.Error("a right keyspace is refused")
	}
	with := func(key, kind, value string) redistest.Keyspace {
		space := good()
		space[key] = redistest.Entry{Type: kind, Value: value}
		return space
	}
	if !passes(fill(), with("0:c", "string", `"8"`)) {
		t.Error("an unknown increment that counted is refused")
	}
	for what, space := range map[string]redistest.Keyspace{
		"lost increment":    with("0:c", "string", `"4"`),
		"doubled increment": with("0:c", "string", `"10"`),
		"moved unknown":     with("0:h", "hash", `"f"="-4"`),
		"lost member":       with("0:s", "set", `["m0"]`),
		"lost key":          with("0:k1", "string", `"w"`),
	} {
		if passes(fill(), space) {
			t.Errorf("%s is not noticed", what)
		}
	}
}

// recorder notes a failure instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

func passes(l *ledger, space redistest.Keyspace) bool {
	r := &recorder{}
	l.check(r, space)
	return !r.failed
}
