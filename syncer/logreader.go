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
	readBytesGoal = 1 << 20     // the size that one read aims at
	readMin       = 16
	readMax       = 512
)

// logReader follows the region's log. The client must be one whose connections may block.
type logReader struct {
	rdb   *redis.Client
	key   string
	after crdtmeta.Time
	count int64 // entries asked for at once; follows their size
}

// next returns the entries after the last ones, and blocks for a moment when there are none. Entries without a body of
// ours are left out; skipped counts them.
func (r *logReader) next(ctx context.Context) (entries []entry, skipped int, err error) {
	count := max(readMin, r.count)
	// Not XRead: it makes a map of an entry's fields, whose order matters here.
	reply, err := r.rdb.Do(ctx, "XREAD", "COUNT", count, "BLOCK", readBlock.Milliseconds(), "STREAMS", r.key, r.after.ID()).Result()
	if errors.Is(err, redis.Nil) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	messages, err := r.messages(reply)
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
		r.count = min(readMax, max(readMin, readBytesGoal*n/int64(bytes+1)))
	}
	return entries, skipped, nil
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
