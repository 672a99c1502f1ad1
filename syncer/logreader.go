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
	streams, err := r.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.key, r.after.ID()},
		Count:   count,
		Block:   readBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	bytes := 0
	for _, stream := range streams {
		for _, message := range stream.Messages {
			t, err := crdtmeta.ParseID(message.ID)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", r.key, err)
			}
			r.after = t
			body, _ := message.Values["b"].(string)
			if crdtmeta.EntryKind([]byte(body)) == 0 {
				skipped++
				continue
			}
			entries = append(entries, entry{t: t, body: []byte(body)})
			bytes += len(body)
		}
	}
	if n := int64(len(entries)); n > 0 {
		r.count = min(readMax, max(readMin, readBytesGoal*n/int64(bytes+1)))
	}
	return entries, skipped, nil
}
