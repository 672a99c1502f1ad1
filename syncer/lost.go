package syncer

import (
	"context"
	"slices"
	"strconv"
	"time"

	"anabranch/crdtmeta"
)

// A fail-over of the region's Redis, or a start from an old snapshot, ends an epoch earlier than clients saw it end. What other regions
// had received comes back (relay.go). How much nobody has is told by numbers:
//
//	lost = the most that anybody has heard of the epoch − what this region has of it, once no other region has more
//
// What the server did after it was last asked, nobody has heard of: the number is the least that was lost.

// heardSettle notes how much of an epoch is lost, unless more was heard of it meanwhile; "" forgets the epoch.
var heardSettle = newScript(`
local text = redis.call('HGET', KEYS[1], ARGV[1])
if string.match(text or '', '^%d+') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1`)

// loss is what a fail-over, or several, have cost this region, in effects.
type loss struct {
	lost    int64    // that no region has
	missing int64    // that this region has not, and that others may still bring
	awaited []string // who may
}

// countLost compares what was heard of our ended epochs with what we have of them.
func (l *leader) countLost(ctx context.Context) error {
	current, err := l.region.origin(ctx)
	if err != nil || current.IsZero() {
		return err
	}
	if l.epoch != current {
		l.epoch, l.epochAt = current, time.Now()
	}
	heard, err := l.region.heard(ctx)
	if err != nil {
		return err
	}
	_, counts, err := l.region.newest(ctx)
	if err != nil {
		return err
	}
	frontier, err := l.region.frontier(ctx)
	if err != nil {
		return err
	}
	known := crdtmeta.Frontier{}
	for origin := range heard {
		known[origin] = 0
	}
	var found loss
	for origin, h := range heard {
		missing := max(0, h.effects-int64(counts[origin]))
		if origin.Region != current.Region {
			if missing == 0 && known.Supersedes(origin) {
				err = l.settle(ctx, origin, h, "")
			}
		} else if origin != current {
			err = l.countEpoch(ctx, origin, h, missing, frontier[origin], &found)
		}
		if err != nil {
			return err
		}
	}
	slices.Sort(found.awaited)
	found.awaited = slices.Compact(found.awaited)
	l.loss.Store(&found)
	return nil
}

// countEpoch adds one epoch of ours to what was found.
func (l *leader) countEpoch(ctx context.Context, origin crdtmeta.Origin, h heardCount, missing int64, ours crdtmeta.Time, found *loss) error {
	awaited := l.notTold(origin, ours)
	switch {
	case missing == 0 && h.lost == 0:
		return l.settle(ctx, origin, h, "")
	case h.settled && missing >= h.lost:
		found.lost += h.lost
		return nil
	case !h.settled && len(awaited) > 0:
		found.missing += missing
		found.awaited = append(found.awaited, awaited...)
		return nil
	}
	found.lost += missing
	event := l.cfg.Log.Error()
	if h.settled {
		event = l.cfg.Log.Info()
	}
	event.Str("epoch", origin.String()).Int64("effects", missing).Msg("lost on fail-over: effects that no region has")
	return l.settle(ctx, origin, h, strconv.FormatInt(missing, 10))
}

func (l *leader) settle(ctx context.Context, origin crdtmeta.Origin, h heardCount, lost string) error {
	return heardSettle.Run(ctx, l.cfg.Redis, []string{l.keys.heard}, origin.String(), h.effects, lost).Err()
}

// notTold names the regions that may have more of an ended epoch than we: they say so, or do not know yet that it has ended. Ourselves
// it names for a moment, since our other proxies may have heard more.
func (l *leader) notTold(origin crdtmeta.Origin, ours crdtmeta.Time) (names []string) {
	if time.Since(l.epochAt) < 2*l.cfg.BeatInterval {
		names = append(names, l.cfg.Region.Name)
	}
	for _, link := range l.links {
		link.mu.Lock()
		region := toldRegion{id: link.status.ID, frontier: link.frontier}
		link.mu.Unlock()
		if !region.over(origin, ours, nil) {
			names = append(names, link.name)
		}
	}
	return names
}
