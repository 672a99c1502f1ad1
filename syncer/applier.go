package syncer

import (
	"errors"
	"fmt"
	"time"

	"anabranch/crdtmeta"
)

// applier decides what to do next with the entries of one region. It is pure: events go in, one action comes out, and
// the link around it has the sockets and clocks. One call to the engine is under way at a time.
//
//	ready ──apply──► (ok) ready │ (wait) waiting │ (paused) held │ (fetch) fetching │ (gap) over │ (error) delayed
//
// Entries leave the queue only when the engine said that they are done.
type applier struct {
	limits    applierLimits
	positions crdtmeta.Frontier // what we believe the frontier to be, for the origins of that region
	births    map[crdtmeta.Origin]bool
	queue     []item
	chunk     int // entries that a call may have now

	mode    applierMode
	missing crdtmeta.Origin // waiting: what the next entry needs…
	needs   crdtmeta.Time   // …and up to where
	db      int64           // fetching: the newest key that the engine asked for
	key     []byte          // fetching
	fetched bool            // db and key were asked for since the last entry was done
	fail    failure         // delayed
	cause   error           // delayed: the last error
	delay   time.Duration   // delayed: grows with each failure
	due     time.Time       // waiting, held, delayed: the next attempt
}

type applierLimits struct {
	chunkEntries int
	chunkBytes   int
	chunkTime    time.Duration
	pausePoll    time.Duration
	waitPoll     time.Duration
	retryMin     time.Duration
	retryMax     time.Duration
}

const chunkLeast = 8 // entries

type applierMode int

const (
	modeReady    applierMode = iota
	modeWaiting              // the context of the next entry has not arrived
	modeHeld                 // paused by CRDT PAUSE
	modeFetching             // the next entry needs a key's state from its origin
	modeDelayed              // a call failed; the same entries go again
)

// item is an entry with its origin.
type item struct {
	entry
	kind   crdtmeta.Kind
	origin crdtmeta.Origin
}

// action is what the link is to do. At most one of its parts is set.
type action struct {
	apply    []entry // hand these to the engine, of origin, after position
	origin   crdtmeta.Origin
	position crdtmeta.Time
	fetch    bool      // get the state of db and key from the peer
	probe    bool      // look whether the region is still paused
	arm      bool      // arm the engine, then try again
	until    time.Time // nothing to do before; zero: until something happens
}

var errRefetch = fmt.Errorf("%w: a key's state was not enough", errReply)

// errGap ends a link: what it carries does not follow on what is applied here.
var errGap = errors.New("the log does not continue where this region's frontier ends")

func newApplier(limits applierLimits, positions crdtmeta.Frontier) *applier {
	return &applier{
		limits:    limits,
		positions: positions.Clone(),
		births:    map[crdtmeta.Origin]bool{},
		chunk:     min(16, limits.chunkEntries),
	}
}

// push adds entries of the stream. An origin that is not known here must begin with its epoch's first entry: otherwise
// entries would be missing before it, and nobody would ever notice.
func (a *applier) push(entries []entry) error {
	for _, e := range entries {
		h, err := crdtmeta.DecodeHeader(e.body)
		if err != nil {
			return err
		}
		if _, known := a.positions[h.Origin]; !known && !a.births[h.Origin] {
			if h.Kind != crdtmeta.KindEpoch {
				return fmt.Errorf("%w: %s does not begin with its epoch", errGap, h.Origin)
			}
			a.births[h.Origin] = true
		}
		a.queue = append(a.queue, item{entry: e, kind: h.Kind, origin: h.Origin})
	}
	return nil
}

// next is what to do at this moment. local is the frontier as far as this process knows it.
func (a *applier) next(now time.Time, local func(crdtmeta.Origin) crdtmeta.Time) action {
	if len(a.queue) == 0 {
		return action{}
	}
	switch a.mode {
	case modeWaiting:
		if now.Before(a.due) && local(a.missing) < a.needs {
			return action{until: a.due}
		}
	case modeHeld:
		if now.Before(a.due) {
			return action{until: a.due}
		}
		a.due = now.Add(a.limits.pausePoll)
		return action{probe: true}
	case modeFetching:
		return action{fetch: true}
	case modeDelayed:
		if now.Before(a.due) {
			return action{until: a.due}
		}
		if a.fail == failureUnarmed {
			a.fail = failureLater // if arming helped, the next attempt shows it
			return action{arm: true}
		}
	}
	return a.chunkAction()
}

