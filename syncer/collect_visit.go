package syncer

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// visit has the engine look at keys, some at a time, and rests in between.
func (c *collector) visit(ctx context.Context, known look, keys map[string]int) error {
	var batch []keyAt
	for name, mentions := range keys {
		if large := c.large[name]; large != nil {
			large.mentions += mentions
			large.last = time.Now()
		}
		if batch = append(batch, keyAt{name, unlessLarge}); len(batch) == collectVisit {
			if err := c.visitBatch(ctx, known, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return c.visitBatch(ctx, known, batch)
}

// keyAt is a key, by its name in crdt:gc, and the cell of its companion to go on from.
type keyAt struct{ name, cursor string }

func (c *collector) visitBatch(ctx context.Context, known look, batch []keyAt) error {
	for len(batch) > 0 {
		began := time.Now()
		cursors, err := c.engine.collect(ctx, c.own, known, batch)
		if err != nil {
			return err
		}
		took := time.Since(began)
		var more []keyAt
		for i, cursor := range cursors {
			name := batch[i].name
			if size, large := strings.CutPrefix(cursor, "+"); large {
				n, _ := strconv.Atoi(size)
				again, err := c.meetLarge(ctx, known, name, n)
				if err != nil {
					return err
				}
				if !again {
					continue
				}
				cursor = insist
			} else if cursor == "0" {
				delete(c.large, name) // it may have become small, or gone, before it came to rest
				continue
			}
			more = append(more, keyAt{name, cursor})
		}
		batch = more
		sleep(ctx, collectDuty*took)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// meetLarge says whether a large key is worth a visit now: much of it may go, or it has come to rest. If not, it is noted.
func (c *collector) meetLarge(ctx context.Context, known look, name string, size int) (worth bool, err error) {
	key := c.large[name]
	if key == nil {
		key = &largeKey{last: time.Now(), mentions: 1}
		c.large[name] = key
	}
	if key.mentions*largeShare >= size || time.Since(key.last) >= max(c.cfg.Grace, c.cfg.CollectInterval) {
		delete(c.large, name)
		return true, nil
	}
	return false, c.noteKeys(ctx, map[string]int{name: 1}, known.until)
}

// noteKeys puts names into crdt:gc, to be visited when everything up to t is settled.
func (c *collector) noteKeys(ctx context.Context, keys map[string]int, t crdtmeta.Time) error {
	if len(keys) == 0 {
		return nil
	}
	names := make([]any, 0, len(keys)+1)
	names = append(names, t.String())
	for name := range keys {
		names = append(names, name)
	}
	return noteNames.Run(ctx, c.cfg.Redis, []string{c.keys.gc}, names...).Err()
}

var noteNames = newScript(`
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[i]) end
return 0`)

// visitNoted visits the keys of crdt:gc whose time has come. Large ones that must rest first stay there.
func (c *collector) visitNoted(ctx context.Context, known look) error {
	for offset := 0; ctx.Err() == nil; {
		names, err := c.cfg.Redis.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: c.keys.gc, ByScore: true, Start: "-inf", Stop: known.until.String(), Offset: int64(offset), Count: collectRead,
		}).Result()
		if err != nil {
			return err
		}
		done := []any{known.until.String()}
		for batch := range slices.Chunk(names, collectVisit) {
			keys := make([]keyAt, len(batch))
			for i, name := range batch {
				keys[i] = keyAt{name, unlessLarge}
			}
			if err := c.visitBatch(ctx, known, keys); err != nil {
				return err
			}
		}
		for _, name := range names {
			if c.large[name] == nil {
				done = append(done, name)
			} else {
				offset++
			}
		}
		if err := dropNoted.Run(ctx, c.cfg.Redis, []string{c.keys.gc}, done...).Err(); err != nil {
			return err
		}
		if len(names) < collectRead {
			return nil
		}
	}
	return ctx.Err()
}

// dropNoted takes names out that nobody has noted for later meanwhile.
var dropNoted = newScript(`
for i = 2, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 0`)

// sweep notes the keys of all companions that there are.
func (c *collector) sweep(ctx context.Context, t crdtmeta.Time) error {
	counts, err := c.cfg.Redis.HKeys(ctx, c.keys.count).Result()
	if err != nil {
		return err
	}
	for _, text := range counts {
		db, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%s: field %.20q: %w", c.keys.count, text, errFormat)
		}
		if err := c.sweepDatabase(ctx, db, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) sweepDatabase(ctx context.Context, db int, t crdtmeta.Time) error {
	for cursor := uint64(0); ; {
		names, next, err := c.scanPage(ctx, db, cursor, collectRead)
		if err != nil {
			return err
		}
		keys := map[string]int{}
		for _, name := range names {
			if key, ok := crdtmeta.KeyOf(c.cfg.Prefix, name); ok {
				keys[strconv.Itoa(db)+":"+key] = 1
			}
		}
		if err := c.noteKeys(ctx, keys, t); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
