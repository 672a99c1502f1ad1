package nemesis

import (
	"strings"
	"sync"
	"time"
)

// outcome is what a client was told about a write.
type outcome int

const (
	unknown outcome = iota // it may have happened once, or not at all
	acknowledged
	refused // it did not happen
)

// refusals begin the errors that say that nothing was executed.
var refusals = []string{
	"LOADING", "OOM", "MISCONF", "READONLY", "NOREPLICAS", "BUSY", "EXECABORT", "CRDTTAKEOVER", "CRDTHELD", "WRONGTYPE", "ERR no such key",
	"ERR backend connection lost; the command was not executed",
}

// lost is the documented error of a write that may have happened.
const lost = "ERR backend connection lost; the command may or may not have been executed"

// ledger keeps what the clients have tried and what they were told. Its methods may be called by several goroutines.
type ledger struct {
	mu        sync.Mutex
	counters  map[string]*bounds             // by cell
	markers   map[string]*marker             // by cell; each is written once and removed at most once
	registers map[string][]*registerWrite    // by key
	mortals   map[string]bool                // keys with a short time to live; true when it must be over
	pops      map[string]int                 // by key: elements that pops of unknown outcome may have taken
	sketches  map[string]map[string]outcome  // HyperLogLog → element → outcome
	groups    [][]string                     // cells that were written in one transaction
	orders    map[string]map[string][]string // list → client → what it has pushed at the end, in order, acknowledged
	tried     map[string]int                 // client → highest number of its own in an element
	errors    map[string]int                 // what clients were told, in short
	surprises map[string]int                 // errors that are not documented
	torn      bool                           // a server may have lost a part of what was written together
	outcomes  [3]int
}

func newLedger() *ledger {
	return &ledger{
		counters: map[string]*bounds{}, markers: map[string]*marker{}, registers: map[string][]*registerWrite{},
		mortals: map[string]bool{}, pops: map[string]int{}, sketches: map[string]map[string]outcome{},
		orders: map[string]map[string][]string{}, tried: map[string]int{}, errors: map[string]int{}, surprises: map[string]int{},
	}
}

// bounds is what a counter may hold: the sum of the acknowledged increments, and how far unknown ones may move it.
type bounds struct{ sum, below, above int64 }

// marker is a cell that one client writes once.
type marker struct {
	value   string
	written outcome
	removal removal
}

type removal int

const (
	notRemoved removal = iota
	maybeRemoved
	removed
)

// registerWrite is one write of a cell in which the newest counts.
type registerWrite struct {
	region       int
	value        string
	begun, ended time.Time
	outcome      outcome
}

func (l *ledger) count(o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[o]++
}

// told notes an error that a client got.
func (l *ledger) told(text string, documented bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if code, _, _ := strings.Cut(text, " "); code != "ERR" {
		l.errors[code]++
	} else {
		l.errors[text[:min(len(text), 60)]]++
	}
	if !documented {
		l.surprises[text]++
	}
}

// attempt notes that client writes elements that carry its number n.
func (l *ledger) attempt(client string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried[client] = max(l.tried[client], n)
}

func (l *ledger) increment(cell string, amount int64, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.counters[cell]
	if b == nil {
		b = &bounds{}
		l.counters[cell] = b
	}
	switch {
	case o == acknowledged:
		b.sum += amount
	case o == unknown && amount > 0:
		b.above += amount
	case o == unknown:
		b.below += amount
	}
}

// announce notes a marker before it is written, so that whoever finds it knows it.
func (l *ledger) announce(cell, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.markers[cell] = &marker{value: value}
}

func (l *ledger) mark(cell string, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.markers[cell]
	if m.removal != removed { // somebody has found it, whatever its writer was told
		m.written = o
	}
}

// unmark notes that a marker which was there is removed.
func (l *ledger) unmark(cell string, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.markers[cell]
	switch {
	case m == nil: // nobody wrote it
		l.surprises["a client was given "+cell+", which nobody has written"]++
	case o == acknowledged:
		m.removal = removed
	case o == unknown && m.removal == notRemoved:
		m.removal = maybeRemoved
	}
}

// tear notes that a server may lose what was written together. A merge that is under way then may have brought a part of it elsewhere.
func (l *ledger) tear(lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.torn = l.torn || lost
}

// together notes cells that are all there in the end, or none.
func (l *ledger) together(cells []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = append(l.groups, cells)
}

// missed notes that a client did not find what it had written itself.
func (l *ledger) missed(cell string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.surprises["a client did not find its own "+cell]++
}

// popped notes pops of a key that may have taken up to n elements.
func (l *ledger) popped(key string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pops[key] += n
}

func (l *ledger) beginRegister(key string, region int, value string) *registerWrite {
	l.mu.Lock()
	defer l.mu.Unlock()
	write := &registerWrite{region: region, value: value, begun: time.Now()}
	l.registers[key] = append(l.registers[key], write)
	return write
}

func (l *ledger) endRegister(write *registerWrite, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	write.ended, write.outcome = time.Now(), o
}

// mortal notes a key with a short time to live. over is false when clocks were set meanwhile, so that nobody knows when
// its time is up.
func (l *ledger) mortal(key string, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mortals[key] = over
}

func (l *ledger) sketch(key, element string, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sketches[key] == nil {
		l.sketches[key] = map[string]outcome{}
	}
	l.sketches[key][element] = o
}

// pushed notes that a client has put an element at the end of a list, after all that it has put there before.
func (l *ledger) pushed(list, client, element string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.orders[list] == nil {
		l.orders[list] = map[string][]string{}
	}
	l.orders[list][client] = append(l.orders[list][client], element)
}

func (l *ledger) counts() (acked, unknownOutcome, refusedOutcome int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcomes[acknowledged], l.outcomes[unknown], l.outcomes[refused]
}

// judge says what an error means for the write that it answers.
func judge(text string) (o outcome, documented bool) {
	if text == lost {
		return unknown, true
	}
	for _, refusal := range refusals {
		if strings.HasPrefix(text, refusal) {
			return refused, true
		}
	}
	return unknown, false
}
