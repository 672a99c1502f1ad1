package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"
)

// AllRegions is the name that means every peer in Pause and Resume.
const AllRegions = "ALL"

// pausedName marks a pause of a region whose id is not known yet. The engine looks for ids only; learning the id turns
// the mark into it, before the first entry is applied.
const pausedName = "name:"

// members keeps who has which id, in Redis, for all proxies of the region.
type members struct {
	rdb  *redis.Client
	keys keys
}

type memberRecord struct {
	Name string `msgpack:"name"`
}

// A wrong id can be corrected while nothing of that region was applied and it acknowledged nothing; after that, the id
// is part of every stamp.
var memberLearn = newScript(`
local id, name, packed, mark = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local all = redis.call('HGETALL', KEYS[1])
local known = false
for i = 1, #all, 2 do
  if all[i] ~= 'version' then
    local other = cmsgpack.unpack(all[i + 1]).name
    if all[i] == id and other == name then known = true
    elseif all[i] == id or other == name then
      local used = redis.call('HEXISTS', KEYS[4], all[i]) == 1
      for _, origin in ipairs(redis.call('HKEYS', KEYS[3])) do
        if string.match(origin, '^%d+') == all[i] then used = true end
      end
      if used then return {all[i], other} end
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
if not known then
  redis.call('HSET', KEYS[1], id, packed)
  redis.call('HINCRBY', KEYS[1], 'version', 1)
end
if redis.call('SREM', KEYS[2], mark .. name) == 1 then redis.call('SADD', KEYS[2], id) end
return {}`)

// learn notes a region's name and id, or refuses when one of them belongs to another region.
func (m members) learn(ctx context.Context, name string, id int) error {
	if known, err := m.load(ctx); err == nil && known.ids[name] == id && known.names[id] == name {
		return nil // nothing to write, so it also works where Redis takes no writes
	}
	packed, err := msgpack.Marshal(memberRecord{Name: name})
	if err != nil {
		return err
	}
	clash, err := memberLearn.Run(ctx, m.rdb,
		[]string{m.keys.members, m.keys.paused, m.keys.frontier, m.keys.acks}, id, name, packed, pausedName).StringSlice()
	if err != nil {
		return err
	}
	if len(clash) == 2 {
		return refuse(codeIdentity, "region '%s' says it has id %d, but id %s is known as region '%s'", name, id, clash[0], clash[1])
	}
	return nil
}

// membership is who is known.
type membership struct {
	version int64
	names   map[int]string
	ids     map[string]int
}

func (m members) load(ctx context.Context) (membership, error) {
	known := membership{names: map[int]string{}, ids: map[string]int{}}
	hash, err := m.rdb.HGetAll(ctx, m.keys.members).Result()
	if err != nil {
		return known, err
	}
	for field, value := range hash {
		if field == "version" {
			known.version, _ = parseCount(value)
			continue
		}
		id, err := strconv.Atoi(field)
		var record memberRecord
		if err == nil {
			err = msgpack.Unmarshal([]byte(value), &record)
		}
		if err != nil || id < crdtmeta.MinRegion || id > crdtmeta.MaxRegion {
			return known, fmt.Errorf("%s: field %.20q: %w", m.keys.members, field, errors.Join(err, errFormat))
		}
		known.names[id], known.ids[record.Name] = record.Name, id
	}
	return known, nil
}

var errFormat = errors.New("unexpected content")
