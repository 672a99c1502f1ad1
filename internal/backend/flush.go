package backend

import (
	"net"
	"runtime"
)

// Bounds of one flush, so that a big backlog is sent in pieces and the first replies come early.
const (
	flushBytes    = 256 << 10
	flushSegments = 64
)

// sendable reports whether a flush may begin. The lane's lock must be held.
func (l *Lane) sendable() bool {
	return len(l.pending) > 0 && l.connected && !l.sending && !l.paused && l.flights < l.backend.cfg.FlushesInFlight && !l.halted()
}

// Flush sends what is pending. It never blocks: what the socket does not take is left to the lane's writer. There is no
// timer: while as many flushes are under way as may be, the next one gathers, so batches grow with the load, and a lone
// command leaves at once. Whoever submits calls it or Kick afterwards; the reader calls it when replies have come.
func (l *Lane) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sock == nil {
		l.kick()
		return
	}
	l.flush()
}

// Kick is Flush in another goroutine, a moment later, when other callers that are ready to run have submitted too.
func (l *Lane) Kick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kick()
}

func (l *Lane) kick() {
	if !l.kicked {
		l.kicked = true
		l.canSend.Signal()
	}
}

// flush sends as long as it may. The lane's lock must be held; it is released while the bytes are written, with sending
// set, so that there is one sender at a time.
func (l *Lane) flush() {
	for l.sendable() {
		l.takeFlush()
		l.sending = true
		l.mu.Unlock()
		l.sendSome()
		l.mu.Lock()
		if len(l.out) > 0 && l.connected {
			l.rest = true // the writer goes on, and sending stays
			l.canSend.Signal()
			return
		}
		l.sent()
	}
}

// sent ends a flush. The lane's lock must be held.
func (l *Lane) sent() {
	l.out = l.out[:0]
	l.sending, l.rest = false, false
	if !l.connected {
		l.canSend.Broadcast() // serve waits for it
	}
}

// sendSome writes l.out as far as the socket takes it.
func (l *Lane) sendSome() {
	for len(l.out) > 0 && l.sock != nil {
		n, err := l.sock.SendAll(l.out)
		if err != nil {
			l.conn.Close() // the reader sees it and cleans up
			l.out = l.out[:0]
			return
		}
		if n == 0 {
			return
		}
		l.out = skip(l.out, n)
	}
}

// skip leaves out the first n bytes.
func skip(pieces net.Buffers, n int) net.Buffers {
	gone := 0
	for gone < len(pieces) && n >= len(pieces[gone]) {
		n -= len(pieces[gone])
		gone++
	}
	rest := copy(pieces, pieces[gone:])
	pieces = pieces[:rest]
	if rest > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}

// write is the lane's writer: it writes what may block, and flushes after a Kick, until the connection ends.
func (l *Lane) write(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.connected {
		switch {
		case l.rest:
			l.finishFlush(conn)
			l.flush()
		case l.kicked:
			l.kicked = false
			l.mu.Unlock()
			runtime.Gosched() // callers that are ready to run have commands for this flush
			l.mu.Lock()
			l.flush()
		default:
			l.canSend.Wait()
		}
	}
	if l.rest {
		l.sent()
	}
}

// finishFlush writes what a flush has left over, however long it takes. The lane's lock is released meanwhile.
func (l *Lane) finishFlush(conn net.Conn) {
	rest := l.out
	l.mu.Unlock()
	_, err := rest.WriteTo(conn)
	l.mu.Lock()
	if err != nil {
		conn.Close() // the reader sees it and cleans up
	}
	l.sent()
}

// takeFlush moves pending segments in flight and their bytes to l.out. The lane's lock must be held.
func (l *Lane) takeFlush() {
	size, n := 0, 0
	sent := now()
	l.out = l.out[:0]
	for n < len(l.pending) && n < flushSegments && (n == 0 || size < flushBytes) {
		seg := l.pending[n]
		n++
		size += seg.size()
		l.pendingBytes -= seg.size()
		l.pendingReplies -= seg.counted
		if bytes := seg.seal(); len(bytes) > 0 {
			l.out = append(l.out, bytes)
		}
		seg.sent = sent
		l.inflight.push(seg)
		if seg.alone {
			l.backend.scripts.Add(1)
		}
	}
	l.pending[n-1].flushed = true
	rest := copy(l.pending, l.pending[n:])
	clear(l.pending[rest:])
	l.pending = l.pending[:rest]
	l.flights++
	if l.waitingForRoom > 0 {
		l.room.Broadcast()
	}
}
