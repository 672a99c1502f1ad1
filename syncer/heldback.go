package syncer

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// heldBack is who keeps metadata from being collected, and since when. A new leader goes on from what the last one published, or a
// region whose leaders change often would never give up one that is dead. Time without any leader does not count: nobody has seen
// then who was there.
type heldBack struct {
	mu     sync.Mutex
	since  map[string]time.Time
	silent map[string]time.Time // of these, who gives no sign of life, and since when
}

// heldBackAfter is how far behind a region may be before anybody is told: links always lag a little.
var heldBackAfter = heldBackTime

const heldBackTime = 30 * time.Second

// note takes down whether a region has seen what has waited longest, or need not.
func (h *heldBack) note(name string, seen bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seen {
		delete(h.since, name)
		delete(h.silent, name)
		return
	}
	if h.since == nil {
		h.since, h.silent = map[string]time.Time{}, map[string]time.Time{}
	}
	if _, known := h.since[name]; !known {
		h.since[name] = now
	}
}

// sign takes down when a region last gave a sign of life: now, earlier, or at no time that is known here.
func (h *heldBack) sign(name string, last, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, holds := h.since[name]
	since, silent := h.silent[name]
	switch {
	case !holds:
	case !last.Before(now):
		delete(h.silent, name)
	case !silent:
		h.silent[name] = now
	case since.Before(last):
		h.silent[name] = last
	}
}

// publish is who holds collection back, and who of these is silent, by the region's clock: name → since when.
func (h *heldBack) publish(now, regionNow time.Time) (held, silent map[string]time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	by := func(since map[string]time.Time) map[string]time.Time {
		moved := make(map[string]time.Time, len(since))
		for name, at := range since {
			moved[name] = regionNow.Add(at.Sub(now))
		}
		return moved
	}
	return by(h.since), by(h.silent)
}

// adopt goes on from what was published last.
func (h *heldBack) adopt(last RegionStatus, members []string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := func(published map[string]time.Time) map[string]time.Time {
		since := map[string]time.Time{}
		for _, name := range members {
			if at, noted := published[name]; noted {
				since[name] = now.Add(-max(0, last.At.Sub(at)))
			}
		}
		return since
	}
	h.since, h.silent = of(last.HeldBackBy), of(last.SilentSince)
}

// shownHeldBack is what of it is worth showing, by our own clock.
func (s *Syncer) shownHeldBack(own RegionStatus) map[string]time.Time {
	shown := map[string]time.Time{}
	for name, since := range own.HeldBackBy {
		if own.At.Sub(since) >= heldBackAfter {
			shown[name] = time.Now().Add(-s.redisClock.now().Sub(since))
		}
	}
	return shown
}

// list is who holds collection back for a while already, and who of these has been silent for as long: name → since when.
func (h *heldBack) list(now time.Time) (held, silent map[string]time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	long := func(since map[string]time.Time) map[string]time.Time {
		found := maps.Clone(since)
		maps.DeleteFunc(found, func(_ string, at time.Time) bool { return now.Sub(at) < heldBackAfter })
		return found
	}
	return long(h.since), long(h.silent)
}

// heldBackText is like "eu-west for 3h0m0s".
func heldBackText(held map[string]time.Time, now time.Time) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(held)) {
		parts = append(parts, name+" for "+now.Sub(held[name]).Round(time.Second).String())
	}
	return strings.Join(parts, ", ")
}
