package migration

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/translate"
)

// RehearsalConfig says who we are, and what counts as concurrent.
type RehearsalConfig struct {
	Region string
	Window time.Duration // writes of two regions that are closer together than this are concurrent
	Redis  *redis.Client
	Prefix string
	Keys   bool // names of keys may be shown
}

// Rehearsal finds the writes of two regions that would have met. Each proxy publishes the footprints of its own writes in the Redis that
// all share, and hears all of them, its own too; so each knows the whole of it.
type Rehearsal struct {
	cfg RehearsalConfig

	mu       sync.Mutex // guards what follows
	waiting  []Footprint
	names    map[uint64]string // of keys that were written through this proxy, if they may be shown
	recent   map[uint64][]trace
	order    []arrival // of recent, oldest first
	found    Conflicts
	perKey   map[uint64]*KeyConflicts
	regions  map[string]bool
	conflict map[Outcome]int64
}

type trace struct {
	Footprint
	region string
}

type arrival struct {
	key uint64
	at  int64
}

// Bounds, and what happens there: what is left out is counted as unseen.
const (
	flushEvery = 100 * time.Millisecond
	maxWaiting = 4000    // footprints in one flush, 16 bytes each
	maxRecent  = 200_000 // footprints of the window
	maxPerKey  = 8       // of one key
	maxKeys    = 2000    // that are counted apart
	maxNames   = 20_000
)

// Conflicts is what was found.
type Conflicts struct {
	WindowMillis int64            `json:"window_ms"`
	Regions      []string         `json:"regions"`            // that have written
	Writes       int64            `json:"writes"`             // of all of them
	Unseen       int64            `json:"unseen"`             // writes that could not be compared: too many at once
	Met          int64            `json:"met"`                // writes that met a concurrent one of another region
	Outcomes     map[string]int64 `json:"outcomes"`           // what active mode would have made of these
	Lossy        int64            `json:"lossy"`              // of these, after which one region's write is without effect, or twice
	Keys         []KeyConflicts   `json:"keys,omitempty"`     // the most frequent, if they may be shown
	KeyCount     int64            `json:"keys_with_conflict"` // at most 2,000 are counted
}

// KeyConflicts is those of one key.
type KeyConflicts struct {
	Key     string `json:"key"`
	Met     int64  `json:"met"`
	Outcome string `json:"outcome"` // the gravest
}

// NewRehearsal connects to nothing.
func NewRehearsal(cfg RehearsalConfig) *Rehearsal {
	return &Rehearsal{cfg: cfg, names: map[uint64]string{}, recent: map[uint64][]trace{}, perKey: map[uint64]*KeyConflicts{}, regions: map[string]bool{}, conflict: map[Outcome]int64{}}
}

func (r *Rehearsal) channel() string { return r.cfg.Prefix + "shadow" }

// Saw takes a command of this proxy's clients.
func (r *Rehearsal) Saw(plan *translate.Plan, args [][]byte, db int) {
	if plan.Command == nil || plan.Class == translate.Read || plan.Class == translate.Refused {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := footprints(plan, args, db, time.Now().UnixMilli(), func(hash uint64, key []byte) {
		if r.cfg.Keys && len(r.names) < maxNames && len(key) <= 200 {
			r.names[hash] = string(key)
		}
	})
	room := max(0, maxWaiting-len(r.waiting))
	r.waiting = append(r.waiting, list[:min(len(list), room)]...)
	r.found.Unseen += int64(max(0, len(list)-room))
}

// Run publishes and hears until ctx ends.
func (r *Rehearsal) Run(ctx context.Context) {
	var hearing sync.WaitGroup
	hearing.Go(func() { r.hear(ctx) }) // ends with ctx
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ticker.C:
			r.flush(ctx)
		case <-ctx.Done():
		}
	}
	hearing.Wait()
}

func (r *Rehearsal) flush(ctx context.Context) {
	r.mu.Lock()
	list := r.waiting
	r.waiting = nil
	if r.cfg.Keys && len(r.names) >= maxNames {
		r.names = map[uint64]string{}
	}
	r.mu.Unlock()
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if r.cfg.Redis.SPublish(ctx, r.channel(), encode(r.cfg.Region, list)).Err() != nil {
		r.mu.Lock()
		r.found.Unseen += int64(len(list))
		r.mu.Unlock()
	}
}

func (r *Rehearsal) hear(ctx context.Context) {
	sub := r.cfg.Redis.SSubscribe(ctx, r.channel())
	defer sub.Close()
	messages := sub.Channel(redis.WithChannelSize(1000))
	for {
		select {
		case message, ok := <-messages:
			if !ok {
				return
			}
			region, list := decode([]byte(message.Payload))
			r.take(region, list)
		case <-ctx.Done():
			return
		}
	}
}

