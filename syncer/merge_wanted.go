package syncer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// decide is mergeWanted while no merge of everything goes on in this process, or has since the handshake: what was read before one may
// put a region into quarantine that is out of it.
func (p *puller) decide(ctx context.Context, self crdtmeta.Origin, host welcome) (progress mergeProgress, wanted bool, err error) {
	if !p.collector.whole.TryRLock() {
		return progress, false, errOtherMerge
	}
	defer p.collector.whole.RUnlock()
	if p.wholes != p.collector.wholes.Load() {
		return progress, false, errTakenBack
	}
	return p.mergeWanted(ctx, self, host)
}

// mergeWanted says whether a merge with that region is due: one that was begun is not over, or the log does not serve.
func (p *puller) mergeWanted(ctx context.Context, self crdtmeta.Origin, host welcome) (progress mergeProgress, wanted bool, err error) {
	text, err := p.cfg.Redis.HGet(ctx, p.keys.merges, formatID(p.id)).Result()
	switch {
	case errors.Is(err, redis.Nil):
		wanted = p.behind
	case err != nil:
		return progress, false, err
	default:
		wanted = true
		if err := json.Unmarshal([]byte(text), &progress); err != nil {
			return progress, false, fmt.Errorf("%s: %w", p.keys.merges, err)
		}
	}
	frontier, err := p.region.frontier(ctx)
	if err != nil {
		return progress, false, err
	}
	ours, baseErr := p.region.base(ctx)
	collected, collectedErr := p.region.collected(ctx)
	if err := errors.Join(baseErr, collectedErr); err != nil {
		return progress, false, err
	}
	wanted = wanted || p.wantsAll() && !ours.before(host.Base)
	epoch := mustOrigin(host.Origin)
	if stale(frontier, epoch) {
		return progress, false, errItsEpoch
	}
	orphaned, err := p.elsewhere(ctx, host)
	if err != nil {
		return progress, false, err
	}
	missed := lacks(self, frontier, host.Collected) || host.Apart
	if missed {
		if err := p.quarantineSelf(ctx, self); err != nil {
			return progress, false, err
		}
	}
	// One that is in quarantine says itself whether others that are may take from it.
	if !(missed && host.Held) && lacks(epoch, host.Frontier, collected) {
		return progress, false, errMissed
	}
	switch {
	case ofAll(progress.Mode):
		if wanted = true; progress.Base != host.Base {
			progress = beginAll(progress.Mode)
			progress.Base, progress.Anew = host.Base, true
			err = p.mergeAnew(ctx, progress)
		}
	case missed, host.Base.before(ours):
		// What we have from before, or from when we were alone, that region has not seen.
		progress, wanted = beginAll(mergeWhole), true
		if strangers(collected, host) || int(ours) == p.cfg.Region.ID && host.Base != ours {
			progress = beginAll(mergeJoining)
		}
	case wanted && ours.before(host.Base):
		return progress, false, errUnjoined
	case orphaned != "" && !ours.before(host.Base):
		progress, wanted = beginAll(orphaned), true
	default:
		if wanted && progress.Mode == "" {
			progress, err = p.beginMerge(ctx, self, host, frontier, ours == 0 && len(collected) == 0)
		}
		err = errors.Join(err, p.release(ctx, self))
	}
	if wanted && frontier.Supersedes(epoch) {
		err = errors.Join(err, errItsEpoch) // the engine would take no key
	}
	progress.Missed = missed
	return progress, wanted, err
}

// elsewhere fails while everything is being merged from another region. If nothing has come from that one for so long as it takes to relay, a
// region that knows it can take its place, with a merge in the mode that it answers. One that was removed never comes back: any other takes its
// place if this region is in quarantine, and otherwise what is missing shows as at any other time.
func (p *puller) elsewhere(ctx context.Context, host welcome) (mode string, err error) {
	from, err := p.cfg.Redis.HGet(ctx, p.keys.merges, allField).Int()
	switch {
	case errors.Is(err, redis.Nil), err == nil && from == p.id:
		return "", nil
	case err != nil:
		return "", err
	case slices.Contains(p.removedIDs(), from):
		if why, err := p.heldWhy(ctx); err != nil || why != heldQuarantine {
			return "", cmp.Or(err, p.cfg.Redis.HDel(ctx, p.keys.merges, allField, formatID(from)).Err())
		}
	case p.collector.wholeIdle() < p.cfg.RelayAfter, len(host.Frontier.Of(from, p.cfg.Shard)) == 0:
		return "", errOtherMerge
	}
	text, err := p.cfg.Redis.HGet(ctx, p.keys.merges, formatID(from)).Result()
	if err != nil {
		return "", err
	}
	var progress mergeProgress
	if err := json.Unmarshal([]byte(text), &progress); err != nil {
		return "", fmt.Errorf("%s: %w", p.keys.merges, err)
	}
	return progress.Mode, nil
}

// stale says that an epoch of another region is over, as far as is known here. One that is not known at all may be that of a server
// which was emptied, and is about to learn that there were later ones.
func stale(frontier crdtmeta.Frontier, epoch crdtmeta.Origin) bool {
	_, known := frontier[epoch]
	return known && frontier.Supersedes(epoch)
}

// strangers says that a region knows nothing of what this one has collected: each was alone so far, or with others.
func strangers(collected crdtmeta.Frontier, host welcome) bool {
	for origin := range collected {
		if _, known := host.Frontier[origin]; known || origin.Region == host.ID {
			return false
		}
	}
	return len(collected) > 0
}

func beginAll(mode string) mergeProgress {
	return mergeProgress{Mode: mode, Phase: phaseScan, Began: time.Now()}
}

// lacks says that a region, which is in the epoch self, has not seen effects of which another one has collected the metadata. Of these there may be
// removals that no log and no companion tells of any more.
func lacks(self crdtmeta.Origin, frontier, collected crdtmeta.Frontier) bool {
	for origin, t := range collected {
		if origin != self && frontier[origin] < t {
			return true
		}
	}
	return false
}

// beginMerge decides what kind of merge it is to be: changes after the place that we have, if we have one. Without one they are all that
// has metadata there, which the log and crdt:gc name; the rest is here, since nothing was collected there that we have not seen. Only a
// newcomer, which has nothing without metadata itself, takes everything.
func (p *puller) beginMerge(ctx context.Context, self crdtmeta.Origin, host welcome, frontier crdtmeta.Frontier, newcomer bool) (mergeProgress, error) {
	known := frontier.Of(host.ID, host.Shard)
	if len(known) == 0 && newcomer {
		return beginAll(mergeWhole), nil
	}
	begun := mergeProgress{Mode: mergeChanges, Phase: phaseLog, Began: time.Now()}
	if p.wantsAll() {
		return begun, nil
	}
	contexts, err := p.region.contexts(ctx)
	if err != nil {
		return begun, err
	}
	for origin, t := range known {
		// What that region had of third ones at that place is named by entries below it, so we must have all of that, too.
		if origin.String() == host.Origin && coversOthers(frontier, contexts[origin], origin, self) {
			begun.Since = t
		}
	}
	begun.Until = begun.Since
	return begun, nil
}

// coversOthers says whether a frontier covers a record but for two origins.
func coversOthers(frontier, record crdtmeta.Frontier, one, two crdtmeta.Origin) bool {
	for origin, t := range record {
		if origin != one && origin != two && frontier[origin] < t {
			return false
		}
	}
	return true
}
