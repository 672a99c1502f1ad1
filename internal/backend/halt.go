package backend

import (
	"context"
	"time"
)

// haltTime bounds for how long a fail-over that was announced keeps commands waiting. Sentinel notices within a second that the replica
// has become the primary.
const haltTime = 3 * time.Second

// halt keeps commands back while another primary is about to take the place of this one: what this one acknowledged from now on would be
// lost. They go to the new one, or, should the fail-over come to nothing, here again.
func (b *Backend) halt(ctx context.Context, p Primary, now time.Time) {
	left, t := haltTime-now.Sub(p.Leaving), b.currentTenure()
	if p.Leaving.IsZero() || left <= 0 || b.halted.Swap(t) == t {
		return
	}
	b.goroutine.Go(func() { // ends when there is another primary, or none for so long
		select {
		case <-time.After(left):
			b.halted.CompareAndSwap(t, nil)
			b.kickAll()
		case <-t.ctx.Done(): // its connections may be open for a moment more, and must stay halted
		case <-ctx.Done():
		}
	})
}

// halted says whether nothing may be sent on the present connection.
func (l *Lane) halted() bool { return l.tenure != nil && l.backend.halted.Load() == l.tenure }

// kickAll has every lane send what it may.
func (b *Backend) kickAll() {
	b.mu.Lock()
	lanes := make([]*Lane, 0, len(b.lanes)+len(b.private))
	for _, l := range b.lanes {
		lanes = append(lanes, l)
	}
	for l := range b.private {
		lanes = append(lanes, l)
	}
	b.mu.Unlock()
	for _, l := range lanes {
		l.Kick()
	}
}
