package sentinel

import (
	"testing"

	"anabranch/internal/redistest"
)

// The ledger is shown keyspaces that are wrong in one way each.
func TestLedgerNoticesLossAndDoubling(t *testing.T) {
	fill := func() *ledger {
		l := &ledger{}
		l.acked(&write{cell: "s/kept", counter: "n"})
		l.acked(&write{cell: "l/kept"})
		l.replicated(l.mark())
		l.acked(&write{cell: "s/maybe", counter: "n"})
		l.acked(&write{cell: "s/meanwhile"})
		l.doubt()
		l.missed(&write{cell: "s/unknown", counter: "n"}, unknown)
		l.missed(&write{cell: "s/refused", counter: "n"}, refused)
		l.acked(&write{cell: "own"})
		l.replicated(l.mark())
		return l
	}
	good := redistest.Keyspace{
		"0:s":   {Type: "set", Value: `["kept"]`},
		"0:l":   {Type: "list", Value: `["kept" "more"]`},
		"0:n":   {Type: "string", Value: `"1"`},
		"0:own": {Type: "string", Value: `"1"`},
	}
	with := func(key, kind, value string) redistest.Keyspace {
		space := redistest.Keyspace{key: {Type: kind, Value: value}}
		for name, entry := range good {
			if name != key {
				space[name] = entry
			}
		}
		return space
	}
	for what, test := range map[string]struct {
		space redistest.Keyspace
		right bool
		lost  int
	}{
		"what must be there":        {good, true, 2},
		"what may be there":         {with("0:s", "set", `["kept" "maybe" "meanwhile" "unknown"]`), true, 0},
		"a counter as it may be":    {with("0:n", "string", `"3"`), true, 2},
		"a counter moved too often": {with("0:n", "string", `"4"`), false, 2},
		"a counter moved back":      {with("0:n", "string", `"0"`), false, 2},
		"a refused member":          {with("0:s", "set", `["kept" "refused"]`), false, 2},
		"a lost member":             {with("0:s", "set", `["maybe"]`), false, 1},
		"a lost key":                {with("0:own", "hash", `"a"="1"`), false, 2},
		"an element twice":          {with("0:l", "list", `["kept" "more" "kept"]`), false, 2},
	} {
		r := &recorder{}
		n := check(r, test.space, fill())
		if r.failed == test.right {
			t.Errorf("%s: refused: %v", what, r.failed)
		}
		if n.lost != test.lost {
			t.Errorf("%s: %d lost, want %d", what, n.lost, test.lost)
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
