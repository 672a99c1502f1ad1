package syncer

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// acks is what each other region has applied, as it last told one of our proxies. It serves CRDT WAIT and the trimming
// of the log, and nothing else: what an acknowledgement says about a region's own effects has not arrived here yet.
type acks struct {
	rdb   *redis.Client
	key   string
	poll  time.Duration
	moved signal

	mu     sync.Mutex // guards all below
	loaded time.Time
	by     map[int]crdtmeta.Frontier
}

// While the region that acknowledges is in the same epoch, an acknowledgement never goes back. After a fail-over there
// it may have lost what it acknowledged, so the first one of a new epoch replaces all that was said before. What is said in an
// epoch of that region that is known to be over comes late, or from an old primary, and is not believed. An epoch in force stands at 0.
var ackStore = newScript(`
local new = cmsgpack.unpack(ARGV[2])
local text = redis.call('HGET', KEYS[1], ARGV[1])
local old = text and cmsgpack.unpack(text)
local known = old and old[ARGV[3]]
if known and known > 0 then return text end
if known then
  for origin, t in pairs(old) do
    if (new[origin] or 0) < t then new[origin] = t end
  end
end
local packed = cmsgpack.pack(new)
redis.call('HSET', KEYS[1], ARGV[1], packed)
return packed`)

// store keeps what a region says, unless it is not believed. self is that region's own origin in force; f holds it too.
func (a *acks) store(ctx context.Context, region int, self crdtmeta.Origin, f crdtmeta.Frontier) (believed bool, err error) {
	packed, err := ackStore.Run(ctx, a.rdb, []string{a.key}, region, f.AppendMsgpack(nil), self.String()).Text()
	if err != nil {
		return false, err
	}
	merged, err := crdtmeta.DecodeFrontier([]byte(packed))
	if err != nil {
		return false, fmt.Errorf("%s: %w", a.key, err)
	}
	a.mu.Lock()
	if a.by == nil {
		a.by = map[int]crdtmeta.Frontier{}
	}
	a.by[region] = merged
	a.mu.Unlock()
	a.moved.notify()
	return merged[self] == 0, nil
}

// load reads all acknowledgements. Many may ask at once: Redis is asked at most once per poll interval.
func (a *acks) load(ctx context.Context) (map[int]crdtmeta.Frontier, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.loaded) >= a.poll {
		if err := a.refresh(ctx); err != nil {
			return nil, err
		}
	}
	copied := make(map[int]crdtmeta.Frontier, len(a.by))
	for region, f := range a.by {
		copied[region] = f // frontiers in by are replaced, never changed
	}
	return copied, nil
}

// refresh is called with mu held: whoever else asks wants the same answer.
func (a *acks) refresh(ctx context.Context) error {
	hash, err := a.rdb.HGetAll(ctx, a.key).Result()
	if err != nil {
		return err
	}
	by := make(map[int]crdtmeta.Frontier, len(hash))
	for field, packed := range hash {
		region, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("%s: field %.20q", a.key, field)
		}
		if by[region], err = crdtmeta.DecodeFrontier([]byte(packed)); err != nil {
			return fmt.Errorf("%s: field %d: %w", a.key, region, err)
		}
	}
	a.by, a.loaded = by, time.Now()
	return nil
}
