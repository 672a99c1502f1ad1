package syncer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"anabranch/crdtmeta"
)

// A fail-over of the region's Redis, or a start from an old snapshot, ends an epoch earlier than clients saw it end. What other regions
// had received comes back (relay.go). How much nobody has is told by numbers, as each log entry says how many effects its epoch has had:
//
//	lost = the most that anybody has heard of the epoch − what this region has of it, once no other region has more
//
// The region's proxies hear it from the engine, and other regions from them, with each heartbeat. What the server did after they last
// asked, nobody has heard of: the number is the least that was lost. crdt:heard keeps what was heard, of our own epochs when they have
// ended; behind that stands how much of it is lost.

// heardCount is one field of crdt:heard.
type heardCount struct {
	effects int64 // that the epoch has had
	settled bool  // all have said what they have of it
	lost    int64
}

func parseHeard(text string) (h heardCount, err error) {
	effects, lost, settled := strings.Cut(text, " ")
	h.settled = settled
	if h.effects, err = parseCount(effects); err == nil && settled {
		h.lost, err = parseCount(lost)
	}
	return h, err
}

// heard reads crdt:heard.
func (r region) heard(ctx context.Context) (map[crdtmeta.Origin]heardCount, error) {
	hash, err := r.rdb.HGetAll(ctx, r.keys.heard).Result()
	if err != nil {
		return nil, err
	}
	heard := make(map[crdtmeta.Origin]heardCount, len(hash))
	for name, text := range hash {
		origin, err := crdtmeta.ParseOrigin(name)
		if err == nil {
			heard[origin], err = parseHeard(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: field %.60q: %w", r.keys.heard, name, err)
		}
	}
	return heard, nil
}

// heardRaise keeps higher numbers. What was said of a loss is void then.
var heardRaise = newScript(`
for i = 1, #ARGV, 2 do
  local old = string.match(redis.call('HGET', KEYS[1], ARGV[i]) or '', '^%d+')
  if tonumber(old or -1) < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 0`)

// heardSettle notes how much of an epoch is lost, unless more was heard of it meanwhile; "" forgets the epoch.
var heardSettle = newScript(`
local text = redis.call('HGET', KEYS[1], ARGV[1])
if string.match(text or '', '^%d+') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1`)

// tally is what this proxy has heard. Numbers of effects have the form of a frontier: origin → number.
type tally struct {
	mu   sync.Mutex
	now  crdtmeta.Origin   // our epoch in force
	own  crdtmeta.Frontier // what the engine has told of our epochs, the newest ones
	kept crdtmeta.Frontier // what has been written to crdt:heard
}

const (
	maxOwnCounts  = 16
	maxKeptCounts = 1024
)

// count takes what the engine says, and answers what of our epochs that have ended is to be kept. A server that is new to us may have
// lost what was kept.
func (t *tally) count(origin crdtmeta.Origin, effects crdtmeta.Time) (ended crdtmeta.Frontier) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != origin || len(t.kept) > maxKeptCounts {
		t.now, t.kept = origin, crdtmeta.Frontier{}
	}
	if t.own == nil {
		t.own = crdtmeta.Frontier{}
	}
	t.own.Raise(origin, effects)
	for _, oldest := range t.own.Origins()[:max(0, len(t.own)-maxOwnCounts)] {
		delete(t.own, oldest)
	}
	ended = t.own.Clone()
	delete(ended, origin)
	return ended
}

// counted is the number of our epoch in force.
func (t *tally) counted() crdtmeta.Frontier {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now.IsZero() {
		return crdtmeta.Frontier{}
	}
	return crdtmeta.Frontier{t.now: t.own[t.now]}
}

// news is the part that is not kept yet.
func (t *tally) news(heard crdtmeta.Frontier) crdtmeta.Frontier {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := crdtmeta.Frontier{}
	for origin, effects := range heard {
		if effects > t.kept[origin] {
			news[origin] = effects
		}
	}
	return news
}

func (t *tally) keep(heard crdtmeta.Frontier) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = crdtmeta.Frontier{}
	}
	maps.Copy(t.kept, heard)
}

// keepHeard writes to crdt:heard what is news.
func (s *Syncer) keepHeard(ctx context.Context, heard crdtmeta.Frontier) error {
	news := s.tally.news(heard)
	if len(news) == 0 {
		return nil
	}
	args := make([]any, 0, 2*len(news))
	for origin, effects := range news {
		args = append(args, origin.String(), effects.String())
	}
	err := heardRaise.Run(ctx, s.cfg.Redis, []string{s.keys.heard}, args...).Err()
	if err == nil {
		s.tally.keep(news)
	}
	return err
}

// countOwn asks the engine again and again how many effects the epoch has had: each second, and ten times as often where we lead.
func (s *Syncer) countOwn(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.askCount(ctx) // without an answer, what was heard last stands
		pause := s.cfg.BeatInterval
		if s.Leading() {
			pause /= 10
		}
		sleep(ctx, pause)
	}
}

func (s *Syncer) askCount(ctx context.Context) error {
	info, err := s.engine.info(ctx)
	if err != nil {
		return err
	}
	origin, err := crdtmeta.ParseOrigin(info["origin"])
	if err != nil {
		return err
	}
	effects, err := crdtmeta.ParseTime(info["written"])
	if err != nil {
		return err
	}
	return s.keepHeard(ctx, s.tally.count(origin, effects))
}

// tellHeard is what heartbeats say to another region: of our epoch, and of its own epochs.
func (s *Syncer) tellHeard(ctx context.Context, peer int) (crdtmeta.Frontier, error) {
	heard, err := s.region.heard(ctx)
	if err != nil {
		return nil, err
	}
	told := s.tally.counted()
	for origin, h := range heard {
		if origin.Region == peer {
			told[origin] = crdtmeta.Time(h.effects)
		}
	}
	return told, nil
}

// hearCounts takes what the other region's heartbeats say of its epoch, and of ours that have ended. Should Redis not take it, the next
// heartbeat says it again.
func (l *taken) hearCounts(ctx context.Context, told crdtmeta.Frontier) {
	told = maps.Clone(told)
	maps.DeleteFunc(told, func(origin crdtmeta.Origin, _ crdtmeta.Time) bool {
		return origin == l.self || origin.Region != l.id && origin.Region != l.self.Region
	})
	_ = l.keepHeard(ctx, told)
}

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
	var found loss
	for origin, h := range heard {
		missing := max(0, h.effects-int64(counts[origin]))
		if origin.Region != current.Region {
			if missing == 0 && supersededBy(origin, heard) {
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

// supersededBy says whether a later epoch of the region is known.
func supersededBy(origin crdtmeta.Origin, heard map[crdtmeta.Origin]heardCount) bool {
	for other := range heard {
		if other.Region == origin.Region && other.Shard == origin.Shard && other.Counter() > origin.Counter() {
			return true
		}
	}
	return false
}

// notTold names the regions that may have more of an ended epoch than we: they say so, or do not know yet that it has ended. Ourselves
// it names for a moment, since our other proxies may have heard more.
func (l *leader) notTold(origin crdtmeta.Origin, ours crdtmeta.Time) (names []string) {
	if time.Since(l.epochAt) < 2*l.cfg.BeatInterval {
		names = append(names, l.cfg.Region.Name)
	}
	for _, link := range l.links {
		link.mu.Lock()
		id, theirs := link.status.ID, link.frontier
		link.mu.Unlock()
		if !over(origin, l.epoch, ours, map[int]crdtmeta.Frontier{id: theirs}, nil) {
			names = append(names, link.name)
		}
	}
	return names
}
