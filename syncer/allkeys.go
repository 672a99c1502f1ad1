package syncer

import "time"

// allKeys is what a link knows, in this leader's time, of merges that take all keys with metadata from its region (claim.go).
type allKeys struct {
	asked time.Time // one is wanted that begins after that
	begun time.Time // of the merge that goes on, if it is one
	taken time.Time // when the last one that is over had begun
}

// hasAll says whether a merge of all keys with metadata is over that began after a moment. If not, one is asked for.
func (s *linkStatus) hasAll(after time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.taken.After(after) {
		return true
	}
	if after.After(s.all.asked) {
		s.all.asked = after
	}
	return false
}

// withdraw forgets what was asked for.
func (s *linkStatus) withdraw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.asked = time.Time{}
}

// wantsAll says that such a merge was asked for, and none has begun since.
func (s *linkStatus) wantsAll() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.asked.After(s.all.taken) && s.all.asked.After(s.all.begun)
}

// beginsMerge takes that a merge begins, and does not go on with an earlier one.
func (s *linkStatus) beginsMerge(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.begun = time.Time{}
	if all {
		s.all.begun = time.Now()
	}
}

func (s *linkStatus) endsMerge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.all.begun.IsZero() {
		s.all.taken, s.all.begun = s.all.begun, time.Time{}
	}
}
