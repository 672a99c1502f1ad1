package acl

import (
	"slices"
	"sync"
	"time"
)

// How alike two denials must be, and how near, to share an entry.
const (
	sameEntryTime = time.Minute
	sameEntrySpan = 10 // newest entries that are looked at
)

// Denial is one entry of the log: something that was denied, once or several times.
type Denial struct {
	Count    int64
	Reason   Reason
	Context  string // "toplevel", "multi", "lua"
	Object   string // the command, key or channel
	Username string
	Client   string // as CLIENT LIST shows it, at the last time
	At       time.Time
}

// Log is what ACL LOG shows. The zero value is empty. Any number of goroutines may use it.
type Log struct {
	mu      sync.Mutex
	entries []Denial // the newest first
}

// Add notes a denial that happens now, at d.At. Similar ones of the last minute are counted in one entry. At most limit entries
// are kept.
func (l *Log) Add(d Denial, limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Count = 1
	recent := l.entries[:min(len(l.entries), sameEntrySpan)]
	if at := slices.IndexFunc(recent, d.isLike); at >= 0 {
		d.Count += l.entries[at].Count
		l.entries = slices.Delete(l.entries, at, at+1)
	}
	l.entries = slices.Insert(l.entries, 0, d)
	l.entries = l.entries[:min(len(l.entries), limit)]
}

func (d Denial) isLike(other Denial) bool {
	return d.Reason == other.Reason && d.Context == other.Context && d.Object == other.Object &&
		d.Username == other.Username && d.At.Sub(other.At).Abs() <= sameEntryTime
}

// Newest returns up to n entries, the newest first.
func (l *Log) Newest(n int) []Denial {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries[:min(len(l.entries), n)])
}

// Reset forgets all entries.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}
