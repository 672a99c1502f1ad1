package syncer

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"anabranch/crdtmeta"
)

// Footprint is how much there is: what clients have stored, and what merging adds to it.
type Footprint struct {
	Databases      []DatabaseStatus `json:"databases,omitempty"`
	CompanionBytes int64            `json:"companion_bytes"` // an estimate, from the sizes of a few
}

// DatabaseStatus is one database that holds keys.
type DatabaseStatus struct {
	DB         int   `json:"db"`
	Keys       int64 `json:"keys"` // of clients
	Companions int64 `json:"companions"`
}

// Companions is how many there are in all databases.
func (f Footprint) Companions() (n int64) {
	for _, d := range f.Databases {
		n += d.Companions
	}
	return n
}

// footprint looks for it from time to time.
type footprint struct {
	found atomic.Pointer[Footprint]
}

func (f *footprint) last() Footprint {
	if found := f.found.Load(); found != nil {
		return *found
	}
	return Footprint{}
}

const (
	footprintDraws     = 32 // keys that are drawn in each database
	footprintDatabases = 16 // databases that are looked at, the lowest that hold keys
)

// watch looks again and again until ctx ends.
func (f *footprint) watch(ctx context.Context, l *leader) {
	look := func(ctx context.Context) error { return f.look(ctx, l.Syncer) }
	_ = look(ctx) // the next one comes soon
	l.every(ctx, l.cfg.FootprintInterval, look)
}

// look counts. The engine knows the numbers; sizes are drawn.
func (f *footprint) look(ctx context.Context, s *Syncer) error {
	list, err := s.databases(ctx)
	if err != nil {
		return err
	}
	counts, err := s.cfg.Redis.HGetAll(ctx, s.keys.count).Result()
	if err != nil {
		return err
	}
	var found Footprint
	for _, db := range list[:min(len(list), footprintDatabases)] {
		companions, _ := strconv.ParseInt(counts[strconv.Itoa(db)], 10, 64)
		keys, err := s.clientKeys(ctx, db)
		if err != nil {
			return err
		}
		if keys == 0 && companions == 0 {
			continue // none but ours
		}
		found.Databases = append(found.Databases, DatabaseStatus{DB: db, Keys: keys, Companions: companions})
		if companions == 0 {
			continue
		}
		drawn, err := drawCompanions.Run(ctx, s.cfg.Redis, nil, db, s.cfg.Prefix, footprintDraws).Int64Slice()
		if err != nil {
			return err
		}
		if len(drawn) == 2 && drawn[0] > 0 {
			found.CompanionBytes += companions * drawn[1] / drawn[0]
		}
	}
	f.found.Store(&found)
	return nil
}

// drawCompanions answers how many of the keys that it drew are companions, and what these take in memory. Behind the prefix,
// names of companions go on with a digit, and those of the fixed keys with a letter.
var drawCompanions = newReader(`
redis.call('SELECT', ARGV[1])
local n, bytes, from = 0, 0, #ARGV[2] + 1
for _ = 1, tonumber(ARGV[3]) do
  local key = redis.call('RANDOMKEY')
  if key and string.sub(key, 1, from - 1) == ARGV[2] and string.find(key, '^%d', from) then
    n, bytes = n + 1, bytes + (redis.call('MEMORY', 'USAGE', key) or 0)
  end
end
return {n, bytes}`)

// clientKeys asks the engine, which leaves out what is not the clients'. It looks at the database that the connection has selected, so
// others than 0 get a connection of their own: none that goes back to the pool may be anywhere else.
func (s *Syncer) clientKeys(ctx context.Context, db int) (int64, error) {
	client := s.cfg.Redis
	if db != 0 {
		client = s.ownConnection(db)
		defer client.Close()
	}
	counts, err := client.Do(ctx, "FCALL", crdtmeta.FuncRead, 0, strconv.Itoa(db)+"?", 1, "DBSIZE").Int64Slice()
	if err != nil {
		return 0, err
	}
	if len(counts) != 1 {
		return 0, fmt.Errorf("%w: DBSIZE of database %d", errReply, db)
	}
	return counts[0], nil
}
