package credentials

import (
	"context"
	"os"
	"time"

	"github.com/rs/zerolog"
)

const (
	lookInterval = 2 * time.Second // between looks at the files
	warnInterval = 24 * time.Hour  // between warnings of one certificate
)

// watched is an Identity or Secrets.
type watched interface {
	reload(log zerolog.Logger)
	warn(log zerolog.Logger)
}

// Watch keeps credentials up to date until ctx ends: it looks at their files each few seconds, and at once whenever hangup
// says so. Of a certificate that ends soon it warns now and once a day.
type Watch struct {
	log     zerolog.Logger
	sources []watched
}

// NewWatch logs to log.
func NewWatch(log zerolog.Logger) *Watch { return &Watch{log: log} }

// Identity adds an identity. It is to be called before Run.
func (w *Watch) Identity(i *Identity) { w.sources = append(w.sources, i) }

// Secrets adds secrets. It is to be called before Run.
func (w *Watch) Secrets(s *Secrets) { w.sources = append(w.sources, s) }

// Run returns when ctx ends.
func (w *Watch) Run(ctx context.Context, hangup <-chan os.Signal) {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	var warned time.Time
	for {
		if time.Since(warned) >= warnInterval {
			warned = time.Now()
			for _, source := range w.sources {
				source.warn(w.log)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			w.log.Info().Msg("SIGHUP: looking at certificates and secrets")
		case <-look.C:
		}
		for _, source := range w.sources {
			source.reload(w.log)
		}
	}
}
