package syncer

import (
	"context"
	"time"

	"anabranch/crdtmeta"
)

const (
	evictedKeys = 200 // looked at in one engine call
	evictedDuty = 9   // for each ms of a call, so many ms of rest: a sweep takes a tenth of Redis's time at most
)

// evictions finds keys that Redis has evicted. It tells nobody but whoever listens at that moment, and counts them: when the
// count has changed, all keys with a TTL are looked at, as volatile policies take no others. They are in crdt:ttl.
type evictions struct {
	seen  string // run id and count at the last sweep, "" before the first
	swept bool
}

// look sweeps if there is a reason to. At the beginning there is one wherever keys can be evicted: some may have been while
// nobody led.
func (e *evictions) look(ctx context.Context, l *leader) error {
	v := l.vitals(ctx)
	now := v.runID + " " + v.evicted
	if v.evicted == "" || now == e.seen || !e.swept && v.evicted == "0" && !crdtmeta.Evicts(v.policy) {
		return nil
	}
	if err := l.sweepEvicted(ctx); err != nil {
		if classify(err) == failureUnarmed {
			return l.armed.run(ctx)
		}
		return err
	}
	e.seen, e.swept = now, true
	return nil
}

// sweepEvicted hands all names in crdt:ttl to the engine.
func (l *leader) sweepEvicted(ctx context.Context) error {
	for cursor := uint64(0); ; {
		pairs, next, err := l.cfg.Redis.ZScan(ctx, l.keys.ttl, cursor, "", evictedKeys).Result()
		if err != nil {
			return err
		}
		for len(pairs) > 0 {
			part := pairs[:min(len(pairs), 2*evictedKeys)]
			pairs = pairs[len(part):]
			began := time.Now()
			n, err := l.engine.evicted(ctx, part)
			if err != nil {
				return err
			}
			l.counters.keysEvicted.Add(int64(n))
			sleep(ctx, evictedDuty*time.Since(began))
		}
		if cursor = next; cursor == 0 || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// evicted turns keys whose data Redis has evicted into DEL effects and answers how many there were. pairs are members of crdt:ttl
// with their scores.
func (e engine) evicted(ctx context.Context, pairs []string) (int, error) {
	args := []any{"FCALL", crdtmeta.FuncEvicted, 0}
	for i := 0; i < len(pairs); i += 2 {
		args = append(args, pairs[i])
	}
	return e.rdb.Do(ctx, args...).Int()
}
