package syncer

import (
	"context"
	"sync"

	"anabranch/crdtmeta"
)

// window counts the bytes that a peer was sent and has not acknowledged. A peer that cannot apply what it gets, for
// whatever reason, is sent no more than this; the rest waits in the log.
type window struct {
	limit int

	mu   sync.Mutex // guards used and sent
	used int
	sent []sentEntry
	room signal
}

type sentEntry struct {
	t     crdtmeta.Time
	bytes int
}

// enter waits until there is room, and takes it. One entry may always be under way, whatever its size.
func (w *window) enter(ctx context.Context, e entry) error {
	for {
		room := w.room.next()
		if w.take(e) {
			return nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *window) take(e entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used > 0 && w.used+e.size() > w.limit {
		return false
	}
	w.used += e.size()
	w.sent = append(w.sent, sentEntry{t: e.t, bytes: e.size()})
	return true
}

// acked frees everything up to t.
func (w *window) acked(t crdtmeta.Time) {
	w.mu.Lock()
	i := 0
	for ; i < len(w.sent) && w.sent[i].t <= t; i++ {
		w.used -= w.sent[i].bytes
	}
	w.sent = w.sent[i:]
	w.mu.Unlock()
	if i > 0 {
		w.room.notify()
	}
}
