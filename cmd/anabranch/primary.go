package main

import (
	"crypto/tls"

	"github.com/rs/zerolog"

	"anabranch/internal/backend"
	"anabranch/sentinel"
)

// newWatcher follows the primary where --redis names Sentinels, and is nil where it names the primary itself.
func newWatcher(c config, log zerolog.Logger) (*sentinel.Watcher, error) {
	u := c.Redis.sentinel
	if u == nil {
		return nil, nil
	}
	s := sentinel.DefaultConfig()
	s.Use(*u)
	if u.SentinelTLS {
		s.TLS = func() *tls.Config { return &tls.Config{MinVersion: tls.VersionTLS12} }
	}
	s.Log = log.With().Str("part", "sentinel").Logger()
	return sentinel.New(s)
}

// primarySource shows a Watcher to the backend: the two do not know each other.
type primarySource struct{ *sentinel.Watcher }

func (s primarySource) Primary() (backend.Primary, error) {
	p, err := s.Watcher.Primary()
	return backend.Primary(p), err
}
