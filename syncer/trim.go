package syncer

import (
	"context"
	"fmt"
	"time"

	"anabranch/crdtmeta"
)

// trimChunk bounds the entries that one call removes.
const trimChunk = 10_000

// trim removes what every configured peer has applied, and beyond the size of the backlog whatever is oldest: a peer that lacks
// it needs a merge. The keys that an entry names are noted before it goes.
func (l *leader) trim(ctx context.Context) error {
	info, err := l.region.history(ctx)
	if err != nil || info.origin.IsZero() {
		return err
	}
	bytes, err := l.cfg.Redis.MemoryUsage(ctx, l.keys.log).Result()
	if err != nil {
		return fmt.Errorf("measuring the log: %w", err)
	}
	l.backlog.measure(time.Now(), info, bytes)
	reached, begun := l.collector.reached()
	if !begun {
		return nil
	}
	cut, err := l.appliedByAll(ctx, info.history)
	if err != nil {
		return err
	}
	limit := int64(l.cfg.BacklogBytes)
	since := min(crdtmeta.TimeAt(l.redisClock.now().Add(-l.cfg.KeepTime).UnixMilli()), reached)
	cut = max(min(cut, since), overflow(info.history, bytes, limit))
	if cut <= info.first {
		return nil
	}
	if cut > reached {
		if err := l.collector.makeWay(ctx, cut); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		n, err := l.collector.cutLog(ctx, cut)
		if err != nil {
			return fmt.Errorf("trimming the log: %w", err)
		}
		l.counters.entriesTrimmed.Add(n)
		if n == 0 {
			break
		}
	}
	return nil
}

// appliedByAll is where the stream of the slowest peer would begin; 0 as long as a peer was never met, or is behind already.
func (l *leader) appliedByAll(ctx context.Context, h history) (crdtmeta.Time, error) {
	known, err := l.membership(ctx)
	if err != nil {
		return 0, err
	}
	all, err := l.acks.load(ctx)
	if err != nil {
		return 0, err
	}
	var applied []crdtmeta.Frontier
	for name := range l.peers() {
		ack, said := all[known.ids[name]]
		if !said {
			return 0, nil
		}
		applied = append(applied, ack.Of(l.cfg.Region.ID, l.cfg.Shard))
	}
	cut, ok := trimCut(applied, h)
	if !ok {
		return 0, nil
	}
	return cut, nil
}

// overflow is the oldest entry to keep of a log that is larger than the limit: so that a quarter of the limit is free again,
// taking the entries as evenly spread over time. It is 0 below the limit.
func overflow(h history, bytes, limit int64) crdtmeta.Time {
	if bytes <= limit {
		return 0
	}
	excess := float64(bytes-limit/4*3) / float64(bytes)
	return h.first + crdtmeta.Time(excess*float64(h.last-h.first))
}

// trimCut is the oldest entry to keep: where the stream of the slowest peer would begin. The entry at that place stays
// too, as a witness that nothing is missing behind it.
func trimCut(applied []crdtmeta.Frontier, h history) (cut crdtmeta.Time, ok bool) {
	cut = h.last
	for _, positions := range applied {
		after, err := chooseStart(positions, h)
		if err != nil {
			return 0, false
		}
		cut = min(cut, after)
	}
	return cut, len(applied) > 0
}

// logCut removes some entries below a time, whole nodes of the stream only, which is cheap, and works when memory is short. It says so in the
// same step: whoever reads on from below must not take what is left for all. In a Redis whose log was not visited so far it does nothing.
var logCut = newScript(`
if (redis.call('HGET', KEYS[3], ARGV[1]) or '') ~= ARGV[2] then return -1 end
redis.call('SET', KEYS[2], ARGV[3])
return redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[4], 'LIMIT', ARGV[5])`)

// cutLog removes entries below cut, which have been visited or noted, and answers how many: not all of them at once.
func (c *collector) cutLog(ctx context.Context, cut crdtmeta.Time) (removed int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		return 0, errCursor
	}
	removed, err = logCut.Run(ctx, c.cfg.Redis, []string{c.keys.log, c.keys.cut, c.keys.collected}, cursorField, c.saved, cut.String(), cut.ID(), trimChunk).Int64()
	if err == nil && removed < 0 {
		c.begun = false
		return 0, errCursor
	}
	return removed, err
}
