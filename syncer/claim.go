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

// claims are effects that only regions which cannot vouch for them have. Most come with merged keys:
//
//	A   e ────────────L- - - - - -x      its Redis comes back without what is behind L, and begins another epoch
//	B   frontier of e ┘  keys ahead └──  a merge from A had brought some keys as they were at x, and broke off
//	C   the same, and other keys
//
// No log has what is between L and x, so no frontier would ever cover what these keys are ahead by, and what is done to them
// would wait for it in other regions. When everybody knows that e is over, and nobody's frontier has more of it than ours, we merge
// all keys with metadata from every other region. Nothing new of e comes into being any more, so we have all of it that exists then, and
// say that we have it up to x: others take these keys by a merge, as they take any orphans. What did not come with any keys is lost with
// the server.
type claims struct {
	epochs string // in which all regions are; with another one that some region is in, everything begins anew
	since  map[crdtmeta.Origin]time.Time
}

// look claims what is due. Of several regions that could claim, one goes first: others have a longer time to wait, which begins
// anew with its claim. Should two do so at the same time, they claim the same.
func (c *claims) look(ctx context.Context, l *leader) error {
	self, err := l.region.origin(ctx) // before all else: what is found out holds for that epoch
	if err != nil {
		return err
	}
	if merging, err := l.mergeGoesOn(ctx); err != nil || merging {
		return err // it may still bring more; or it was asked for here
	}
	ours, err := l.region.frontier(ctx)
	if err != nil {
		return err
	}
	pending, first, err := l.aheadBeyond(ctx, ours)
	if err != nil {
		return err
	}
	maps.DeleteFunc(c.since, func(origin crdtmeta.Origin, _ time.Time) bool { return pending[origin] == 0 })
	if len(pending) == 0 {
		for _, link := range l.links {
			link.withdraw()
		}
		return nil
	}
	others, err := l.told(ctx)
	if err != nil || others == nil {
		return err
	}
	// A region that has come back with old data may have given to others what it has not got now, and they had not got it yet when we merged.
	if epochs := others.epochs(self); c.since == nil || c.epochs != epochs {
		c.epochs, c.since = epochs, map[crdtmeta.Origin]time.Time{}
	}
	now, due := time.Now(), crdtmeta.Frontier{}
	for origin, t := range pending {
		if !others.over(origin, self, ours[origin], l.removedIDs()) {
			delete(c.since, origin)
			continue
		}
		if _, noted := c.since[origin]; !noted {
			c.since[origin] = now
		}
		// What a region was merging from one that has lost it is there by then.
		settled := c.since[origin].Add(l.cfg.RelayAfter)
		if now.After(settled.Add(time.Duration(others.before(self.Region))*l.cfg.RelayAfter)) && others.given(settled) {
			due[origin] = t
		}
	}
	if len(due) == 0 {
		return nil
	}
	// A place in our log from before the claim is one in the middle of the merge that has brought these keys.
	if err := hashSet.Run(ctx, l.cfg.Redis, []string{l.keys.merges}, "first:0", first.String(), "0", "claim").Err(); err != nil {
		return err
	}
	position := append(due.AppendMsgpack(nil), emptyVector+emptyVector...)
	answer, err := l.engine.merge(ctx, self, 0, mergeChanges, "", string(position), emptyVector, nil)
	if err != nil || answer != mergeTaken {
		return err
	}
	for origin, t := range due {
		l.cfg.Log.Warn().Stringer("epoch", origin).Stringer("after", ours[origin]).Stringer("upto", t).
			Msg("effects of an epoch that has ended are in no log: they go on from here")
	}
	return l.view.load(ctx, l.region.frontier)
}

// mergeGoesOn says whether a merge from some region, that is not in quarantine, has begun here and is not over.
func (l *leader) mergeGoesOn(ctx context.Context) (bool, error) {
	merging, err := l.cfg.Redis.HKeys(ctx, l.keys.merges).Result()
	if err != nil {
		return false, err
	}
	apart, err := l.cfg.Redis.HKeys(ctx, l.keys.quarantined).Result()
	return slices.ContainsFunc(l.links, func(link *linkStatus) bool {
		id := formatID(link.regionID())
		return id != formatID(0) && slices.Contains(merging, id) && !slices.Contains(apart, id)
	}), err
}

// aheadBeyond is what is here beyond the frontier, and our own time when the first of it came. Keys are ahead of it that a merge has brought;
// and a merge of everything takes it back to where the other region's is, although what was written here stays, and what had come from
// third regions.
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

// toldRegion is what a region says of itself now.
type toldRegion struct {
	*linkStatus
	id       int
	epoch    string
	frontier crdtmeta.Frontier
}

// toldRegions are all other regions, but those in quarantine.
type toldRegions []toldRegion

// told is nil while one of them says nothing.
func (l *leader) told(ctx context.Context) (toldRegions, error) {
	apart, err := l.cfg.Redis.HKeys(ctx, l.keys.quarantined).Result()
	if err != nil {
		return nil, err
	}
	others := toldRegions{}
	for _, link := range l.links {
		id, epoch, frontier := link.frontierNow(l.cfg.SilenceLimit)
		if id != 0 && slices.Contains(apart, formatID(id)) {
			continue
		}
		if frontier == nil {
			return nil, nil
		}
		others = append(others, toldRegion{link, id, epoch, frontier})
	}
	return others, nil
}

// epochs names those in which all regions are.
func (others toldRegions) epochs(self crdtmeta.Origin) string {
	names := []string{self.String()}
	for _, region := range others {
		names = append(names, region.epoch)
	}
	return strings.Join(names, " ")
}

// before is how many have a lower id.
func (others toldRegions) before(id int) (n int) {
	for _, region := range others {
		if region.id < id {
			n++
		}
	}
	return n
}

// given says whether all keys with metadata were merged from every one of them since a moment. It asks for those that were not.
func (others toldRegions) given(since time.Time) bool {
	all := true
	for _, region := range others {
		all = region.hasAll(since) && all
	}
	return all
}

// over says whether every one of them knows that an epoch has ended, and has no more of it than we do.
func (others toldRegions) over(epoch, self crdtmeta.Origin, ours crdtmeta.Time, removed []int) bool {
	return epoch != self && !slices.ContainsFunc(others, func(r toldRegion) bool { return !r.over(epoch, ours, removed) })
}

func (r toldRegion) over(epoch crdtmeta.Origin, ours crdtmeta.Time, removed []int) bool {
	// A region does not list the epoch that it is in.
	t, known := r.frontier[epoch]
	if t > ours || r.id == epoch.Region && !known {
		return false
	}
	return r.id == epoch.Region || slices.Contains(removed, epoch.Region) || r.frontier.Supersedes(epoch)
}
