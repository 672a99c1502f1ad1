package syncer

import (
	"context"
	"time"

	"anabranch/crdtmeta"
)

// Wait blocks until that many peers have applied everything that our log holds now, or until the timeout (0: no limit
// but ctx), and returns how many have. A Redis that does not answer for a while, as in a fail-over, is waited for as well.
func (s *Syncer) Wait(ctx context.Context, regions int, timeout time.Duration) (int, error) {
	info, err := s.region.history(ctx)
	if err != nil {
		return 0, err
	}
	origin, target := info.origin, info.last // the newest entry is always one of the epoch in force
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	poll := time.NewTicker(s.cfg.AckPoll)
	defer poll.Stop()
	for {
		moved := s.acks.moved.next()
		count, err := s.ackedBy(ctx, origin, target)
		if err != nil && classify(err) != failureLater {
			return 0, err
		}
		if err == nil && count >= regions {
			return count, nil
		}
		select {
		case <-moved:
		case <-poll.C:
		case <-expired:
			return count, err
		case <-ctx.Done():
			return count, ctx.Err()
		}
	}
}

// ackedBy counts the peers that have applied our log up to target.
func (s *Syncer) ackedBy(ctx context.Context, origin crdtmeta.Origin, target crdtmeta.Time) (int, error) {
	if target == 0 {
		return len(s.peers()), nil // there is nothing to apply
	}
	all, err := s.acks.load(ctx)
	if err != nil {
		return 0, err
	}
	known, err := s.membership(ctx)
	if err != nil {
		return 0, err
	}
	count := 0
	for name := range s.peers() {
		if id, met := known.ids[name]; met && all[id].Covers(origin, target) {
			count++
		}
	}
	return count, nil
}
