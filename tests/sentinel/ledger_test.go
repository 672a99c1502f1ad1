package sentinel

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"anabranch/internal/redistest"
)

// standing is what became of a write.
type standing int

const (
	unknown  standing = iota // no answer, or an error that does not say that nothing was done
	doubtful                 // acknowledged, and then there was another primary: nobody has promised that it has it
	safe                     // acknowledged, and all replicas had it
	refused                  // answered with an error that says that nothing was done
)

// write is one unique write and its standing.
type write struct {
	cell     string // where it is found: key, or key/element
	counter  string // moved by one together with it, in the same step; may be empty
	standing standing
}

// ledger keeps what the writers of one region were told. All its methods may be called by several goroutines.
//
//	acked ──all replicas have it──► safe
//	  └──another primary──► doubtful
type ledger struct {
	mu     sync.Mutex
	writes []*write
	open   []*write // acknowledged, and neither yet
}

// missed takes a write that was not acknowledged.
func (l *ledger) missed(w *write, what standing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.standing = what
	l.writes = append(l.writes, w)
}

// acked takes an acknowledged write.
func (l *ledger) acked(w *write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.standing = doubtful
	l.writes = append(l.writes, w)
	l.open = append(l.open, w)
}

// safe is how many writes are known to be replicated.
func (l *ledger) safe() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.writes {
		if w.standing == safe {
			n++
		}
	}
	return n
}

// doubt is called when there is another primary: what is open may have been acknowledged by either.
func (l *ledger) doubt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = nil
}

// mark is what may be passed to replicated once everything that was acknowledged before is.
func (l *ledger) mark() []*write {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[:len(l.open):len(l.open)]
}

// replicated makes what was marked safe. Nobody may have called doubt in between.
func (l *ledger) replicated(marked []*write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range marked {
		w.standing = safe
	}
	l.open = l.open[len(marked):]
}

// tally is what a check has counted.
type tally struct {
	safe, doubtful, unknown int
	lost                    int // doubtful writes that are not there
	happened                int // unknown ones that are there
	refused                 int
}

func (n tally) String() string {
	return fmt.Sprintf("%d writes acknowledged and replicated; %d acknowledged shortly before a fail-over, of which %d are lost; %d without an acknowledgement, of which %d happened; %d refused",
		n.safe, n.doubtful, n.lost, n.unknown, n.happened, n.refused)
}

// check compares the ledgers of all regions with what the regions show in the end.
func check(t testing.TB, space redistest.Keyspace, ledgers ...*ledger) (n tally) {
	t.Helper()
	cells := space.Cells()
	complaints := 0
	complain := func(format string, args ...any) {
		if complaints++; complaints <= 20 {
			t.Errorf(format, args...)
		}
	}
	least, most := map[string]int{}, map[string]int{}
	for _, l := range ledgers {
		l.mu.Lock()
		for _, w := range l.writes {
			_, there := cells[w.cell]
			if w.counter != "" && w.standing != refused {
				most[w.counter]++
			}
			switch w.standing {
			case safe:
				n.safe++
				if w.counter != "" {
					least[w.counter]++
				}
				if !there {
					complain("%s was acknowledged and replicated, and is lost", w.cell)
				}
			case doubtful:
				n.doubtful++
				if !there {
					n.lost++
				}
			case refused:
				n.refused++
				if there {
					complain("%s was refused, and is there", w.cell)
				}
			default:
				n.unknown++
				if there {
					n.happened++
				}
			}
		}
		l.mu.Unlock()
	}
	for counter := range most {
		if got, _ := strconv.Atoi(cells[counter]); got < least[counter] || got > most[counter] {
			complain("%s holds %q, and at least %d and at most %d writes moved it", counter, cells[counter], least[counter], most[counter])
		}
	}
	for key, entry := range space {
		if entry.Type != "list" {
			continue
		}
		seen := map[string]bool{}
		for _, element := range entry.Elements() {
			if seen[element] {
				complain("%s holds %s twice", key, element)
			}
			seen[element] = true
		}
	}
	if complaints > 20 {
		t.Errorf("and %d more", complaints-20)
	}
	return n
}
