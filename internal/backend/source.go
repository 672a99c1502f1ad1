package backend

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Source says where the primary is, for a Redis that fails over.
type Source interface {
	// Primary never blocks. An error means that it is not known yet; once it was, it is the last one known.
	Primary() (Primary, error)

	// Changed has a value when there is another primary, or is about to be.
	Changed() <-chan struct{}
}

// Primary is the server that takes writes, as far as its Source knows.
type Primary struct {
	Addr      string    // HOST:PORT
	Confirmed time.Time // when the Source was last sure of it
	Replicas  []string  // that could have been made primary since then, as INFO names them
	Leaving   time.Time // when it was announced that another one is about to take its place; zero: it was not
}

// primary asks the Source, or takes the URL at its word.
func (b *Backend) primary() (Primary, error) {
	if b.cfg.Source == nil {
		return Primary{Addr: b.opts.Addr}, nil
	}
	return b.cfg.Source.Primary()
}

// follow leaves the old primary when there is another. The old one may still answer, or stand still with its
// connections open: nobody may be left waiting there.
func (b *Backend) follow() (Primary, error) {
	p, err := b.primary()
	if err != nil {
		return p, err
	}
	b.mu.Lock()
	before := b.addr
	b.addr = p.Addr
	if before != "" && before != p.Addr {
		b.newTenure()
	}
	b.mu.Unlock()
	if before != "" && before != p.Addr {
		b.cfg.Log.Info().Str("addr", p.Addr).Msg("the primary has moved")
		b.setReady(false)
	}
	return p, nil
}

// followChanges acts on news of the Source at once: a check may be waiting for a server that stands still.
func (b *Backend) followChanges(ctx context.Context) {
	if b.cfg.Source == nil {
		return
	}
	for {
		select {
		case <-b.cfg.Source.Changed():
			if p, err := b.follow(); err == nil { // otherwise the next check tells
				b.halt(ctx, p, time.Now())
			}
			b.Suspect()
		case <-ctx.Done():
			return
		}
	}
}

// tenure is the time for which one server is the one to talk to. With it ends every connection that was made in it, and every attempt to make
// one.
type tenure struct {
	ctx context.Context
	end context.CancelFunc
}

func beginTenure() *tenure {
	ctx, end := context.WithCancel(context.Background())
	return &tenure{ctx, end}
}

// newTenure ends the present one. The lock must be held.
func (b *Backend) newTenure() {
	b.tenure.end()
	b.tenure = beginTenure()
}

func (b *Backend) currentTenure() *tenure {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tenure
}

// link is a connection that ends with a tenure.
type link struct {
	net.Conn
	tenure *tenure
	leave  func() bool
}

// Close closes the connection, and has the tenure forget it.
func (l *link) Close() error {
	l.leave()
	return l.Conn.Close()
}

// bare is the connection itself, for system calls, and the tenure that it ends with, if any.
func bare(conn net.Conn) (net.Conn, *tenure) {
	if l, ok := conn.(*link); ok {
		return l.Conn, l.tenure
	}
	return conn, nil
}

// socketLink is a link on whose socket the client library may look whether it still is open, before it uses it again.
type socketLink struct {
	*link
	syscall.Conn
}

// newClient returns a client whose connections end with the tenure.
func (b *Backend) newClient(dial func(context.Context) (*link, error), verify func(context.Context, *redis.Conn) error) *redis.Client {
	opts := *b.opts
	opts.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
		l, err := dial(ctx)
		if err != nil {
			return failedConn{err}, nil
		}
		if socket, ok := l.Conn.(syscall.Conn); ok {
			return socketLink{l, socket}, nil
		}
		return l, nil
	}
	opts.OnConnect = verify
	return redis.NewClient(&opts)
}

// failedConn is a connection that could not be made. After a few errors of its dialer the client library does not even try for a
// second, and would so keep us from a new primary; an error of a connection it forgets.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)         { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)        { return 0, c.err }
func (c failedConn) Close() error                     { return nil }
func (c failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c failedConn) SetDeadline(time.Time) error      { return c.err }
func (c failedConn) SetReadDeadline(time.Time) error  { return c.err }
func (c failedConn) SetWriteDeadline(time.Time) error { return c.err }

// dialTrusted leads only to a primary that nobody can have replaced.
func (b *Backend) dialTrusted(ctx context.Context) (*link, error) {
	if b.fenced.Load() {
		return nil, ErrUnconfirmed
	}
	return b.dial(ctx)
}

// requirePrimary looks at a new connection of the control plane: what leads to a replica would show what was.
func requirePrimary(ctx context.Context, conn *redis.Conn) error {
	text, err := conn.Info(ctx, "replication").Result()
	if err == nil && infoField(text, "role") != "master" {
		return ErrNotPrimary
	}
	if err != nil && !IsReply(err) {
		return err
	}
	return nil // whoever uses the connection will see what is wrong
}

// recognize looks at the INFO of a new connection: it must lead to the very server that the engine was armed on. At an address there may
// be another one by now.
func (b *Backend) recognize(info string) error {
	switch {
	case infoField(info, "role") != "master":
		return ErrNotPrimary
	case infoField(info, "run_id") != b.Server().RunID:
		return errOtherServer
	}
	return nil
}

var errOtherServer = errors.New("backend: another server answers at this address")
