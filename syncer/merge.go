package syncer

import (
	"fmt"
	"time"

	"anabranch/crdtmeta"
)

// A merge serves a region whose place in the log is gone: it takes the state of the keys that changed since, or of all keys,
// and then goes on with the log. Both regions serve their clients meanwhile.
//
//	log ──► scan ──► own ──► over: the frontier moves to the position that was noted when the connection began
//
// Each piece is joined with what is here in one engine call, which also keeps how far the merge has got. So it goes on where it
// was, whatever breaks in between, and over each connection first with what changed since the last one.
//
// What changed is found by names that collection takes away after the period of grace. If the others collect without this region, they do not wait
// for its merge of everything. So that connects again before half of that period is over, and if it comes too late, it begins anew.

// The modes of a merge.
const (
	mergeChanges = "changes" // keys that changed after a place in that region's log
	mergeWhole   = "whole"   // all keys: a region that is new, or was away for too long
	mergeJoining = "joining" // all keys, and what we have beyond them from before becomes a write of ours
)

// ofAll says that a mode goes through all keys.
func ofAll(mode string) bool { return mode == mergeWhole || mode == mergeJoining }

// The phases of a merge.
const (
	phaseLog  = "log"  // keys that changed, in the order of that region's log
	phaseScan = "scan" // every key that there is in the other region; in a merge of everything only
	phaseOwn  = "own"  // our keys in databases that were emptied there, or in all: some may be gone there
)

// mergeProgress is how far a merge has got. It is kept in crdt:merges as JSON, and what the puller says in MERGE; Origin is "" then when the
// merge begins.
type mergeProgress struct {
	Mode   string            `json:"mode"`
	Origin string            `json:"origin"` // epoch in which that region's log is followed; with another one the merge begins anew
	Since  crdtmeta.Time     `json:"since"`  // changes after this time are looked for
	Until  crdtmeta.Time     `json:"until"`  // all changes up to here are merged
	Upto   crdtmeta.Frontier `json:"upto"`   // of everything: a position up to which that is so
	Phase  string            `json:"phase"`
	Scan   mergeCursor       `json:"scan"`
	Own    mergeCursor       `json:"own"`
	Keys   int64             `json:"keys"`  // merged so far
	Bytes  int64             `json:"bytes"` // received so far
	Began  time.Time         `json:"began"`
	Base   base              `json:"base"`   // whose data from before that region had when it began
	Anew   bool              `json:"anew"`   // it has got another one's since: much of that comes without stamps, and was never here
	Self   string            `json:"self"`   // our own epoch: cursors of our SCAN are of no use in another one
	Missed bool              `json:"missed"` // we have missed what is collected there: nothing can be taken from here before
}

// mergeCursor is how far a region's databases were gone through.
type mergeCursor struct {
	DB     int    `json:"db"`
	Cursor uint64 `json:"cursor"` // of SCAN
	Done   bool   `json:"done"`   // all of them
}

// in is the progress as it counts in an epoch of ours.
func (p mergeProgress) in(self crdtmeta.Origin) mergeProgress {
	if text := self.String(); p.Self != text {
		p.Self, p.Own = text, mergeCursor{}
	}
	return p
}

// valid says whether a peer may ask for a merge from here.
func (p mergeProgress) valid() bool {
	return (p.Mode == mergeChanges || ofAll(p.Mode)) && p.Scan.DB >= 0 && p.Since >= 0 && p.Until >= 0
}

func (p mergePlace) valid() bool {
	return (p.Phase == phaseLog || p.Phase == phaseScan || p.Phase == phaseOwn) && p.Scan.DB >= 0 && p.Until >= 0
}

func (p mergeProgress) text() string { return string(encodeJSON(p)) }

// mergeOffer is the server's answer.
type mergeOffer struct {
	Origin   string        `json:"origin"`
	Since    crdtmeta.Time `json:"since"`    // the request's, or where the merge of all keys begins
	Restart  bool          `json:"restart"`  // the progress is of no use here: begin anew
	Position []byte        `json:"position"` // what all has been merged up to in the end
	Flushed  []int         `json:"flushed"`  // databases that were emptied after Since; -1 for all
	Emptied  bool          `json:"emptied"`  // one of them after the Until of the request: keys that were gone through may be gone since
	Total    int64         `json:"total"`    // keys to look at, estimated
}

// mergePlace is where the enumeration stands behind a piece.
type mergePlace struct {
	Phase string        `json:"phase"`
	Until crdtmeta.Time `json:"until"`
	Scan  mergeCursor   `json:"scan"`
	End   bool          `json:"end"` // that was all

	Collected crdtmeta.Frontier `json:"collected"` // after our keys: what is collected there now
}

// appendStates packs a piece: the vector and then database, key and state of each key, every one behind its length.
func appendStates(buf []byte, vector string, keys []keyState) []byte {
	buf = appendRun(buf, vector)
	for _, key := range keys {
		buf = appendRun(appendRun(appendRun(buf, key.db), key.key), key.state)
	}
	return buf
}

// parseStates is the inverse.
func parseStates(raw []byte) (vector string, keys []keyState, err error) {
	next := func() (text string) {
		part, rest, ok := cutRun(raw)
		if !ok {
			err = fmt.Errorf("%w: states", errBatch)
			return ""
		}
		raw = rest
		return string(part)
	}
	vector = next()
	for err == nil && len(raw) > 0 {
		if len(keys) == maxStates {
			return "", nil, fmt.Errorf("%w: more than %d states", errBatch, maxStates)
		}
		keys = append(keys, keyState{db: next(), key: next(), state: next()})
	}
	return vector, keys, err
}

// maxStates bounds the keys of one piece. What a peer sends is small for each key, and what is made of it is not; but a piece has
// no more of them than names fit into a request.
const maxStates = 1 << 17

// appendNames and parseNames do so for keys without their states.
func appendNames(keys []keyState) []byte {
	var buf []byte
	for _, key := range keys {
		buf = appendRun(appendRun(buf, key.db), key.key)
	}
	return buf
}

func parseNames(raw []byte) (keys []keyState, err error) {
	for len(raw) > 0 {
		if len(keys) == maxStates {
			return nil, fmt.Errorf("%w: more than %d names", errBatch, maxStates)
		}
		db, rest, ok := cutRun(raw)
		key, rest, also := cutRun(rest)
		if !ok || !also {
			return nil, fmt.Errorf("%w: names", errBatch)
		}
		keys, raw = append(keys, keyState{db: string(db), key: string(key)}), rest
	}
	return keys, nil
}
