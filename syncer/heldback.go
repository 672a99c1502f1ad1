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
	mu    sync.Mutex
	since map[string]time.Time
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
		return
	}
	if h.since == nil {
		h.since = map[string]time.Time{}
	}
	if _, known := h.since[name]; !known {
		h.since[name] = now
	}
}

// publish is who holds collection back, by the region's clock: name → since when.
func (h *heldBack) publish(now, regionNow time.Time) map[string]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := make(map[string]time.Time, len(h.since))
	for name, since := range h.since {
		held[name] = regionNow.Add(since.Sub(now))
	}
	return held
}

// adopt goes on from what was published last.
func (h *heldBack) adopt(last RegionStatus, members []string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since = map[string]time.Time{}
	for _, name := range members {
		if since, held := last.HeldBackBy[name]; held {
			h.since[name] = now.Add(-max(0, last.At.Sub(since)))
		}
	}
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

// list is who holds collection back for a while already: name → since when.
func (h *heldBack) list(now time.Time) map[string]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := map[string]time.Time{}
	for name, since := range h.since {
		if now.Sub(since) >= heldBackAfter {
			held[name] = since
		}
	}
	return held
}

// heldBackText is like "eu-west for 3h0m0s".
func heldBackText(held map[string]time.Time, now time.Time) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(held)) {
		parts = append(parts, name+" for "+now.Sub(held[name]).Round(time.Second).String())
	}
	return strings.Join(parts, ", ")
}
