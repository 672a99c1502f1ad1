package backend

import (
	"net"
	"runtime"
)

// flushBytes bounds one flush, so that a big backlog is sent in pieces and the first replies come early.
const flushBytes = 256 << 10

// sendable reports whether a flush may begin. The lane's lock must be held.
func (l *Lane) sendable() bool {
	return len(l.pending) > 0 && l.connected && !l.paused && l.flights < l.backend.cfg.FlushesInFlight
}

// writeFlushes sends what is pending until the connection ends. There is no timer: while as many flushes are under way as
// may be, the next one gathers, so batches grow with the load and a lone command leaves at once.
func (l *Lane) writeFlushes(conn net.Conn) {
	var segments []*segment
	var buffers net.Buffers
	for {
		l.mu.Lock()
		for l.connected && !l.sendable() {
			l.writerWaiting = true
			l.canSend.Wait()
			l.writerWaiting = false
		}
		if !l.connected {
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()

		// Callers that are ready to run have commands for this flush.
		runtime.Gosched()

		l.mu.Lock()
		segments = segments[:0]
		if l.sendable() {
			segments = l.takeFlush(segments)
		}
		l.mu.Unlock()

		buffers = buffers[:0]
		for _, seg := range segments {
			if bytes := seg.seal(); len(bytes) > 0 {
				buffers = append(buffers, bytes)
			}
		}
		var err error
		switch len(buffers) {
		case 0:
		case 1:
			_, err = conn.Write(buffers[0])
		default:
			rest := buffers
			_, err = rest.WriteTo(conn)
		}
		if err != nil {
			conn.Close() // the reader sees it and cleans up
		}
	}
}

// takeFlush moves pending segments in flight. The lane's lock must be held.
func (l *Lane) takeFlush(segments []*segment) []*segment {
	size, n := 0, 0
	for n < len(l.pending) && (n == 0 || size < flushBytes) {
		seg := l.pending[n]
		size += len(seg.buf)
		l.pendingBytes -= len(seg.buf)
		l.pendingReplies -= seg.replies
		if l.open[seg.kind] == seg {
			l.open[seg.kind] = nil
		}
		l.inflight.push(seg)
		segments = append(segments, seg)
		n++
	}
	rest := copy(l.pending, l.pending[n:])
	clear(l.pending[rest:])
	l.pending = l.pending[:rest]
	segments[n-1].flushed = true
	l.flights++
	l.canSubmit.Broadcast()
	return segments
}
