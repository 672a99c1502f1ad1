package passive

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Presence keeps a connection to Redis by whose name the leader of a recording proxy knows that somebody writes past the engine, and
// sees to it that the engine records nothing meanwhile. All that it ever writes is that note, and only where metadata is.
type Presence struct {
	redis  *redis.Client // with one connection, which has the name
	prefix string
	plain  string // the engine's function
	log    zerolog.Logger
}

// NewPresence dials nothing. The client's connections must have the name that shows.
func NewPresence(client *redis.Client, prefix, plainFunction string, log zerolog.Logger) *Presence {
	return &Presence{redis: client, prefix: prefix, plain: plainFunction, log: log}
}

// noteInterval is how often it is looked after.
const noteInterval = time.Second

// Keep looks after it until ctx ends. changed hears at each look what is wrong, nil for nothing: only while it is nil clients may be served.
func (p *Presence) Keep(ctx context.Context, changed func(error)) {
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, 3*time.Second)
		changed(p.note(look))
		cancel()
		timer := time.NewTimer(noteInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// note has the engine record nothing, unless it does not anyway.
func (p *Presence) note(ctx context.Context) error {
	pipe := p.redis.Pipeline()
	self, plain := pipe.Exists(ctx, p.prefix+"self"), pipe.Get(ctx, p.prefix+"plain")
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	if self.Val() == 0 || plain.Val() == "yes" {
		return nil
	}
	err := p.redis.Do(ctx, "FCALL", p.plain, 0).Err()
	switch {
	case err == nil:
		p.log.Info().Msg("this Redis has metadata: it is out of date from now on, and will be cleared away when it is recorded anew")
	case strings.Contains(err.Error(), "READONLY"): // a replica: its clients cannot write
		return nil
	case strings.Contains(err.Error(), "Function not found"): // nobody can record without the library
		return p.redis.SetArgs(ctx, p.prefix+"plain", "yes", redis.SetArgs{}).Err()
	}
	return err
}
