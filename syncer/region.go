package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack/v5"
)

// region reads what the region's Redis says about itself. It holds no state.
type region struct {
	rdb  *redis.Client
	keys keys
	me   Region
}

var (
	errOwnData  = errors.New("the data in Redis belongs to another region")
	errOwnEpoch = errors.New("our own region began another epoch")
	errItsEpoch = errors.New("that region has begun a later epoch: this server is not its primary any more")
)

// selfRecord is the part of crdt:self that matters here.
type selfRecord struct {
	Region int    `msgpack:"region"`
	Name   string `msgpack:"name"`
	Origin string `msgpack:"origin"`
}

// base is the region whose data from before Anabranch this one has: that data has no stamps, so there must be one region that is right
// about it. Regions that began with data of their own join the one with the lowest id. The zero value is a region that has none.
type base int

// before says that b's data is to be taken over by who has other's.
func (b base) before(other base) bool { return b != 0 && (other == 0 || b < other) }

// baseField is where it stands in crdt:collected.
const baseField = "base"

// origin returns the origin in force, or zero when the engine was never armed.
func (r region) origin(ctx context.Context) (crdtmeta.Origin, error) {
	body, err := r.rdb.Get(ctx, r.keys.self).Bytes()
	if errors.Is(err, redis.Nil) {
		return crdtmeta.Origin{}, nil
	}
	if err != nil {
		return crdtmeta.Origin{}, err
	}
	return r.parseSelf(body)
}

// stillIn fails when our own region began a new epoch: its Redis may have lost what we acknowledged. That Redis does not answer is
// the business of others.
func (r region) stillIn(ctx context.Context, self crdtmeta.Origin) error {
	if now, err := r.origin(ctx); err == nil && now != self {
		return errOwnEpoch
	}
	return nil
}

func (r region) parseSelf(body []byte) (origin crdtmeta.Origin, err error) {
	var self selfRecord
	if err := msgpack.Unmarshal(body, &self); err != nil {
		return origin, fmt.Errorf("%s: %w", r.keys.self, err)
	}
	if self.Region != r.me.ID {
		return origin, fmt.Errorf("%w: id %d, we are %d", errOwnData, self.Region, r.me.ID)
	}
	return crdtmeta.ParseOrigin(self.Origin)
}

// collected returns what may have been collected here, by origin.
func (r region) collected(ctx context.Context) (crdtmeta.Frontier, error) {
	hash, err := r.rdb.HGetAll(ctx, r.keys.collected).Result()
	if err != nil {
		return nil, err
	}
	for field := range hash {
		if field == cursorField || field == baseField || strings.HasPrefix(field, announcedField) {
			delete(hash, field)
		}
	}
	f, err := crdtmeta.ParseFrontier(hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.keys.collected, err)
	}
	return f, nil
}

func (r region) base(ctx context.Context) (base, error) {
	text, err := r.rdb.HGet(ctx, r.keys.collected, baseField).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	id, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %s: %w", r.keys.collected, baseField, err)
	}
	return base(id), nil
}

// frontier returns what of other regions is applied here.
func (r region) frontier(ctx context.Context) (crdtmeta.Frontier, error) {
	return r.vector(ctx, r.keys.frontier)
}

// newest returns the newest entry with effects of each other origin that is applied here, and how many effects the origin's epoch had
// had with that one.
func (r region) newest(ctx context.Context) (newest, counts crdtmeta.Frontier, err error) {
	hash, err := r.rdb.HGetAll(ctx, r.keys.newest).Result()
	if err != nil {
		return nil, nil, err
	}
	numbers := make(map[string]string, len(hash))
	for origin, value := range hash {
		hash[origin], numbers[origin], _ = strings.Cut(value, " ")
	}
	newest, err = r.parse(r.keys.newest, hash)
	if err == nil {
		counts, err = r.parse(r.keys.newest, numbers)
	}
	return newest, counts, err
}

func (r region) vector(ctx context.Context, key string) (crdtmeta.Frontier, error) {
	hash, err := r.rdb.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, err
	}
	return r.parse(key, hash)
}