// chunkAction takes entries of one origin from the front of the queue.
func (a *applier) chunkAction() action {
	origin := a.queue[0].origin
	act := action{origin: origin, position: a.positions[origin]}
	bytes := 0
	for _, it := range a.queue {
		bytes += len(it.body)
		if it.origin != origin || len(act.apply) == a.chunk || len(act.apply) > 0 && bytes > a.limits.chunkBytes {
			break
		}
		act.apply = append(act.apply, it.entry)
	}
	return act
}

// replied takes the engine's answer to an apply action. It returns how many entries and bytes left the queue.
func (a *applier) replied(now time.Time, act action, r reply, took time.Duration) (entries, bytes int, err error) {
	a.adapt(len(act.apply), took)
	for _, it := range a.queue[:r.done] {
		bytes += it.size()
	}
	clear(a.queue[:r.done]) // the bodies may go
	a.queue = a.queue[r.done:]
	if len(a.queue) == 0 {
		a.queue = nil
	}
	if r.done > 0 {
		a.delay, a.cause, a.fetched = 0, nil, false
	}
	if r.status != replyGap && (r.done > 0 || r.frontier > a.positions[act.origin]) {
		a.positions[act.origin] = r.frontier
	}
	return r.done, bytes, a.enter(now, act, r)
}

// enter chooses the mode after an answer.
func (a *applier) enter(now time.Time, act action, r reply) (err error) {
	a.mode = modeReady
	switch r.status {
	case replyOK:
		if r.done < len(act.apply) {
			return fmt.Errorf("%w: ok after %d of %d entries", errReply, r.done, len(act.apply))
		}
	case replyWait:
		a.mode, a.due = modeWaiting, now.Add(a.limits.waitPoll)
		a.missing, a.needs, err = parseMissing(r.detail)
	case replyPaused:
		a.mode, a.due = modeHeld, now.Add(a.limits.pausePoll)
	case replyMerges:
		return errTakenBack
	case replyFetch:
		return a.enterFetch(now, r)
	case replyGap:
		err = a.gap(act, r)
	default:
		err = fmt.Errorf("%w: status %.40q", errReply, r.status)
	}
	return err
}

// enterFetch asks for one key. A key that is asked for twice in a row was not helped by its state: that is no reason to
// go on asking as fast as the link can.
func (a *applier) enterFetch(now time.Time, r reply) error {
	db, key, err := parseFetch(r.detail)
	if err != nil {
		return err
	}
	if a.fetched && a.db == db && string(a.key) == string(key) {
		a.fetched = false
		a.failed(now, errRefetch)
		return nil
	}
	a.mode, a.db, a.key, a.fetched = modeFetching, db, key, true
	return nil
}

// gap: somebody else moved the frontier (another leader), or it went back (the region's Redis lost writes). What lies
// ahead is in the queue; what went back is not.
func (a *applier) gap(act action, r reply) error {
	actual, err := crdtmeta.ParseTime(r.detail)
	if err != nil {
		return fmt.Errorf("%w: gap: %w", errReply, err)
	}
	if actual <= act.position {
		return fmt.Errorf("%w: %s is at %d here, not at %d", errGap, act.origin, actual, act.position)
	}
	a.positions[act.origin] = actual
	return nil
}

// failed takes an error of an apply, fetch or probe action. The same entries will go again, later and later.
func (a *applier) failed(now time.Time, err error) {
	a.mode, a.fail, a.cause = modeDelayed, classify(err), err
	a.delay = min(max(2*a.delay, a.limits.retryMin), a.limits.retryMax)
	a.due = now.Add(a.delay)
	if a.fail == failureUnarmed && a.delay == a.limits.retryMin {
		a.due = now // the first time, arming is all that is missing
	}
	if a.fail == failureEngine {
		a.chunk = 1 // so that the status names the entry
	}
}

// retry says that what the applier waited for may have come: a resume, a fetched key, an armed engine.
func (a *applier) retry() { a.mode = modeReady }

// wake makes the next look at a paused region happen at once.
func (a *applier) wake() {
	if a.mode == modeHeld {
		a.due = time.Time{}
	}
}

// adapt aims at calls of chunkTime, so that local clients never wait long behind remote effects.
func (a *applier) adapt(sent int, took time.Duration) {
	switch {
	case took > a.limits.chunkTime:
		// Not below what an engine call is worth: on a busy machine every call takes long.
		a.chunk = max(min(chunkLeast, a.limits.chunkEntries), min(a.chunk, sent)/2)
	case took < a.limits.chunkTime/2 && sent == a.chunk:
		a.chunk = min(a.chunk+a.chunk/2+1, a.limits.chunkEntries)
	}
}

// head is the oldest entry that is not applied.
func (a *applier) head() (item, bool) {
	if len(a.queue) == 0 {
		return item{}, false
	}
	return a.queue[0], true
}
