package backend

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"anabranch/internal/resp"
	"anabranch/internal/sock"
)

// run keeps the lane connected until ctx ends, or a private lane's connection does.
func (l *Lane) run(ctx context.Context) {
	defer l.shut()
	for {
		conn := l.connect(ctx)
		if conn == nil {
			return
		}
		err := l.serve(ctx, conn)
		if ctx.Err() != nil || l.isClosed() {
			return
		}
		l.backend.cfg.Log.Warn().Err(err).Int("db", l.database()).Msg("backend connection lost")
		l.backend.Suspect()
		if l.owner != nil {
			return
		}
	}
}

// connect dials until it succeeds. When that takes longer than Hold, what is pending is answered with an error. nil
// means that there is no more use in it.
func (l *Lane) connect(ctx context.Context) net.Conn {
	hold := time.AfterFunc(l.backend.cfg.Hold, l.setDown)
	defer hold.Stop()
	policy := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(0),
	)
	for ctx.Err() == nil && !l.isClosed() {
		if l.owner == nil && l.backend.WaitReady(ctx) != nil {
			return nil
		}
		if conn, err := l.dial(ctx); err == nil {
			return conn
		}
		if l.owner != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(policy.NextBackOff()):
		}
	}
	return nil
}

// dial connects and brings the connection into the lane's state.
func (l *Lane) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.backend.cfg.DialTimeout)
	defer cancel()
	if err := l.backend.WaitReady(ctx); err != nil {
		return nil, err
	}
	conn, err := l.backend.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.backend.greet(ctx, conn, l.proto, l.database()); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// greet logs in, selects protocol and database, and makes sure that it is the right server that answers, all in one round trip.
func (b *Backend) greet(ctx context.Context, conn net.Conn, proto, db int) error {
	var hello []byte
	replies := 0
	send := func(args ...string) {
		hello = resp.AppendCommandStrings(hello, args...)
		replies++
	}
	// With a name, since AUTH without one fails when the default user needs no password.
	if user, password := b.ServiceUser(); password != "" {
		send("AUTH", user, password)
	}
	if proto == resp.RESP3 {
		send("HELLO", "3")
	}
	if db != 0 {
		send("SELECT", itoa(db))
	}
	send("CLIENT", "SETNAME", LaneName)
	send("INFO", "server", "replication")
	info, err := converse(ctx, conn, hello, replies)
	if err == nil {
		err = b.recognize(string(info))
	}
	if err != nil {
		b.Suspect()
	}
	return err
}

// serve carries commands and replies over one connection until it ends, and answers what was in flight then.
func (l *Lane) serve(ctx context.Context, conn net.Conn) error {
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	l.scan, l.left, l.pushing, l.partial = resp.ReplyScanner{}, 0, false, l.partial[:0]
	l.mu.Lock()
	if l.closed {
		conn.Close()
	}
	raw, tenure := bare(conn)
	l.conn, l.sock, l.tenure, l.connected, l.down = conn, sock.New(raw), tenure, true, false
	l.kicked = true // something may have waited for the connection
	l.mu.Unlock()

	var writer sync.WaitGroup
	writer.Go(func() { l.write(raw) }) // ends when connected is false
	err := l.readReplies(conn)

	conn.Close()
	l.mu.Lock()
	l.connected = false
	l.canSend.Broadcast()
	l.mu.Unlock()
	writer.Wait()
	l.mu.Lock()
	for l.sending {
		l.canSend.Wait() // somebody still has bytes of segments in hand
	}
	l.conn, l.sock = nil, nil
	l.mu.Unlock()
	l.failInflight()
	return err
}

// failInflight answers everything that was sent. Whether a write among it was executed is unknown.
func (l *Lane) failInflight() {
	l.moment = 0
	l.failHeld(errNotArmed)
	if l.seg == nil {
		l.nextSegment()
	}
	for l.seg != nil {
		text := errLostRead
		if l.seg.kind != OpRead {
			text = errLostWrite
		}
		from, left := l.at, l.left
		if l.seg.tx != nil && from == 0 {
			left = 0 // it has one reply, of which nothing was passed on
		} else if from < len(l.seg.entries) && l.scan.Begun() {
			// A reply was cut. What the caller has of it cannot be taken back, unless it was to be delivered whole.
			e := &l.seg.entries[from]
			if !e.discard && !isShaped(e.shape) {
				e.caller.Out.Break()
			}
		}
		l.scan = resp.ReplyScanner{}
		l.answerAll(l.seg, from, left, text)
		l.finish()
		l.nextSegment()
	}
	l.deliverDirty()
}

// setDown answers what was never sent, and from now on refuses at once until the lane is connected again.
func (l *Lane) setDown() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected {
		return
	}
	l.down = true
	for _, seg := range l.pending {
		l.refusePending(seg)
	}
	l.pending, l.pendingBytes, l.pendingReplies = nil, 0, 0
	l.room.Broadcast()
}

// refusePending answers a segment that was never sent. It runs under the lane's lock, since a caller's next command may
// be refused as soon as that is free, and touches nothing that belongs to the reader.
func (l *Lane) refusePending(seg *segment) {
	for i := range seg.entries {
		e := &seg.entries[i]
		var out []byte
		switch {
		case e.literal:
			out = seg.literalOf(e)
		case !e.discard:
			l.countFailed(e.class, e.count)
			for range e.count {
				out = resp.AppendError(out, l.backend.notSent(seg.kind))
			}
		}
		e.caller.Out.Deliver(out)
		if e.literal {
			e.caller.settle(1)
		} else {
			e.caller.settle(int64(e.count))
		}
	}
}

// notSent says of a command of some kind that there is nobody to send it to. Where a primary has become a replica, a write is told
// what Redis would tell it, which many client libraries know how to deal with.
func (b *Backend) notSent(kind OpKind) string {
	if refusal := b.WriteRefusal(); kind != OpRead && refusal != "" {
		return refusal
	}
	return errNotSent
}

// WriteRefusal is Redis's error for writes where the server is a replica, or may have been replaced; empty elsewhere.
func (b *Backend) WriteRefusal() string {
	if refusal := b.refusal.Load(); refusal != nil {
		return *refusal
	}
	return ""
}

// keepFinding keeps what a check has found, for those who ask.
func (b *Backend) keepFinding(checked error) {
	b.problem.Store(&checked)
	refusal := ""
	switch {
	case errors.Is(checked, ErrNotPrimary):
		refusal = errReplica
	case errors.Is(checked, ErrUnconfirmed):
		refusal = errFenced
	}
	b.refusal.Store(&refusal)
}

// shut ends the lane for good.
func (l *Lane) shut() {
	l.mu.Lock()
	wasClosed := l.closed
	l.closed = true
	l.mu.Unlock()
	l.setDown()
	if l.owner != nil && !wasClosed {
		l.owner.Out.Break()
	}
}

func (l *Lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}
