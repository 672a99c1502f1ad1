package proxy

import (
	"net"
	"sync"
	"syscall"
	"unsafe"
)

// output writes the replies of one client. It never blocks its callers: what the client's socket does not take at once is
// kept, and a goroutine that lives only as long as there is something to write brings it out.
type output struct {
	conn  net.Conn
	raw   syscall.RawConn // nil when the bytes cannot go to the socket as they are (TLS)
	limit int             // bytes that may wait

	mu       sync.Mutex
	waiting  []byte // not written yet, in order
	spare    []byte // the buffer that was written last
	writing  int    // bytes that the goroutine has in hand
	draining bool   // the goroutine runs
	closing  bool   // close when everything is written
	closed   bool
	onLimit  func(bytes int)

	// The argument and result of attempt, which is made once so that a write allocates nothing.
	piece   []byte
	wrote   int
	attempt func(fd uintptr) bool
}

func newOutput(conn net.Conn, limit int, onLimit func(bytes int)) *output {
	o := &output{conn: conn, limit: limit, onLimit: onLimit}
	if plain, ok := conn.(syscall.Conn); ok {
		if raw, err := plain.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.attempt = o.send
	return o
}

// Deliver implements backend.Output.
func (o *output) Deliver(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(p) == 0 {
		return
	}
	if !o.draining && o.raw != nil {
		p = p[o.tryWrite(p):]
		if len(p) == 0 {
			return
		}
	}
	if pending := len(o.waiting) + o.writing + len(p); pending > o.limit {
		o.onLimit(pending)
		o.abort()
		return
	}
	o.waiting = append(o.waiting, p...)
	if !o.draining {
		o.draining = true
		go o.drain() // ends when nothing is waiting, or the connection is closed
	}
}

// tryWrite offers bytes to the socket once and returns how many it took. An error counts as none: the goroutine meets
// it again and deals with it.
func (o *output) tryWrite(p []byte) int {
	o.piece, o.wrote = p, 0
	if o.raw.Write(o.attempt) != nil {
		return 0
	}
	return o.wrote
}

// send runs with the descriptor held. The system call goes past the scheduler's bookkeeping, because it never blocks.
func (o *output) send(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.piece))),
		uintptr(len(o.piece)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno == 0 {
		o.wrote = int(n)
	}
	o.piece = nil
	return true
}

// drain writes what is waiting, however long the client takes.
func (o *output) drain() {
	for {
		o.mu.Lock()
		o.writing = 0
		if len(o.waiting) == 0 || o.closed {
			o.draining = false
			o.waiting, o.spare = nil, nil
			if o.closing && !o.closed {
				o.abort()
			}
			o.mu.Unlock()
			return
		}
		piece := o.waiting
		o.waiting, o.spare = o.spare[:0], piece
		o.writing = len(piece)
		o.mu.Unlock()

		if _, err := o.conn.Write(piece); err != nil {
			o.mu.Lock()
			o.abort()
			o.mu.Unlock()
		}
	}
}

// Break implements backend.Output: the stream cannot go on.
func (o *output) Break() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abort()
}

// finish closes the connection when everything that was delivered has been written.
func (o *output) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closing = true
	if !o.draining {
		o.abort()
	}
}

// abort closes the connection. The lock must be held.
func (o *output) abort() {
	if !o.closed {
		o.closed = true
		o.conn.Close()
	}
}

// pending is how many bytes the client has not taken yet.
func (o *output) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) + o.writing
}
