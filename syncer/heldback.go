package syncer

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// heldBack is who keeps metadata from being collected, and since when.
type heldBack struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// heldBackAfter is how far behind a region may be before anybody is told: links always lag a little.
var heldBackAfter = heldBackTime

const heldBackTime = 30 * time.Second

// note takes down whether a region has seen what has waited longest.
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
