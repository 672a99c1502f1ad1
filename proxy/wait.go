package proxy

import (
	"context"
	"syscall"
	"time"
	"unsafe"
)

// goneInterval is how often a client that waits is looked at.
const goneInterval = 500 * time.Millisecond

// wait runs something that may take long, and ends its context when the client goes away or the server stops. It blocks
// this client alone.
func (s *session) wait(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(s.server.lifetime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }() // ends with ctx at the latest
	ticker := time.NewTicker(goneInterval)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			if s.server.stopping.Load() || s.gone() {
				cancel()
				return <-done
			}
		}
	}
}

// gone looks at the socket without taking anything from it.
func (s *session) gone() bool {
	if s.out.raw == nil {
		return false
	}
	closed := false
	err := s.out.raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&one[0])), 1,
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		closed = errno == 0 && n == 0 || errno != 0 && errno != syscall.EAGAIN && errno != syscall.EINTR
	})
	return closed || err != nil
}
