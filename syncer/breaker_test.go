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
		b.mu.Lock()
		frozen := b.frozen
		b.mu.Unlock()
		<-frozen
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
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
