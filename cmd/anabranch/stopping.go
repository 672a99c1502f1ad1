package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// The end of a proxy has an order: those who send clients are told, and heard by the time that --drain-time is over; then the listeners
// close and replies in flight are finished; then the proxy leaves Consul's catalogue; then the way to Redis is closed.

// telling is the part that tells others how this proxy is. It outlives what serves clients.
type telling struct {
	failed chan error // gets one error if a part cannot work
	end    func()     // ends all, and waits
}

// tell starts it. parent must outlive it.
func (s *service) tell(parent context.Context) telling {
	ctx, cancel := context.WithCancel(parent)
	group, ctx := errgroup.WithContext(ctx)
	t := telling{failed: make(chan error, 2), end: func() { cancel(); _ = group.Wait() }} // errors went to failed
	if s.registry != nil {
		group.Go(func() error { return s.registry.Run(ctx, registered{s.syncer, s.health}) })
	}
	if s.agent != nil {
		group.Go(func() error {
			err := s.agent.Run(ctx)
			if err != nil {
				t.failed <- err
			}
			return err
		})
	}
	return t
}

// wind says that the proxy is stopping, and stops serving when it has been heard, or when serving ends by itself.
func (s *service) wind(serving context.Context, stop context.CancelFunc) {
	s.health.stopping.Store(true)
	timer := time.NewTimer(s.config.DrainTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-serving.Done():
	}
	stop()
}
