package backend

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
	"anabranch/internal/resp"
)

// monitorTime is how long the engine announces what scripts call, unless it is asked again.
const monitorTime = 15 * time.Second

// Monitored asks the engine to announce what scripts call, for some seconds.
func (b *Backend) Monitored(ctx context.Context) error {
	return b.client.Do(ctx, "FCALL", crdtmeta.FuncMonitor, 0, monitorTime.Milliseconds()).Err()
}

// ScriptCalls hears these announcements until ctx ends, on a connection of its own, and asks for them in time. It calls ready
// when it has begun to listen.
func (b *Backend) ScriptCalls(ctx context.Context, ready func(), show func(db int, args [][]byte)) {
	messages := b.client.SSubscribe(ctx, b.cfg.Prefix+"monitor")
	defer context.AfterFunc(ctx, func() { messages.Close() })()
	for ctx.Err() == nil {
		message, err := messages.ReceiveTimeout(ctx, monitorTime/3)
		if err != nil {
			if ctx.Err() == nil && b.Monitored(ctx) != nil {
				b.Suspect()
			}
			continue
		}
		switch m := message.(type) {
		case *redis.Subscription:
			ready()
		case *redis.Message:
			number, command, _ := strings.Cut(m.Payload, " ")
			var scan resp.Scanner
			db, err := strconv.Atoi(number)
			if n, scanErr := scan.Scan([]byte(command)); err == nil && scanErr == nil && n > 0 {
				show(db, scan.Args)
			}
		}
	}
}
