package crash

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
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
	cells := cellsOf(space)
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

// streamFields finds the one field of each entry in [["id" ["field" "value"]] …].
var streamFields = regexp.MustCompile(`\["([^"]*)" "[^"]*"\]`)

// cellsOf takes a keyspace apart: "key" for a string, "key/element" for what a collection holds.
func cellsOf(space redistest.Keyspace) map[string]string {
	cells := map[string]string{}
	for name, entry := range space {
		key := strings.TrimPrefix(name, "0:")
		switch entry.Type {
		case "string":
			cells[key] = unquote(entry.Value)
		case "set", "list":
			for _, member := range strings.Fields(strings.Trim(entry.Value, "[]")) {
				cells[key+"/"+unquote(member)] = ""
			}
		case "stream": // entries as Redis shows them; of each, the writer's field tells which it is
			for _, match := range streamFields.FindAllStringSubmatch(entry.Value, -1) {
				cells[key+"/"+match[1]] = ""
			}
		case "hash", "zset":
			for _, pair := range strings.Fields(entry.Value) {
				element, value, _ := strings.Cut(pair, "=")
				cells[key+"/"+unquote(element)] = unquote(value)
			}
		}
	}
	return cells
}

// unquote undoes %q. The writers use neither spaces nor equals signs, so the snapshot's fields can be cut at them.
func unquote(text string) string {
	plain, err := strconv.Unquote(text)
	if err != nil {
		panic(fmt.Sprintf("the snapshot holds %s: %v", text, err))
	}
	return plain
}
