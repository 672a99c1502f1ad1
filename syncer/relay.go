package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"anabranch/crdtmeta"
)

// What a region lacks and its origin cannot give, another region that has it can, by a merge of the keys that changed there:
//
//   - effects of an epoch that has ended, which its region has lost (orphans): a fail-over, or an old snapshot, took them;
//   - effects of a region that is out of reach here, but not there.

// They end a stream: the first two for a merge with the same region, the last to go on with it further back.
var (
	errRelay     = errors.New("another region's effects are to be had there")
	errAllKeys   = errors.New("what only merged keys have of an epoch that is over is to be put together")
	errTakenBack = errors.New("everything is merged from another region: the log goes on from where that one is")
)

// compare looks for such effects in what a peer has.
func (l *link) compare(ctx context.Context, theirs crdtmeta.Frontier) error {
	if l.wantsAll() {
		if paused, err := l.cfg.Redis.SIsMember(ctx, l.keys.paused, formatID(l.id)).Result(); err == nil && !paused {
			return errAllKeys
		}
	}
	ours, removed := l.view.snapshot(), l.removedIDs()
	if stale(ours, l.host) {
		return errItsEpoch
	}
	if l.wholes != l.collector.wholes.Load() {
		return errTakenBack
	}
	gone := func(id int) bool { return slices.Contains(removed, id) }
	for origin, t := range theirs {
		if t <= ours[origin] || origin == l.self {
			continue
		}
		ended := origin.Region == l.self.Region || ours.Supersedes(origin)
		if !ended && !gone(origin.Region) && (origin.Region == l.id || l.downFor(origin.Region) < l.cfg.RelayAfter) {
			continue
		}
		paused, err := l.cfg.Redis.SIsMember(ctx, l.keys.paused, formatID(origin.Region)).Result()
		if err != nil || paused {
			continue
		}
		// What we believe may be old: another proxy may have led meanwhile.
		if err := l.view.load(ctx, l.region.frontier); err != nil || t <= l.view.at(origin) {
			continue
		}
		// An epoch that our own region began meanwhile is not lost.
		if err := l.region.stillIn(ctx, l.self); err != nil {
			return err
		}
		l.behind = true
		l.counters.relays.Add(1)
		return fmt.Errorf("%w: %s up to %d, here up to %d", errRelay, origin, t, l.view.at(origin))
	}
	return nil
}
