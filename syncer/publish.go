package syncer

import (
	"context"
	"time"

	"anabranch/crdtmeta"
)

// newsPause bounds how often a change of state is published at once.
const newsPause = 50 * time.Millisecond

// publishing writes the status each interval and soon after a change.
func (l *leader) publishing(ctx context.Context) {
	for ctx.Err() == nil {
		news := l.news.next()
		if err := l.publish(ctx); err != nil && ctx.Err() == nil {
			l.cfg.Log.Debug().Err(err).Msg("publishing the status")
		}
		_ = l.view.load(ctx, l.region.frontier) // an error leaves what we knew
		sleep(ctx, newsPause)
		timer := time.NewTimer(l.cfg.StatusInterval - min(newsPause, l.cfg.StatusInterval))
		select {
		case <-timer.C:
		case <-news:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// publish replaces the whole hash, so that no region stays in it that is no peer any more.
func (l *leader) publish(ctx context.Context) error {
	info, err := l.region.history(ctx)
	if err != nil {
		return err
	}
	all, err := l.acks.load(ctx)
	if err != nil {
		return err
	}
	pending, err := l.cfg.Redis.ZCard(ctx, l.keys.gc).Result()
	if err != nil {
		return err
	}
	held, err := l.heldWhy(ctx)
	if err != nil {
		return err
	}
	apart, err := l.quarantinedNames(ctx)
	if err != nil {
		return err
	}
	now, regionNow := time.Now(), l.redisClock.now().Round(0)
	refuses := l.refusal(ctx)
	var peers []PeerStatus
	lacking := 0.0 // part of the log that the slowest peer lacks
	for _, link := range l.links {
		peer := link.snapshot(now, regionNow)
		if ack, said := all[peer.ID]; said {
			peer.AckedTime = ackedOf(ack, info)
		}
		peer.AckedEntries = info.added - indexAt(peer.AckedTime, info)
		lacking = max(lacking, min(1, float64(peer.AckedEntries)/float64(max(1, info.length))))
		peers = append(peers, peer)
	}
	l.tellOthers(peers, now)
	vitals := l.vitals(ctx)
	found := l.alarms(vitals, info.last, peers)
	l.raise(found)
	texts, abouts := found.texts()
	heldBack, silent := l.collector.waits.publish(now, regionNow)
	own := RegionStatus{
		Leader: l.cfg.RunID, At: regionNow, Origin: info.origin.String(), Clock: info.last,
		LogEntries: info.length, LogFirst: info.first, LogLimit: int64(l.cfg.BacklogBytes),
		EntriesTrimmed: l.counters.entriesTrimmed.Load(), KeysExpired: l.counters.keysExpired.Load(),
		KeysEvicted: l.counters.keysEvicted.Load(), StampsAhead: l.counters.stampsAhead.Load(),
		Refuses: refuses, Alarms: texts, Abouts: abouts,
		CollectPending: pending, CollectedUntil: crdtmeta.Time(l.collector.settledAt.Load()), HeldBackBy: heldBack, SilentSince: silent, HeldBackBytes: l.collector.weight.bytes.Load(),
		Held: held, Quarantined: apart,
		MemoryUsed: vitals.memoryUsed, MemoryLimit: vitals.memoryLimit, Footprint: l.footprint.last(),
	}
	lost := l.loss.Load()
	own.LostEffects, own.MissingEffects, own.MissingAwaits = lost.lost, lost.missing, lost.awaited
	own.LogBytes, own.BacklogMinutes = l.backlog.left(own.LogLimit, lacking)
	l.latest.Store(&published{own, peers})
	fields := []any{ownField, encodeJSON(own)}
	for _, peer := range peers {
		field := peer.Name
		if peer.ID != 0 {
			field = formatID(peer.ID)
		}
		fields = append(fields, field, encodeJSON(peer))
	}
	if err := statusReplace.Run(ctx, l.cfg.Redis, []string{l.keys.status}, fields...).Err(); err != nil {
		return err
	}
	err = l.engine.alive(ctx)
	if err != nil && classify(err) == failureUnarmed {
		return l.armed.run(ctx)
	}
	return err
}

var statusReplace = newScript(`
redis.call('DEL', KEYS[1])
return redis.call('HSET', KEYS[1], unpack(ARGV))`)

// ackedOf is the place in our log up to which a region has everything.
func ackedOf(ack crdtmeta.Frontier, info logInfo) crdtmeta.Time {
	if t, current := ack[info.origin]; current {
		return t
	}
	known, at := newestKnown(ack, info.history)
	if known.IsZero() {
		return 0
	}
	if began, found := nextEpoch(known.Epoch, info.epochs); found {
		return min(at, began)
	}
	return at
}
