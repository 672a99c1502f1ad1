package proxy

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"anabranch/internal/sock"
)

// output writes the replies of one client. It never blocks its callers: what the client's socket does not take at once is
// kept, and a goroutine that lives only as long as there is something to write brings it out.
type output struct {
	conn    net.Conn
	sock    *sock.Sock // nil when the bytes cannot go to the socket as they are (TLS)
	bare    *sock.Sock // of the connection below TLS, to look at it and to end it
	limit   int        // bytes that may wait
	linger  time.Duration
	onLimit func(bytes int)
	onClose func()
	broken  chan struct{} // closed when the connection was ended early

	mu       sync.Mutex
	waiting  []byte // not written yet, in order
	spare    []byte // the buffer that was written last
	writing  int    // bytes that the goroutine has in hand
	draining bool   // the goroutine runs
	ended    bool   // nothing more is accepted
	closing  bool   // the goroutine closes when everything is written
	inReply  bool   // what was delivered last ends inside a reply
	messages []byte // what came meanwhile, and belongs behind that reply
}

func newOutput(conn net.Conn, limit int) *output {
	o := &output{conn: conn, limit: limit, sock: sock.New(conn), broken: make(chan struct{})}
	o.bare = o.sock
	if secure, ok := conn.(*tls.Conn); ok {
		o.bare = sock.New(secure.NetConn())
	}
	return o
}

// Deliver implements backend.Output.
func (o *output) Deliver(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inReply = false
	o.put(p)
	if len(o.messages) > 0 {
		messages := o.messages
		o.messages = nil
		o.put(messages)
	}
}

// DeliverPart implements backend.Output.
func (o *output) DeliverPart(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inReply = true
	o.put(p)
}

// message delivers what is no reply of this client's. Anybody may call it at any time: it goes between two replies.
func (o *output) message(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.inReply {
		o.put(p)
		return
	}
	if o.fits(len(o.messages) + len(p)) {
		o.messages = append(o.messages, p...)
	}
}

// put sends bytes, or keeps what the socket does not take. The lock must be held.
func (o *output) put(p []byte) {
	if o.ended || len(p) == 0 {
		return
	}
	if !o.draining && o.sock != nil {
		n, err := o.sock.Send(p)
		if err != nil {
			o.abort()
			return
		}
		if p = p[n:]; len(p) == 0 {
			return
		}
	}
	if !o.fits(len(p)) {
		return
	}
	o.waiting = append(o.waiting, p...)
	if !o.draining {
		o.draining = true
		go o.drain() // ends when nothing is waiting, or the connection has ended
	}
}

// fits reports whether more bytes may wait, and ends the connection of a client that is too slow. The lock must be held.
func (o *output) fits(more int) bool {
	pending := len(o.waiting) + o.writing + more
	if o.ended || pending <= o.limit {
		return !o.ended
	}
	o.onLimit(pending)
	o.abort()
	return false
}

// drain writes what is waiting, however long the client takes.
func (o *output) drain() {
	o.mu.Lock()
	for len(o.waiting) > 0 && !o.isAborted() {
		piece := o.waiting
		o.waiting, o.spare = o.spare[:0], piece
		o.writing = len(piece)
		o.mu.Unlock()
		_, err := o.conn.Write(piece)
		o.mu.Lock()
		o.writing = 0
		if err != nil {
			o.abort()
		}
	}
	o.draining = false
	o.waiting, o.spare = nil, nil
	closing := o.closing
	o.mu.Unlock()
	if closing {
		o.close()
	}
}

// isAborted tells an end that leaves replies unwritten from finish, which does not.
func (o *output) isAborted() bool { return o.ended && !o.closing }

// Break implements backend.Output: the stream cannot go on.
func (o *output) Break() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abort()
}

// abort ends the connection. Whoever reads it meets its end and calls finish. The lock must be held.
func (o *output) abort() {
	if o.ended && !o.closing {
		return
	}
	o.ended, o.closing = true, o.closing && o.draining
	o.waiting = nil
	select {
	case <-o.broken:
	default:
		close(o.broken)
	}
	if o.bare != nil {
		o.bare.Shutdown()
	} else {
		o.conn.Close()
	}
}

// finish closes the connection when everything that was delivered has been written, or the client has taken too long.
// Nobody may read the connection any more.
func (o *output) finish() {
	o.mu.Lock()
	o.ended = true
	o.closing = o.draining
	closing := o.closing
	if closing {
		o.conn.SetWriteDeadline(time.Now().Add(o.linger))
	}
	o.mu.Unlock()
	if !closing {
		o.close()
	}
}

func (o *output) close() {
	o.conn.Close()
	o.onClose()
}

// isOver reports that the client gets nothing any more, though its connection may not be closed yet.
func (o *output) isOver() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}

// pending is how many bytes the client has not taken yet.
func (o *output) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) + o.writing
}
