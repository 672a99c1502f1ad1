package backend

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"anabranch/internal/resp"
)

// Listener is a connection of its own to which Redis sends the invalidations of clients that redirect them. It speaks
// RESP3, whatever the client speaks that is told.
type Listener struct {
	ID int64 // by which Redis knows the connection

	conn  net.Conn
	ended atomic.Bool
}

// Listen connects and calls tell with each list of invalid keys, until the connection ends or Close is called. The list is
// an array of bulk strings without keys of Anabranch's own, or nil when all keys are invalid; tell must not keep it, and must
// not block.
func (b *Backend) Listen(ctx context.Context, tell func(keys []byte)) (*Listener, error) {
	if err := b.WaitReady(ctx); err != nil {
		return nil, err
	}
	conn, err := b.dial(ctx)
	if err != nil {
		return nil, err
	}
	listener := &Listener{conn: conn}
	if err = b.greet(ctx, conn, resp.RESP3, 0); err == nil {
		listener.ID, err = askID(ctx, conn)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	b.mu.Lock()
	lifetime := b.lifetime
	b.goroutine.Go(func() { // ends with the connection or the backend
		defer context.AfterFunc(lifetime, func() { conn.Close() })()
		defer conn.Close()
		defer listener.ended.Store(true)
		listen(conn, b.cfg.Prefix, tell)
	})
	b.mu.Unlock()
	return listener, nil
}

// Ended reports that the connection is gone, and nothing will be heard any more.
func (l *Listener) Ended() bool { return l.ended.Load() }

// Close ends the connection. Redis tells whoever redirected to it, at the next invalidation.
func (l *Listener) Close() { l.conn.Close() }

// askID asks by which id Redis knows a connection in RESP3.
func askID(ctx context.Context, conn net.Conn) (int64, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return 0, err
		}
	}
	if _, err := conn.Write(resp.AppendCommandStrings(nil, "CLIENT", "ID")); err != nil {
		return 0, err
	}
	var line [64]byte
	have := 0
	for have < len(line) {
		n, err := conn.Read(line[have:])
		if err != nil {
			return 0, err
		}
		have += n
		if have > 3 && line[have-1] == '\n' {
			return strconv.ParseInt(string(line[1:have-2]), 10, 64)
		}
	}
	return 0, errProtocol
}

// listen reads invalidations until the connection ends.
func listen(conn net.Conn, prefix string, tell func(keys []byte)) {
	if conn.SetDeadline(time.Time{}) != nil {
		return
	}
	var scan resp.ReplyScanner
	buf := make([]byte, privateInBytes)
	from, to, have := 0, 0, 0 // a message lies at buf[from:to], as far as it was scanned
	for {
		n, err := conn.Read(buf[have:])
		if err != nil {
			return
		}
		have += n
		for {
			end, done, err := scan.Scan(buf[:have], to, 1)
			if err != nil {
				return
			}
			to = end
			if done == 0 {
				break
			}
			tellKeys(buf[from:to], prefix, tell)
			from = to
		}
		if have = copy(buf, buf[from:have]); have == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		from, to = 0, to-from
	}
}

func tellKeys(message []byte, prefix string, tell func(keys []byte)) {
	_, pos := resp.Length(message, 1)
	if pos <= 0 {
		return
	}
	at := element(message, pos)
	if kind, _ := bulk(message[pos:at]); string(kind) != "invalidate" {
		return
	}
	switch visible := appendInvalidation(nil, message, at, prefix); {
	case len(visible) == 0:
	case visible[at] == '*':
		tell(visible[at:])
	default:
		tell(nil) // a null, in the protocol of the client that redirects
	}
}
