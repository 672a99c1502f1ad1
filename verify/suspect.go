package verify

import (
	"time"

	"anabranch/crdtmeta"
)

// state says how a region shows a key.
type state string

const (
	absent state = "absent" // or past its deadline
	whole  state = "whole"
	large  state = "large" // the value is read in parts
)

// look is what one region showed and knew of a key at a moment.
type look struct {
	state    state
	head     string // type and deadline, as the engine writes them
	sums     string // of the value's elements
	token    string // changes with every effect on the key
	stamps   string // the newest ones known of the key, "-" without metadata
	deadline int64  // Unix ms, 0 for none
	kind     string // the type, as TYPE says it
	remark   remark
	now      int64 // the region's clock, Unix ms
	whole    bool  // false: the value changed while it was read, or was not read
	// What the region had applied, its own effects included, when the look began and when it ended.
	begin, end crdtmeta.Frontier
}

// value is what must be equal in all regions.
func (l *look) value() string {
	if l.state == absent {
		return string(absent)
	}
	return l.head + l.sums
}

// suspect is a key that was seen to differ and is not decided.
type suspect struct {
	db    int
	name  string
	since time.Time
	next  time.Time // when it is looked at again
	delay time.Duration

	first []look            // one for each region, from which on nothing has happened to the key
	need  crdtmeta.Frontier // all that any region had applied then
	why   string            // why it is not decided
	lags  int               // the region (from 1) that effects are on their way to, 0 for none

	news    bool   // that it differs has not been reported before
	repairs int    // how often it was repaired, last by healer and at since
	healer  string // a region's name
}

type verdict int

const (
	open verdict = iota
	equal
	different
)

// judge is the rule for effects on their way. looks has one look for each region.
//
//  1. Equal values are equal, whatever is on its way.
//  2. Of different ones the looks are kept, and with them everything that any region had applied then.
//  3. When every region has applied all of that, and in no region has anything happened to the key since, then all regions
//     have seen the same effects on it, and should show the same: it is different.
//  4. When something has happened to the key in between, or it was not possible to read it in one piece, 2 begins anew.
//
// A key that one region does not show any more, and whose deadline passes in another one soon, waits for that.
func (s *suspect) judge(looks []look) verdict {
	s.lags = 0
	if same(looks) {
		return equal
	}
	for i := range looks {
		if !looks[i].whole {
			s.first, s.why = nil, "the value keeps changing"
			return open
		}
	}
	if ending(looks) {
		s.first, s.why = nil, "its deadline is passing"
		return open
	}
	if s.first == nil || s.changed(looks) {
		if s.first != nil {
			s.why = "the key keeps changing"
		}
		s.first, s.need = looks, crdtmeta.Frontier{}
		for i := range looks {
			for origin, t := range looks[i].end {
				s.need.Raise(origin, t)
			}
		}
		return open
	}
	for i := range looks {
		if !looks[i].begin.CoversAll(s.need) {
			s.lags = i + 1
			return open
		}
	}
	return different
}

func same(looks []look) bool {
	for i := range looks {
		if !looks[i].whole || looks[i].value() != looks[0].value() {
			return false
		}
	}
	return true
}

func (s *suspect) changed(looks []look) bool {
	for i := range looks {
		if was := &s.first[i]; was.token != looks[i].token || was.value() != looks[i].value() {
			return true
		}
	}
	return false
}

// ending says that the key is gone in one region, and will be soon in another by its deadline.
func ending(looks []look) bool {
	gone, soon := false, false
	for i := range looks {
		l := &looks[i]
		if l.state == absent {
			gone = true
		} else if l.deadline > 0 && l.deadline-l.now < endsSoon.Milliseconds() {
			soon = true
		}
	}
	return gone && soon
}

// undecided is why the key is not decided, in words.
func (s *suspect) undecided(regions []*region) string {
	if s.lags > 0 {
		return "effects are still on their way to region " + regions[s.lags-1].Name
	}
	return s.why
}
