package syncer

import (
	"io"
	"net"
	"sync"
	"testing"
)

// breaker is a TCP relay that can lose its connections.
type breaker struct {
	addr string

	mu     sync.Mutex
	conns  []net.Conn
	frozen chan struct{} // closed when data may flow
	left   int           // bytes until it freezes by itself; 0 is no limit
	dials  int           // connections that were ever made
}

func newBreaker(t *testing.T, target string) *breaker {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &breaker{addr: listener.Addr().String(), frozen: make(chan struct{})}
	close(b.frozen)
	var relays sync.WaitGroup
	relays.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			b.mu.Lock()
			b.dials++
			b.conns = append(b.conns, near, far)
			b.mu.Unlock()
			relays.Go(func() { b.relay(near, far) })
			relays.Go(func() { b.relay(far, near) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		b.thaw()
		b.cut()
		relays.Wait()
	})
	return b
}

func (b *breaker) relay(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1000) // small, so that frames are cut in the middle
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		<-b.take(n)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// take counts bytes, and gives what must be closed before they may flow.
func (b *breaker) take(n int) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	flows := b.frozen
	if b.left > 0 {
		if b.left -= n; b.left <= 0 {
			b.left, b.frozen = 0, make(chan struct{})
		}
	}
	return flows
}

// freezeAfter freezes when so many more bytes have gone through, in both directions together.
func (b *breaker) freezeAfter(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = bytes
}

// isFrozen says whether nothing goes through.
func (b *breaker) isFrozen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.frozen:
		return false
	default:
		return true
	}
}

// dialled is how many connections were ever made.
func (b *breaker) dialled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dials
}

func (b *breaker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		conn.Close()
	}
	b.conns = nil
}

// busy says whether somebody has connected since the last cut.
func (b *breaker) busy() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns) > 0
}

// freeze keeps connections open and lets nothing through.
func (b *breaker) freeze() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.frozen:
		b.frozen = make(chan struct{})
	default: // it is frozen already
	}
}

func (b *breaker) thaw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.frozen:
	default:
		close(b.frozen)
	}
}
