package proxy

import (
	"context"
	"time"

	"anabranch/internal/backend"
)

const (
	// refreshInterval is how often everybody who waits tries again without being woken. The engine keeps what it knows of
	// waiters for a minute, so that those who are gone cost nothing for long.
	refreshInterval = 20 * time.Second

	// refusedPause is how long after attempts could not be made everybody tries again.
	refusedPause = time.Second
)

// listen hears wake-ups until ctx ends. Whatever arrived before the subscription stood is found by trying again then.
func (q *waiters) listen(ctx context.Context, b *backend.Backend) {
	q.listening.Do(func() {
		// Both end with ctx.
		q.goroutines.Go(func() {
			b.Wakes(ctx, q.wakeInOrder, q.wakeAll)
		})
		q.goroutines.Go(func() { q.refresh(ctx) })
	})
}

// refuse asks for another round for everybody in a while.
func (q *waiters) refuse() {
	select {
	case q.refusals <- struct{}{}:
	default:
	}
}

func (q *waiters) refresh(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-q.refusals:
			pause := time.NewTimer(refusedPause)
			select {
			case <-ctx.Done():
				pause.Stop()
				return
			case <-pause.C:
			}
		}
		q.wakeAll()
	}
}
