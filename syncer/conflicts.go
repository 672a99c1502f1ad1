package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch/crdtmeta"

	"github.com/vmihailenco/msgpack/v5"
)

// Conflict is one entry of the ledger of resolved conflicts (docs/engine.md, section 7).
type Conflict struct {
	ID      string // of the ledger's entry; later entries have higher ones
	DB      int
	Key     string
	Element string
	Type    string
	Rule    string
	Winner  ConflictSide
	Loser   ConflictSide
	At      time.Time
}

// ConflictSide is one of the two concurrent writes. Value is cut at 256 bytes.
type ConflictSide struct {
	Origin string
	Time   time.Time
	Value  string
}

// maxConflicts bounds one answer.
const maxConflicts = 1000

// Conflicts returns the newest n resolved conflicts, the newest first.
func (s *Syncer) Conflicts(ctx context.Context, n int) ([]Conflict, error) {
	if n <= 0 {
		return nil, nil
	}
	messages, err := s.cfg.Redis.XRevRangeN(ctx, s.keys.conflicts, "+", "-", int64(min(n, maxConflicts))).Result()
	if err != nil {
		return nil, err
	}
	list := make([]Conflict, 0, len(messages))
	for _, message := range messages {
		body, _ := message.Values["b"].(string)
		c, err := decodeConflict([]byte(body))
		if err != nil {
			return nil, errors.Join(errFormat, err)
		}
		c.ID = message.ID
		list = append(list, c)
	}
	return list, nil
}

type conflictRecord struct {
	DB      int          `msgpack:"db"`
	Key     string       `msgpack:"key"`
	Element string       `msgpack:"element"`
	Type    string       `msgpack:"type"`
	Rule    string       `msgpack:"rule"`
	Winner  conflictSide `msgpack:"winner"`
	Loser   conflictSide `msgpack:"loser"`
	At      int64        `msgpack:"at"`
}

type conflictSide struct {
	Origin string `msgpack:"o"`
	Time   int64  `msgpack:"t"`
	Op     int    `msgpack:"op"`
	Value  any    `msgpack:"v"` // a string, or the number that a score is
}

func decodeConflict(body []byte) (Conflict, error) {
	var r conflictRecord
	if err := msgpack.Unmarshal(body, &r); err != nil {
		return Conflict{}, err
	}
	return Conflict{
		DB: r.DB, Key: r.Key, Element: r.Element, Type: r.Type, Rule: r.Rule,
		Winner: r.Winner.side(), Loser: r.Loser.side(), At: time.UnixMilli(r.At),
	}, nil
}

func (s conflictSide) side() ConflictSide {
	side := ConflictSide{Origin: s.Origin, Time: time.UnixMilli(crdtmeta.Time(s.Time).Millis())}
	if s.Value != nil {
		side.Value = fmt.Sprint(s.Value)
	}
	return side
}