func (r region) parse(key string, hash map[string]string) (crdtmeta.Frontier, error) {
	f, err := crdtmeta.ParseFrontier(hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return f, nil
}

// contexts returns the newest frontier record of each origin that was applied here.
func (r region) contexts(ctx context.Context) (map[crdtmeta.Origin]crdtmeta.Frontier, error) {
	hash, err := r.rdb.HGetAll(ctx, r.keys.context).Result()
	if err != nil {
		return nil, err
	}
	contexts := make(map[crdtmeta.Origin]crdtmeta.Frontier, len(hash))
	for name, packed := range hash {
		origin, err := crdtmeta.ParseOrigin(name)
		if err == nil {
			contexts[origin], err = crdtmeta.DecodeFrontier([]byte(packed))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.keys.context, err)
		}
	}
	return contexts, nil
}

// logInfo is the shape of the log at one moment.
type logInfo struct {
	history
	length int64 // entries kept
	added  int64 // entries that ever were
}

// history reads self, epochs and the log's ends in one step, so that they belong together.
func (r region) history(ctx context.Context) (logInfo, error) {
	var info logInfo
	parts, err := readRegion.Run(ctx, r.rdb, []string{r.keys.self, r.keys.epochs, r.keys.log}).Slice()
	if errors.Is(err, redis.Nil) {
		return info, nil // never armed
	}
	if err != nil {
		return info, err
	}
	if len(parts) != 3 {
		return info, fmt.Errorf("%w: %d parts of a region", errFormat, len(parts))
	}
	body, _ := parts[0].(string)
	if info.origin, err = r.parseSelf([]byte(body)); err != nil {
		return info, err
	}
	epochs, _ := parts[1].([]any)
	if info.epochs, err = parseEpochs(epochs); err != nil {
		return info, err
	}
	stream, _ := parts[2].([]any)
	if len(stream) == 0 {
		return info, nil
	}
	return info, info.parseStream(stream)
}

// Of the oldest entry only the beginning is sent: that is enough to recognise the very first one. The newest entry is
// left out, because it may be large and this is asked often.
var readRegion = newReader(`
local self = redis.call('GET', KEYS[1])
if not self then return nil end
local stream = redis.pcall('XINFO', 'STREAM', KEYS[3])
if stream.err then return {self, redis.call('HGETALL', KEYS[2]), {}} end
local kept = {}
for i = 1, #stream, 2 do
  local name, value = stream[i], stream[i + 1]
  if name == 'first-entry' and value then
    for j = 1, #value[2] do value[2][j] = string.sub(value[2][j], 1, 256) end
  end
  if name ~= 'last-entry' then
    kept[#kept + 1] = name
    kept[#kept + 1] = value
  end
end
return {self, redis.call('HGETALL', KEYS[2]), kept}`)

func parseEpochs(pairs []any) (map[string]crdtmeta.Time, error) {
	epochs := make(map[string]crdtmeta.Time, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		t, err := crdtmeta.ParseTime(fmt.Sprint(pairs[i+1]))
		if err != nil {
			return nil, fmt.Errorf("epochs: %w", err)
		}
		epochs[fmt.Sprint(pairs[i])] = t
	}
	return epochs, nil
}

// parseStream reads the reply of XINFO STREAM.
func (info *logInfo) parseStream(reply []any) error {
	fields := map[string]any{}
	for i := 0; i+1 < len(reply); i += 2 {
		fields[fmt.Sprint(reply[i])] = reply[i+1]
	}
	info.length, _ = fields["length"].(int64)
	info.added, _ = fields["entries-added"].(int64)
	last, err := crdtmeta.ParseID(fmt.Sprint(fields["last-generated-id"]))
	if err != nil {
		return fmt.Errorf("XINFO STREAM: last-generated-id: %w", err)
	}
	info.last = last
	first, _ := fields["first-entry"].([]any)
	if len(first) != 2 {
		return nil
	}
	if info.first, err = crdtmeta.ParseID(fmt.Sprint(first[0])); err != nil {
		return fmt.Errorf("XINFO STREAM: first-entry: %w", err)
	}
	info.whole = isBirth(first[1])
	return nil
}

// isBirth says whether the fields of a log entry are the first that a region ever wrote: an epoch without a previous
// one. While that entry is there, nothing was ever trimmed. Redis's own counters cannot tell: they begin anew with the
// key.
func isBirth(fields any) bool {
	pairs, _ := fields.([]any)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, _ := pairs[i].(string); name != "b" {
			continue
		}
		body, _ := pairs[i+1].(string)
		h, err := crdtmeta.DecodeHeader([]byte(body))
		return err == nil && h.Kind == crdtmeta.KindEpoch && h.Previous.IsZero()
	}
	return false
}
