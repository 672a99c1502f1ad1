package syncer

import (
	"context"
	"sync"

	"anabranch/crdtmeta"
)

// signal wakes everybody who waits for a change. The zero value is ready.
type signal struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// next returns a channel that is closed at the next notify.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == nil {
		s.waiting = make(chan struct{})
	}
	return s.waiting
}

func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		close(s.waiting)
		s.waiting = nil
	}
}

// view is what the leader knows of the region's frontier: what was loaded from Redis, and what the engine answered
// since. It can be too low, when another leader is at work, and after a fail-over of Redis too high, until it is loaded
// again; nothing but the engine decides by it.
type view struct {
	moved signal

	mu       sync.Mutex // guards all below
	frontier crdtmeta.Frontier
	loads    int               // loads under way
	since    crdtmeta.Frontier // raised while a load was under way: what it reads may be older
}

func newView() *view { return &view{frontier: crdtmeta.Frontier{}, since: crdtmeta.Frontier{}} }

// raise notes what the engine answered.
func (v *view) raise(origin crdtmeta.Origin, t crdtmeta.Time) {
	v.mu.Lock()
	moved := v.frontier.Raise(origin, t)
	if v.loads > 0 {
		v.since.Raise(origin, t)
	}
	v.mu.Unlock()
	if moved {
		v.moved.notify()
	}
}

// load takes what Redis says, also where it is lower than what we believed.
func (v *view) load(ctx context.Context, read func(context.Context) (crdtmeta.Frontier, error)) error {
	v.mu.Lock()
	v.loads++
	v.mu.Unlock()
	f, err := read(ctx)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loads--
	if err == nil {
		for origin, t := range v.since {
			f.Raise(origin, t)
		}
		v.frontier = f
	}
	if v.loads == 0 {
		v.since = crdtmeta.Frontier{}
	}
	v.moved.notify()
	return err
}

func (v *view) at(origin crdtmeta.Origin) crdtmeta.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frontier[origin]
}

func (v *view) snapshot() crdtmeta.Frontier {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.frontier.Clone()
}
