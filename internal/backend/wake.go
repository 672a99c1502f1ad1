package backend

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// WakeChannel is the shard channel on which the engine announces keys that somebody waits for and that have changed, as
// "database:key"; an empty message is about all keys.
func (b *Backend) WakeChannel() string { return b.cfg.Prefix + "wake" }

// wakePause is how long to wait before listening again after an error.
const wakePause = 100 * time.Millisecond

// Wakes hears these messages until ctx ends, on a connection of its own. It calls all whenever messages may have been
// missed: at the beginning, and after each reconnect.
func (b *Backend) Wakes(ctx context.Context, key func(db int, key string), all func()) {
	messages := b.client.SSubscribe(ctx, b.WakeChannel())
	defer context.AfterFunc(ctx, func() { messages.Close() })()
	for ctx.Err() == nil {
		message, err := messages.Receive(ctx)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(wakePause):
			}
			continue
		}
		switch m := message.(type) {
		case *redis.Subscription:
			all()
		case *redis.Message:
			number, name, _ := strings.Cut(m.Payload, ":")
			if db, err := strconv.Atoi(number); err == nil {
				key(db, name)
			} else {
				all()
			}
		}
	}
}
