package registry

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/hashicorp/consul/api"
	"github.com/rs/zerolog"
)

const (
	// waitTime is how long a blocking query may wait for news; Consul adds up to a sixteenth.
	waitTime = time.Minute
	// answerLimit is how long the answer may take beyond that before the agent counts as hanging.
	answerLimit = 10 * time.Second
	// newsPause keeps a catalogue that changes all the time from being all that we do.
	newsPause = 100 * time.Millisecond

	retryMin = 200 * time.Millisecond
	retryMax = 15 * time.Second
)

// follow calls ask whenever what it reads has changed, until ctx ends. ask must pass the options on, and answer the reply's
// meta data; an error of any kind leads to a new attempt, which reads everything anew.
func follow(ctx context.Context, said *said, what string, ask func(context.Context, *api.QueryOptions) (*api.QueryMeta, error)) {
	retry := newRetry()
	for index := uint64(0); ctx.Err() == nil; {
		asking, cancel := context.WithTimeout(ctx, waitTime+waitTime/16+answerLimit)
		options := (&api.QueryOptions{WaitIndex: index, WaitTime: waitTime}).WithContext(asking)
		if index == 0 {
			options.WaitTime = 0
		}
		meta, err := ask(asking, options)
		cancel()
		if ctx.Err() != nil {
			return
		}
		said.note(what, err)
		if err != nil {
			index = 0
			pause(ctx, retry.NextBackOff())
			continue
		}
		retry.Reset()
		index = nextIndex(index, meta.LastIndex)
		pause(ctx, newsPause)
	}
}

// nextIndex is what the next query waits to be exceeded, as Consul's documentation of blocking queries wants it: an index that
// went back, because Consul was set up anew or restored, says that all must be read again, and one below 1 would not block.
func nextIndex(index, last uint64) uint64 {
	if last < index {
		return 0
	}
	return max(last, 1)
}

func newRetry() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(retryMin),
		backoff.WithMaxInterval(retryMax),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
}

// pause waits, but not beyond the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// said keeps the log short: what goes wrong with something is said when it is new, and when it is over.
type said struct {
	log  zerolog.Logger
	mu   sync.Mutex // guards last
	last map[string]string
}

func newSaid(log zerolog.Logger) *said { return &said{log: log, last: map[string]string{}} }

// note takes how an attempt ended. The subjects are few and fixed.
func (s *said) note(what string, err error) {
	text := ""
	if err != nil {
		text = plain(err)
	}
	s.mu.Lock()
	before := s.last[what]
	s.last[what] = text
	s.mu.Unlock()
	switch {
	case text == before:
	case text != "":
		s.log.Warn().Str("what", what).Str("cause", text).Msg("Consul cannot be used; what it said last holds")
	default:
		s.log.Info().Str("what", what).Msg("Consul can be used again")
	}
}
