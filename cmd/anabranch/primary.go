package main

import (
	"github.com/rs/zerolog"

	"anabranch/internal/backend"
	"anabranch/sentinel"
)

// newWatcher follows the primary where --redis names Sentinels, and is nil where it names the primary itself.
func (s *service) newWatcher(log zerolog.Logger) (*sentinel.Watcher, error) {
	u := s.config.Redis.sentinel
	if u == nil {
		return nil, nil
	}
	c := sentinel.DefaultConfig()
	c.Use(*u)
	if u.SentinelTLS {
		c.TLS = s.security.redis
	}
	c.Log = log.With().Str("part", "sentinel").Logger()
	return sentinel.New(c)
}

// primarySource shows a Watcher to the backend: the two do not know each other.
type primarySource struct{ *sentinel.Watcher }

func (s primarySource) Primary() (backend.Primary, error) {
	p, err := s.Watcher.Primary()
	return backend.Primary(p), err
}
