package syncer

import (
	"context"
	"sync/atomic"
	"time"
)

// regionClock is the clock of the region's Redis, by which the engine makes stamps and deadlines. It may differ from this
// process's, which has no say in anything.
type regionClock struct {
	offset atomic.Int64 // time.Duration: Redis's clock minus ours
}

// clockNoise is a difference that is not worth a correction: a steady clock measures round trips better.
const clockNoise = 20 * time.Millisecond

// now is what Redis's clock shows, as far as is known.
func (c *regionClock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// take corrects the clock by what TIME answered between two moments of ours.
func (c *regionClock) take(asked time.Time, answer time.Time, answered time.Time) {
	rtt := answered.Sub(asked)
	sample := answer.Sub(asked.Add(rtt / 2).Round(0)) // Round drops the monotonic reading
	if (sample - time.Duration(c.offset.Load())).Abs() > max(clockNoise, rtt) {
		c.offset.Store(int64(sample))
	}
}

// watchClock keeps the clock until ctx ends.
func (s *Syncer) watchClock(ctx context.Context) {
	for ctx.Err() == nil {
		asked := time.Now()
		if answer, err := s.cfg.Redis.Time(ctx).Result(); err == nil {
			s.redisClock.take(asked, answer, time.Now())
		}
		sleep(ctx, s.cfg.BeatInterval)
	}
}
