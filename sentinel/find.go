package sentinel

import (
	"context"
	"fmt"
)

// Find asks the Sentinels until a majority says where the primary is, for programs that need to know it once. It blocks until then, or
// until ctx ends.
func Find(ctx context.Context, cfg Config) (addr string, err error) {
	w, err := New(cfg)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with ctx, below at the latest
		defer close(ended)
		_ = w.Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	select {
	case <-w.Changed():
		p, err := w.Primary()
		return p.Addr, err
	case <-ctx.Done():
		_, err := w.Primary()
		return "", fmt.Errorf("%w (%w)", err, ctx.Err())
	}
}
