package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

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
	missed := lacks(self, frontier, host.Collected)
	if !(missed || host.Apart) || !host.Held {
		// One that is in quarantine says itself whether it may be taken from by others that are.
		if ours, err := p.region.collected(ctx); err != nil {
			return progress, false, err
		} else if lacks(mustOrigin(host.Origin), host.Frontier, ours) {
			return progress, false, errMissed
		}
	}
	switch {
	case missed || host.Apart:
		if err := p.quarantineSelf(ctx); err != nil {
			return progress, false, err
		}
		if progress.Mode != mergeWhole {
			progress = wholeMerge()
		}
		wanted = true
	case progress.Mode == mergeWhole:
	case len(frontier.Of(host.ID, host.Shard)) == 0 && host.Born == bornData:
		info, err := p.region.history(ctx)
		if err != nil {
			return progress, false, err
		}
		// That region has data from before Anabranch, which no log tells of. One that began with data of its own has the same.
		if info.born != bornData {
			progress, wanted = wholeMerge(), true
		}
	default:
		if wanted && progress.Mode == "" {
			progress, err = p.beginMerge(ctx, self, host, frontier)
		}
		err = errors.Join(err, p.release(ctx))
	}
	return progress, wanted, err
}

func wholeMerge() mergeProgress {
	return mergeProgress{Mode: mergeWhole, Phase: phaseScan, Began: time.Now()}
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

// beginMerge decides what kind of merge it is to be: changes after the place that we have, if we have one.
func (p *puller) beginMerge(ctx context.Context, self crdtmeta.Origin, host welcome, frontier crdtmeta.Frontier) (mergeProgress, error) {
	begun := wholeMerge()
	contexts, err := p.region.contexts(ctx)
	if err != nil {
		return begun, err
	}
	for origin, t := range frontier.Of(host.ID, host.Shard) {
		begun.Mode, begun.Phase = mergeChanges, phaseLog
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
