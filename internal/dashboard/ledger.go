package dashboard

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/status"
	"anabranch/syncer"
)

// Detail says what the page tells of a conflict. Whoever reaches the port reads it.
type Detail string

// The details.
const (
	Rules  Detail = "rules"  // when, which type of data, by which rule, which regions
	Keys   Detail = "keys"   // also the key, and the element of it
	Values Detail = "values" // also what won and what lost, as far as the ledger has it
)

// shownConflicts bounds the list.
const shownConflicts = 40

// Ledger has the newest conflicts.
type Ledger interface {
	Conflicts(ctx context.Context, n int) ([]syncer.Conflict, error)
}

// conflict is one of them, as the page gets it.
type conflict struct {
	ID      string `json:"id"`
	At      int64  `json:"at"` // Unix ms
	Type    string `json:"type"`
	Rule    string `json:"rule"`
	Winner  side   `json:"winner"`
	Loser   side   `json:"loser"`
	DB      *int   `json:"db,omitempty"`
	Key     string `json:"key,omitempty"`
	Element string `json:"element,omitempty"`
}

type side struct {
	Region string  `json:"region"`
	At     int64   `json:"at"` // Unix ms
	Value  *string `json:"value,omitempty"`
}

// ledger asks at most once each interval, however many look.
type ledger struct {
	source Ledger
	detail Detail

	mu   sync.Mutex
	at   time.Time
	list []conflict
}

// newest returns the newest conflicts, the newest first. What cannot be read now is what was read last.
func (l *ledger) newest(ctx context.Context, d status.Document) []conflict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) < interval {
		return l.list
	}
	l.at = time.Now()
	found, err := l.source.Conflicts(ctx, shownConflicts)
	if err != nil {
		return l.list
	}
	l.list = make([]conflict, 0, len(found))
	for _, c := range found {
		l.list = append(l.list, l.shown(c, d))
	}
	return l.list
}

// shown leaves out what may not be told.
func (l *ledger) shown(c syncer.Conflict, d status.Document) conflict {
	out := conflict{ID: c.ID, At: c.At.UnixMilli(), Type: c.Type, Rule: c.Rule, Winner: l.side(c.Winner, d), Loser: l.side(c.Loser, d)}
	if l.detail == Keys || l.detail == Values {
		out.DB, out.Key, out.Element = &c.DB, printable(c.Key), printable(c.Element)
	}
	return out
}

func (l *ledger) side(s syncer.ConflictSide, d status.Document) side {
	out := side{Region: regionOf(s.Origin, d), At: s.Time.UnixMilli()}
	if l.detail == Values {
		value := printable(s.Value)
		out.Value = &value
	}
	return out
}

// regionOf is the name of the region that an origin belongs to.
func regionOf(text string, d status.Document) string {
	origin, err := crdtmeta.ParseOrigin(text)
	if err != nil {
		return "all" // what every region knew
	}
	if origin.Region == d.RegionID {
		return d.Region
	}
	for _, p := range d.Peers {
		if p.ID == origin.Region {
			return p.Name
		}
	}
	return fmt.Sprintf("region %d", origin.Region)
}

// printable shows bytes that are no text as Go would.
func printable(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}