// take compares writes of one region with those of the others that were heard.
func (r *Rehearsal) take(region string, list []Footprint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if region == "" {
		return
	}
	r.regions[region] = true
	for _, f := range list {
		r.found.Writes++
		r.forget(f.At)
		r.compare(region, f)
		if len(r.order) >= maxRecent {
			r.found.Unseen++
			continue
		}
		traces := r.recent[f.Key]
		if len(traces) == maxPerKey {
			traces = slices.Delete(traces, 0, 1)
		}
		r.recent[f.Key] = append(traces, trace{f, region})
		r.order = append(r.order, arrival{f.Key, f.At})
	}
}

// compare counts a write once, by the gravest outcome.
func (r *Rehearsal) compare(region string, f Footprint) {
	worst, met := Merged, false
	for _, other := range r.recent[f.Key] {
		apart := f.At - other.At
		if other.region == region || max(apart, -apart) > r.cfg.Window.Milliseconds() {
			continue
		}
		met = true
		if outcome := Judge(f, other.Footprint); gravity[outcome] > gravity[worst] {
			worst = outcome
		}
	}
	if !met {
		return
	}
	r.found.Met++
	r.conflict[worst]++
	if lossy[worst] {
		r.found.Lossy++
	}
	if worst == Merged {
		return
	}
	k := r.perKey[f.Key]
	if k == nil {
		if len(r.perKey) >= maxKeys {
			return
		}
		k = &KeyConflicts{Key: r.names[f.Key], Outcome: string(worst)}
		r.perKey[f.Key] = k
	}
	k.Met++
	if k.Key == "" {
		k.Key = r.names[f.Key]
	}
	if gravity[worst] > gravity[Outcome(k.Outcome)] {
		k.Outcome = string(worst)
	}
}

// forget drops what is older than two windows, as clocks and networks are not exact.
func (r *Rehearsal) forget(now int64) {
	limit, n := now-2*max(r.cfg.Window.Milliseconds(), 1000), 0
	for ; n < len(r.order) && r.order[n].at < limit; n++ {
		key := r.order[n].key
		left := slices.DeleteFunc(r.recent[key], func(t trace) bool { return t.At < limit })
		if len(left) == 0 {
			delete(r.recent, key)
		} else {
			r.recent[key] = left
		}
	}
	if n > 0 {
		r.order = slices.Delete(r.order, 0, n)
	}
}

// Conflicts is what was found so far.
func (r *Rehearsal) Conflicts() Conflicts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.found
	c.WindowMillis, c.Regions, c.Outcomes, c.KeyCount = r.cfg.Window.Milliseconds(), []string{}, map[string]int64{}, int64(len(r.perKey))
	for name := range r.regions {
		c.Regions = append(c.Regions, name)
	}
	slices.Sort(c.Regions)
	for outcome, n := range r.conflict {
		c.Outcomes[string(outcome)] = n
	}
	if r.cfg.Keys {
		for _, k := range r.perKey {
			if k.Key != "" {
				c.Keys = append(c.Keys, *k)
			}
		}
		slices.SortFunc(c.Keys, func(a, b KeyConflicts) int {
			return cmp.Or(cmp.Compare(gravity[Outcome(b.Outcome)], gravity[Outcome(a.Outcome)]), cmp.Compare(b.Met, a.Met), strings.Compare(a.Key, b.Key))
		})
		c.Keys = c.Keys[:min(len(c.Keys), 20)]
	}
	return c
}

// A message is the region's name, a zero byte, and 22 bytes for each footprint.
const footprintBytes = 22

func encode(region string, list []Footprint) []byte {
	out := append([]byte(region), 0)
	for _, f := range list {
		out = binary.BigEndian.AppendUint64(out, f.Key)
		out = binary.BigEndian.AppendUint32(out, f.Element)
		out = append(out, byte(f.Kind), f.Type)
		out = binary.BigEndian.AppendUint64(out, uint64(f.At))
	}
	return out
}

func decode(message []byte) (region string, list []Footprint) {
	region, rest, found := strings.Cut(string(message), "\x00")
	if !found || len(region) > 64 || len(rest)%footprintBytes != 0 {
		return "", nil
	}
	for b := []byte(rest); len(b) > 0; b = b[footprintBytes:] {
		list = append(list, Footprint{
			Key: binary.BigEndian.Uint64(b), Element: binary.BigEndian.Uint32(b[8:]), Kind: Kind(b[12]), Type: b[13], At: int64(binary.BigEndian.Uint64(b[14:])),
		})
	}
	return region, list
}
