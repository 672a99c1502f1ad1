package syncer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"anabranch/crdtmeta"
)

// claims are effects that only we have, and our frontier does not cover. Most come with merged keys:
//
//	A   e ────────────L- - - - - -x      its Redis comes back without what is behind L, and begins another epoch
//	B   frontier of e ┘  keys ahead └──  a merge from A had brought some keys as they were at x, and broke off
//
// No log has what is between L and x, so no frontier would ever cover what these keys are ahead by, and what B does to them
// would wait for it in other regions. When everybody knows that e is over, and nobody has more of it than we do, we
// say that we have it up to x: others then take these keys by a merge, as they take any orphans. What did not come with the keys
// is lost with the server.
type claims struct {
	since map[crdtmeta.Origin]time.Time
}

// look claims what is due. Of several regions that could claim, one goes first: others have a longer time to wait, which begins
// anew with its claim.
func (c *claims) look(ctx context.Context, l *leader) error {
	self, err := l.region.origin(ctx) // before all else: what is found out holds for that epoch
	if err != nil {
		return err
	}
	ours, err := l.region.frontier(ctx)
	if err != nil {
		return err
	}
	pending, first, err := l.aheadBeyond(ctx, ours)
	maps.DeleteFunc(c.since, func(origin crdtmeta.Origin, _ time.Time) bool { return pending[origin] == 0 })
	if err != nil || len(pending) == 0 {
		return err
	}
	others, before, err := l.told(ctx)
	if err != nil {
		return err
	}
	now, due := time.Now(), crdtmeta.Frontier{}
	for origin, t := range pending {
		if others == nil || !over(origin, self, ours[origin], others, l.removedIDs()) {
			delete(c.since, origin)
			continue
		}
		if c.since == nil {
			c.since = map[crdtmeta.Origin]time.Time{}
		}
		if began, noted := c.since[origin]; !noted {
			c.since[origin] = now
		} else if now.Sub(began) > time.Duration(1+before)*l.cfg.RelayAfter {
			due[origin] = t
		}
	}
	if len(due) == 0 {
		return nil
	}
	// A place in our log from before the claim is one in the middle of the merge that has brought these keys.
	if err := hashSet.Run(ctx, l.cfg.Redis, []string{l.keys.merges}, "first:0", first.String()).Err(); err != nil {
		return err
	}
	position := append(due.AppendMsgpack(nil), emptyVector+emptyVector...)
	answer, err := l.engine.merge(ctx, self, 0, mergeChanges, "", string(position), emptyVector, nil)
	if err != nil || answer != mergeTaken {
		return err
	}
	for origin, t := range due {
		l.cfg.Log.Warn().Stringer("epoch", origin).Stringer("after", ours[origin]).Stringer("upto", t).
			Msg("effects of an epoch that has ended are nowhere else than here: they go on from here")
	}
	return l.view.load(ctx, l.region.frontier)
}

// aheadBeyond is what is here beyond the frontier, but for what a merge that is not over may still bring, and our own time when the
// first of it came. Keys are ahead of it that a merge has brought; and a merge of everything takes it back to where the other region's
// is, although what was written here stays, and what had come from third regions.
func (l *leader) aheadBeyond(ctx context.Context, frontier crdtmeta.Frontier) (pending crdtmeta.Frontier, first crdtmeta.Time, err error) {
	newest, _, err := l.region.newest(ctx)
	if err != nil {
		return nil, 0, err
	}
	pending, first = crdtmeta.Frontier{}, endOfTime
	for origin, t := range newest {
		if t > frontier[origin] {
			pending[origin], first = t, 1 // nothing tells when it came
		}
	}
	count, err := l.cfg.Redis.HLen(ctx, l.keys.ahead).Result()
	if err != nil || count == 0 && len(pending) == 0 {
		return nil, 0, err
	}
	merging, err := l.cfg.Redis.HKeys(ctx, l.keys.merges).Result()
	if err != nil {
		return nil, 0, err
	}
	for _, link := range l.links {
		if slices.Contains(merging, formatID(link.regionID())) {
			return nil, 0, nil
		}
	}
	for cursor := uint64(0); ; {
		var page []string
		if page, cursor, err = l.cfg.Redis.HScan(ctx, l.keys.ahead, cursor, "", 1000).Result(); err != nil {
			return nil, 0, err
		}
		for i := 1; i < len(page); i += 2 {
			came, _, _ := strings.Cut(page[i-1], ".")
			at, timeErr := crdtmeta.ParseTime(came)
			vector, err := crdtmeta.DecodeFrontier([]byte(page[i]))
			if err := errors.Join(err, timeErr); err != nil {
				return nil, 0, fmt.Errorf("%s: %w", l.keys.ahead, err)
			}
			for origin, t := range vector {
				if t > frontier[origin] {
					pending.Raise(origin, t)
					first = min(first, at)
				}
			}
		}
		if cursor == 0 {
			return pending, first, nil
		}
	}
}

// told is how far every other region is, by its id, as it says now; nil while one says nothing. Regions in quarantine do not count. before is how
// many have a lower id than we.
func (l *leader) told(ctx context.Context) (others map[int]crdtmeta.Frontier, before int, err error) {
	apart, err := l.cfg.Redis.HKeys(ctx, l.keys.quarantined).Result()
	if err != nil {
		return nil, 0, err
	}
	others = map[int]crdtmeta.Frontier{}
	for _, link := range l.links {
		id, frontier := link.frontierNow(l.cfg.SilenceLimit)
		if id != 0 && slices.Contains(apart, formatID(id)) {
			continue
		}
		if frontier == nil {
			return nil, 0, nil
		}
		others[id] = frontier
		if id < l.cfg.Region.ID {
			before++
		}
	}
	return others, before, nil
}

// over says whether every other region knows that an epoch has ended, and has no more of it than we do.
func over(epoch, self crdtmeta.Origin, ours crdtmeta.Time, others map[int]crdtmeta.Frontier, removed []int) bool {
	if epoch == self {
		return false
	}
	for id, frontier := range others {
		// A region does not list the epoch that it is in.
		t, known := frontier[epoch]
		if t > ours || id == epoch.Region && !known {
			return false
		}
		later := id == epoch.Region || slices.Contains(removed, epoch.Region)
		for other := range frontier {
			later = later || other.Region == epoch.Region && other.Shard == epoch.Shard && other.Counter() > epoch.Counter()
		}
		if !later {
			return false
		}
	}
	return true
}
