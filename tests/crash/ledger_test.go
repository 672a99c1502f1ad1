package crash

import (
	"strconv"
	"sync"
	"testing"

	"anabranch/internal/redistest"
)

// ledger keeps what the writers were told. All its methods may be called by several goroutines.
type ledger struct {
	mu       sync.Mutex
	counters map[string]*bounds // by cell
	markers  map[string]string  // cell → value, acknowledged; every marker is written once and never removed
	acked    int
	unknown  int
}

// bounds is what a counter may hold: the sum of the acknowledged increments, and how far the unknown ones may move it.
type bounds struct {
	sum, below, above int64
}

func newLedger() *ledger {
	return &ledger{counters: map[string]*bounds{}, markers: map[string]string{}}
}

// outcome is what became of one op.
func (l *ledger) outcome(o op, acknowledged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if acknowledged {
		l.acked++
	} else {
		l.unknown++
	}
	if o.marker != "" {
		if acknowledged {
			l.markers[o.marker] = o.value
		}
		return
	}
	if o.counter == "" {
		return
	}
	b := l.counters[o.counter]
	if b == nil {
		b = &bounds{}
		l.counters[o.counter] = b
	}
	switch {
	case acknowledged:
		b.sum += o.amount
	case o.amount > 0:
		b.above += o.amount
	default:
		b.below += o.amount
	}
}

func (l *ledger) counts() (acked, unknown int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked, l.unknown
}

// check compares the ledger with what a region shows.
func (l *ledger) check(t testing.TB, space redistest.Keyspace) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	cells := space.Cells()
	complaints := 0
	complain := func(format string, args ...any) {
		if complaints++; complaints <= 20 {
			t.Errorf(format, args...)
		}
	}
	for cell, want := range l.markers {
		if got, ok := cells[cell]; !ok || got != want {
			complain("%s was acknowledged with %q, but holds %q (present: %v)", cell, want, got, ok)
		}
	}
	if a, b := cells["together-a"], cells["together-b"]; a != b {
		complain("together-a holds %q and together-b %q", a, b)
	}
	for cell, b := range l.counters {
		got, err := strconv.ParseInt(cells[cell], 10, 64)
		if err != nil && (b.sum != 0 || cells[cell] != "") {
			complain("%s holds %q, acknowledged is %d", cell, cells[cell], b.sum)
			continue
		}
		if got < b.sum+b.below || got > b.sum+b.above {
			complain("%s holds %d, acknowledged is %d with %d…+%d unknown", cell, got, b.sum, b.below, b.above)
		}
	}
	if complaints > 20 {
		t.Errorf("and %d more", complaints-20)
	}
	t.Logf("%d writes acknowledged, %d unknown, %d counters and %d markers checked", l.acked, l.unknown, len(l.counters), len(l.markers))
}
