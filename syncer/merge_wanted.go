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
	missed, err := missedFor(self, frontier, host.Collected)
	if err != nil {
		return progress, false, err
	}
	newcomer, err := p.newcomer(ctx)
	if err != nil {
		return progress, false, err
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
	case newcomer && host.Born == bornData && len(frontier.Of(host.ID, host.Shard)) == 0:
		// That region has data from before Anabranch, which no log tells of.
		progress, wanted = wholeMerge(), true
	default:
		if wanted && progress.Mode == "" {
			progress, err = p.beginMerge(ctx, self, host, frontier, newcomer)
		}
		err = errors.Join(err, p.release(ctx))
	}
	return progress, wanted, err
}

func wholeMerge() mergeProgress {
	return mergeProgress{Mode: mergeWhole, Phase: phaseScan, Began: time.Now()}
}

// missedFor says that a region has collected metadata of effects that we have not seen. Of these there may be removals that no
// log and no companion tells of any more.
func missedFor(self crdtmeta.Origin, frontier crdtmeta.Frontier, collected map[string]crdtmeta.Time) (bool, error) {
	for name, t := range collected {
		origin, err := crdtmeta.ParseOrigin(name)
		if err != nil {
			return false, refuse(codeProtocol, "what was collected: %v", err)
		}
		if origin != self && frontier[origin] < t {
			return true, nil
		}
	}
	return false, nil
}

// newcomer says whether this region has nothing of its own: no data from before Anabranch, and no metadata that was collected. It may
// take everything from another one as it is there. Any other region would lose by that what it knows to be everywhere and the
// other one has not got yet.
func (p *puller) newcomer(ctx context.Context) (bool, error) {
	info, err := p.region.history(ctx)
	if err != nil {
		return false, err
	}
	collected, err := p.region.collected(ctx)
	return info.born != bornData && len(collected) == 0, err
}

// beginMerge decides what kind of merge it is to be: changes after the place that we have, if we have one. Without one they are all that
// has metadata there, which the log and crdt:gc name. We have the rest, since nothing was collected there that we have not seen.
func (p *puller) beginMerge(ctx context.Context, self crdtmeta.Origin, host welcome, frontier crdtmeta.Frontier, newcomer bool) (mergeProgress, error) {
	known := frontier.Of(host.ID, host.Shard)
	if len(known) == 0 && newcomer {
		return wholeMerge(), nil
	}
	begun := mergeProgress{Mode: mergeChanges, Phase: phaseLog, Began: time.Now()}
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
