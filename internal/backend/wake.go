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
func (b *Backend) Wakes(ctx context.Context, keys func([]Key), all func()) {
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
			if changed, ok := parseWake(m.Payload); ok {
				keys(changed)
			} else {
				all()
			}
		}
	}
}

// Key is a key of a database.
type Key struct {
	DB   int
	Name string
}

// parseWake reads the keys that one step of Redis has changed, in order: "<length>:<db>:<key>" each. Nothing means all.
func parseWake(payload string) (keys []Key, ok bool) {
	for payload != "" {
		size, rest, _ := strings.Cut(payload, ":")
		n, err := strconv.Atoi(size)
		if err != nil || n < 0 || n > len(rest) {
			return nil, false
		}
		number, name, _ := strings.Cut(rest[:n], ":")
		db, err := strconv.Atoi(number)
		if err != nil {
			return nil, false
		}
		keys = append(keys, Key{db, name})
		payload = rest[n:]
	}
	return keys, len(keys) > 0
}
