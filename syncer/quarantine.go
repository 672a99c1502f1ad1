package syncer

import (
	"context"
	"errors"
	"slices"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// A region that was away for so long that others have collected what it has not seen is in quarantine: it serves reads and
// takes no writes until it has merged everything. What it had written itself before stays, and the others merge it from here.
// Removals that it had not shipped are void, since nobody can tell any more what they had seen.

// heldQuarantine is what clients are told meanwhile, behind the code CRDTHELD.
const heldQuarantine = "this region was away for too long: it takes writes again when it has merged what it has missed; reads are served"

// quarantineSelf keeps clients from writing.
func (p *puller) quarantineSelf(ctx context.Context) error {
	why, err := p.heldWhy(ctx)
	if err != nil || why == heldQuarantine {
		return err
	}
	if err := p.engine.hold(ctx, heldQuarantine); err != nil {
		if classify(err) == failureUnarmed {
			return p.armed.run(ctx)
		}
		return err
	}
	p.cfg.Log.Error().Str("peer", p.name).Msg("this region is in quarantine: others have collected what it has not seen")
	return nil
}

// heldWhy is why clients may not write, or "".
func (s *Syncer) heldWhy(ctx context.Context) (string, error) {
	why, err := s.cfg.Redis.Get(ctx, s.keys.held).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return why, err
}

// release lets clients write again: a region has told us that we have missed nothing. Quarantine ends only with a merge.
func (p *puller) release(ctx context.Context) error {
	why, err := p.heldWhy(ctx)
	if err != nil || why == "" || why == heldQuarantine {
		return err
	}
	p.cfg.Log.Info().Str("peer", p.name).Msg("this region has missed nothing: it takes writes")
	return p.engine.hold(ctx, "")
}

// merged ends what a merge was for. After quarantine the log so far must not be told to anybody: what it says was seen is not
// what its effects meet now. The others merge what this region has written, since nothing else is left to them.
func (p *puller) merged(ctx context.Context, mode string) error {
	if mode != mergeWhole {
		return nil
	}
	why, err := p.heldWhy(ctx)
	if err != nil || why == "" {
		return err
	}
	if why == heldQuarantine {
		info, err := p.region.history(ctx)
		if err != nil {
			return err
		}
		if err := p.collector.makeWay(ctx, info.last); err != nil {
			return err
		}
		if err := p.cfg.Redis.XTrimMinID(ctx, p.keys.log, info.last.ID()).Err(); err != nil {
			return err
		}
	}
	p.cfg.Log.Info().Str("peer", p.name).Msg("this region is out of quarantine")
	return p.engine.hold(ctx, "")
}

// quarantine takes regions that have been away for too long out of the stability rule, so that collection goes on without
// them. It answers the ids of those that are.
func (c *collector) quarantine(ctx context.Context, ids map[string]int) ([]string, error) {
	for name, since := range c.waits.list(time.Now()) {
		id := ids[name]
		if id == 0 || time.Since(since) < c.cfg.QuarantineAfter {
			continue
		}
		added, err := c.cfg.Redis.SAdd(ctx, c.keys.quarantined, id).Result()
		if err != nil {
			return nil, err
		}
		if added > 0 {
			c.cfg.Log.Error().Str("region", name).Dur("away", time.Since(since)).
				Msg("region is in quarantine: metadata is collected without it, and it will have to merge everything")
		}
	}
	members, err := c.cfg.Redis.SMembers(ctx, c.keys.quarantined).Result()
	slices.Sort(members)
	return members, err
}

// admitAgain takes a region out of quarantine when it has all that was collected here. What is collected from then on, waits
// for it again: publishCollected sees to it that no round that began before goes on.
func (s *server) admitAgain(ctx context.Context, caller hello, applied crdtmeta.Frontier) error {
	quarantined, err := s.cfg.Redis.SRem(ctx, s.keys.quarantined, caller.ID).Result()
	if err != nil || quarantined == 0 {
		return err
	}
	collected, err := s.region.collected(ctx)
	if err != nil {
		return err
	}
	for origin, t := range collected {
		if origin.String() != caller.Origin && applied[origin] < t {
			if err := s.cfg.Redis.SAdd(ctx, s.keys.quarantined, caller.ID).Err(); err != nil {
				return err
			}
			return refuse(codeEpoch, "region '%s' is in quarantine, and lacks %s up to %d", caller.Name, origin, t)
		}
	}
	s.cfg.Log.Info().Str("region", caller.Name).Msg("region is out of quarantine")
	return nil
}

// stillAdmitted ends the stream of a region that was put into quarantine meanwhile: it is to say again what it has.
func (p *shipment) stillAdmitted(ctx context.Context) error {
	in, err := p.cfg.Redis.SIsMember(ctx, p.keys.quarantined, p.peer.ID).Result()
	if err == nil && in {
		err = refuse(codeEpoch, "region '%s' is in quarantine", p.peer.Name)
	}
	return err
}

// collectedPublish keeps the vector of all that may be collected, unless a region was let in again since it was computed.
var collectedPublish = newScript(`
local members = redis.call('SMEMBERS', KEYS[2])
table.sort(members)
if table.concat(members, ' ') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 1`)
