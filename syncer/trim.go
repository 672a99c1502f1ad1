package syncer

import (
	"context"
	"fmt"

	"anabranch/crdtmeta"
)

// trimChunk bounds the entries that one call removes.
const trimChunk = 10_000

// trim removes what every configured peer has applied. A peer that was never met, or is behind the backlog already,
// keeps everything in place: the log is the only copy of what it lacks.
func (l *leader) trim(ctx context.Context) error {
	info, err := l.region.history(ctx)
	if err != nil || info.origin.IsZero() {
		return err
	}
	bytes, err := l.cfg.Redis.MemoryUsage(ctx, l.keys.log).Result()
	if err != nil {
		return fmt.Errorf("measuring the log: %w", err)
	}
	l.logBytes.Store(bytes)
	known, err := l.membership(ctx)
	if err != nil {
		return err
	}
	all, err := l.acks.load(ctx)
	if err != nil {
		return err
	}
	var applied []crdtmeta.Frontier
	for name := range l.cfg.Peers {
		ack, said := all[known.ids[name]]
		if !said {
			return nil
		}
		applied = append(applied, ack.Of(l.cfg.Region.ID, l.cfg.Shard))
	}
	cut, ok := trimCut(applied, info.history)
	if !ok || cut <= info.first {
		return nil
	}
	reached, begun := l.collector.reached()
	if !begun {
		return nil
	}
	since := min(crdtmeta.TimeAt(l.redisClock.now().Add(-l.cfg.KeepTime).UnixMilli()), reached)
	cut = min(cut, keepFrom(info.history, bytes, since, int64(l.cfg.KeepBytes)))
	if cut <= info.first {
		return nil
	}
	if cut > reached {
		if err := l.collector.makeWay(ctx, cut); err != nil {
			return err
		}
	}
	return l.cutLog(ctx, cut)
}

// keepFrom is the oldest entry to keep for peers that may lose what they acknowledged: as far back as since, but not
// more than about limit bytes, taking the entries as evenly spread over time.
func keepFrom(h history, bytes int64, since crdtmeta.Time, limit int64) crdtmeta.Time {
	if bytes <= limit {
		return since
	}
	excess := float64(bytes-limit) / float64(bytes)
	return max(since, h.first+crdtmeta.Time(excess*float64(h.last-h.first)))
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

// cutLog removes entries below cut, whole nodes of the stream only, which is cheap.
func (l *leader) cutLog(ctx context.Context, cut crdtmeta.Time) error {
	for ctx.Err() == nil {
		n, err := l.cfg.Redis.Do(ctx, "XTRIM", l.keys.log, "MINID", "~", cut.ID(), "LIMIT", trimChunk).Int64()
		if err != nil {
			return fmt.Errorf("trimming the log: %w", err)
		}
		l.counters.entriesTrimmed.Add(n)
		if n == 0 {
			return nil
		}
	}
	return nil
}
