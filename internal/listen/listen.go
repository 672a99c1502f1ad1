package listen

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/rs/zerolog"
)

// pause is how long nobody is taken after an error.
const pause = 100 * time.Millisecond

// Serve hands each connection to take, which must not block, until ctx ends; then it answers nil. The listener is closed by then, and its
// port free. An error of a single connection is logged and passed over, since others count on us: too many open files, a client that was
// gone before we looked.
func Serve(ctx context.Context, listener net.Listener, log zerolog.Logger, take func(net.Conn)) error {
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = listener.Close()
	})
	defer func() {
		if stop() {
			_ = listener.Close()
		} else {
			<-closed // a Close that comes second does not wait for the first one
		}
	}()
	for {
		conn, err := listener.Accept()
		switch {
		case ctx.Err() != nil:
			if conn != nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			log.Warn().Err(err).Stringer("listener", listener.Addr()).Msg("accepting connections")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		default:
			take(conn)
		}
	}
}
