package syncer

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"anabranch/crdtmeta"
)

// Every log entry says how many effects its epoch has had. The region's proxies ask the engine for that number, and tell other regions
// with each heartbeat. crdt:heard keeps the highest that was heard: of other regions' epochs, and of our own once they have ended;
// behind these stands how much of them is lost (lost.go).

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

// tally is what this proxy has heard. Numbers of effects have the form of a frontier: origin → number.
type tally struct {
	mu   sync.Mutex
	now  crdtmeta.Origin   // our epoch in force
	own  crdtmeta.Frontier // what the engine has told of our epochs, the newest ones
	kept crdtmeta.Frontier // what has been written to crdt:heard

	begun string // the epoch with which the record began anew (record.go)
}

// begin forgets what was before the record began anew: it was given up, not lost.
func (t *tally) begin(epoch string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun != epoch {
		t.begun, t.own, t.kept = epoch, nil, crdtmeta.Frontier{}
	}
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
	s.tally.begin(info["begun"])
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
