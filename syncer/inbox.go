package syncer

import (
	"context"
	"sync"
	"time"
)

// inbox holds entries between the socket and the applier. Its bytes include those that the applier still has.
type inbox struct {
	limit   int
	arrived chan struct{} // there is something to take

	mu      sync.Mutex // guards entries and bytes
	entries []entry
	bytes   int
	room    signal
}

func newInbox(limit int) *inbox { return &inbox{limit: limit, arrived: make(chan struct{}, 1)} }

// put waits until there is room. It always takes entries into an empty inbox, whatever their size.
func (b *inbox) put(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	bytes := 0
	for _, e := range entries {
		bytes += e.size()
	}
	for {
		room := b.room.next()
		b.mu.Lock()
		fits := b.bytes == 0 || b.bytes+bytes <= b.limit
		if fits {
			b.bytes += bytes
			b.entries = append(b.entries, entries...)
		}
		b.mu.Unlock()
		if fits {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case b.arrived <- struct{}{}:
	default:
	}
	return nil
}

// take hands out up to n entries. Their bytes stay counted until release.
func (b *inbox) take(n int) []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, len(b.entries))
	taken := b.entries[:n:n]
	b.entries = b.entries[n:]
	return taken
}

// settle waits until everything has been released, as long as something is now and then.
func (b *inbox) settle(ctx context.Context, patience time.Duration) {
	for {
		room := b.room.next()
		b.mu.Lock()
		left := b.bytes
		b.mu.Unlock()
		if left == 0 {
			return
		}
		timer := time.NewTimer(patience)
		select {
		case <-room:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
		timer.Stop()
	}
}

func (b *inbox) release(bytes int) {
	if bytes == 0 {
		return
	}
	b.mu.Lock()
	b.bytes -= bytes
	b.mu.Unlock()
	b.room.notify()
}
