package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

const (
	readBlock     = time.Second // a reader whose peer went away ends at the latest after it
	readBytesGoal = 1 << 20     // a read ends when it has so much
	readMin       = 16
	readMax       = 512
	readStep      = 4 // entries may be as large as values, so a read goes by few at a time
)

// logReader follows the region's log. The client must be one whose connections may block.
type logReader struct {
	rdb   *redis.Client
	key   string
	after crdtmeta.Time
	count int64 // entries waited for at once; follows their size
	more  bool  // there were more
}

// readLog reads entries between two ids until it has many, or large ones. A plain XRANGE knows no limit in bytes: a peer that comes
// back after a while would have this process hold 512 values of any size.
var readLog = newReader(`
local after, until_, most, goal, step = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local list, n, bytes = {}, 0, 0
while n < most and bytes < goal do
  local want = most - n < step and most - n or step
  local part = redis.call('XRANGE', KEYS[1], '(' .. after, until_, 'COUNT', want)
  for i = 1, #part do
    n = n + 1
    list[n], after = part[i], part[i][1]
    for j = 1, #part[i][2] do bytes = bytes + #part[i][2][j] end
  end
  if #part < want then break end
end
return list`)

// next returns the entries after the last ones, and blocks for a moment when there are none. Entries without a body of
// ours are left out; skipped counts them.
func (r *logReader) next(ctx context.Context) (entries []entry, skipped int, err error) {
	messages, err := r.read(ctx)
	if err != nil {
		return nil, 0, err
	}
	bytes := 0
	for _, message := range messages {
		e, ours, err := r.entry(message)
		if err != nil {
			return nil, 0, err
		}
		r.after = e.t
		if !ours {
			skipped++
			continue
		}
		entries = append(entries, e)
		bytes += len(e.body)
	}
	if n := int64(len(entries)); n > 0 {
		r.count = min(readMin, max(1, readBytesGoal*n/int64(bytes+1)))
	}
	return entries, skipped, nil
}

// readBetween reads entries of the log after one id and up to another, at most so many. It may answer fewer, but then with at least
// readBytesGoal bytes, unless there are no more. Lua copies, so single large entries go without.
func readBetween(ctx context.Context, rdb *redis.Client, key, after, until string, most int64) ([]any, error) {
	if most <= 1 {
		return rdb.Do(ctx, "XRANGE", key, "("+after, until, "COUNT", 1).Slice()
	}
	return readLog.Run(ctx, rdb, []string{key}, after, until, most, readBytesGoal, readStep).Slice()
}

// read goes on with what there is, or waits for more.
func (r *logReader) read(ctx context.Context) ([]any, error) {
	if r.more {
		most := int64(readMax)
		if r.count == 1 {
			most = 1
		}
		messages, err := readBetween(ctx, r.rdb, r.key, r.after.ID(), "+", most)
		r.more = len(messages) > 0
		if err != nil || r.more {
			return messages, err
		}
	}
	count := r.count
	if count == 0 {
		count = 1
	}
	// Not XRead: it makes a map of an entry's fields, whose order matters here.
	reply, err := r.rdb.Do(ctx, "XREAD", "COUNT", count, "BLOCK", readBlock.Milliseconds(), "STREAMS", r.key, r.after.ID()).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	messages, err := r.messages(reply)
	r.more = int64(len(messages)) == count
	return messages, err
}

// messages finds the one stream in the reply of XREAD, in either protocol version.
func (r *logReader) messages(reply any) ([]any, error) {
	switch streams := reply.(type) {
	case map[any]any:
		if list, ok := streams[r.key].([]any); ok {
			return list, nil
		}
	case []any:
		if len(streams) == 1 {
			if stream, ok := streams[0].([]any); ok && len(stream) == 2 {
				if list, ok := stream[1].([]any); ok {
					return list, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("%w: XREAD %s", errReply, r.key)
}

// entry reads [id, [field, value …]]: the body, and behind it its runs (docs/engine.md, 4).
func (r *logReader) entry(message any) (e entry, ours bool, err error) {
	pair, _ := message.([]any)
	if len(pair) != 2 {
		return e, false, fmt.Errorf("%w: XREAD %s", errReply, r.key)
	}
	id, _ := pair[0].(string)
	if e.t, err = crdtmeta.ParseID(id); err != nil {
		return e, false, fmt.Errorf("%s: %w", r.key, err)
	}
	fields, _ := pair[1].([]any)
	if len(fields) < 2 || fields[0] != "b" {
		return e, false, nil
	}
	body, _ := fields[1].(string)
	e.body = []byte(body)
	kind := crdtmeta.EntryKind(e.body)
	if kind == crdtmeta.KindEffects {
		for i := 3; i < len(fields); i += 2 {
			run, _ := fields[i].(string)
			e.body = appendRun(e.body, run)
		}
		e.runs = len(e.body) - len(body)
	}
	return e, kind != 0, nil
}
