package syncer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/crdtmeta"
)

// leader is the work of the one proxy that holds the lease.
type leader struct {
	*Syncer
	view   *view
	news   signal // a link changed its state
	links  []*linkStatus
	raised alarms // those that were logged

	backlog   backlog
	footprint footprint
	collector *collector

	heldIn    crdtmeta.Origin // epoch in which clients are held because the region was away
	heldSince time.Time

	epoch   crdtmeta.Origin // of the region, when losses were last counted
	epochAt time.Time       // when this leader first saw it
	loss    atomic.Pointer[loss]
}

// lead leads until ctx ends, and begins anew whenever there are other regions.
func (s *Syncer) lead(ctx context.Context) {
	for ctx.Err() == nil {
		round, cancel := context.WithCancel(ctx)
		changed := s.roster.changed.next()
		done := make(chan struct{})
		go func() { // ends with round
			defer close(done)
			s.leadThese(round)
		}()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		cancel()
		<-done
	}
}

// leadThese pulls from all peers, independently of each other, and keeps house, until ctx ends.
func (s *Syncer) leadThese(ctx context.Context) {
	l := &leader{Syncer: s, view: newView()}
	l.collector = newCollector(l)
	l.loss.Store(&loss{})
	known, ok := l.prepare(ctx)
	if !ok {
		return
	}
	var tasks sync.WaitGroup // every task ends with ctx
	for _, name := range s.peerNames() {
		status := newLinkStatus(name, &l.news)
		if id := known.ids[name]; id != 0 {
			status.met(id) // by an earlier leader: this one may never reach it
		}
		l.links = append(l.links, status)
	}
	for _, status := range l.links {
		p := &puller{
			Syncer: s, linkStatus: status, view: l.view, collector: l.collector, downFor: l.downFor,
		}
		tasks.Go(func() { p.run(ctx) })
	}
	tasks.Go(func() { l.publishing(ctx) })
	tasks.Go(func() { l.every(ctx, s.cfg.TrimInterval, l.trim) })
	tasks.Go(func() { l.every(ctx, s.cfg.ExpireInterval, l.expire) })
	tasks.Go(func() { l.every(ctx, s.cfg.StatusInterval, l.letAlone) })
	tasks.Go(func() { l.every(ctx, s.cfg.StatusInterval, l.countLost) })
	tasks.Go(func() { l.collector.run(ctx) })
	tasks.Go(func() { l.footprint.watch(ctx, l) })
	claims := &claims{}
	tasks.Go(func() {
		l.every(ctx, l.cfg.RelayAfter/4, func(ctx context.Context) error { return claims.look(ctx, l) })
	})
	evictions := &evictions{}
	tasks.Go(func() {
		l.every(ctx, l.cfg.StatusInterval, func(ctx context.Context) error { return evictions.look(ctx, l) })
	})
	tasks.Wait()
}

// downFor is how long a region has been out of reach.
func (l *leader) downFor(id int) time.Duration {
	now, longest := time.Now(), time.Duration(0)
	for _, link := range l.links {
		longest = max(longest, link.downFor(id, now))
	}
	return longest
}

// prepare waits until the region's Redis answers, notes our own name and id, takes over what the last leader knew, and tells who is
// known. ok is false when ctx ended first.
func (l *leader) prepare(ctx context.Context) (known membership, ok bool) {
	for last := ""; ctx.Err() == nil; sleep(ctx, time.Second) {
		err := l.members.learn(ctx, l.cfg.Region.Name, l.cfg.Region.ID)
		if err == nil {
			err = l.view.load(ctx, l.region.frontier)
		}
		if err == nil {
			known, err = l.membership(ctx)
		}
		if err == nil {
			if last, _, err := l.published(ctx); err == nil {
				l.collector.waits.adopt(last, l.peerNames(), time.Now())
				l.loss.Store(&loss{last.LostEffects, last.MissingEffects, last.MissingAwaits})
			}
			return known, true
		}
		if text := plain(err); text != last {
			last = text
			l.cfg.Log.Warn().Str("cause", text).Msg("leading must wait")
		}
	}
	return known, false
}

// every calls work at an interval. After an error it waits longer and logs a new error once.
func (l *leader) every(ctx context.Context, interval time.Duration, work func(context.Context) error) {
	last := ""
	for pause := interval; ctx.Err() == nil; {
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return
		}
		pause = interval
		err := work(ctx)
		if err == nil {
			last = ""
			continue
		}
		pause = max(interval, time.Second)
		if text := plain(err); text != last && ctx.Err() == nil {
			last = text
			l.cfg.Log.Warn().Str("cause", text).Msg("housekeeping")
		}
	}
}

// expire turns due TTLs into DEL effects, again at once while there are more.
func (l *leader) expire(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := l.engine.expire(ctx, l.cfg.ExpireKeys)
		if err != nil {
			if classify(err) == failureUnarmed {
				return l.armed.run(ctx)
			}
			return err
		}
		l.counters.keysExpired.Add(int64(n))
		if n < l.cfg.ExpireKeys {
			return nil
		}
	}
	return nil
}
