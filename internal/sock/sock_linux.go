package sock

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Sock makes single attempts on a connection's descriptor. One goroutine at a time may send, one may receive.
type Sock struct {
	raw syscall.RawConn

	// The arguments and results of the functions below, which are made once so that a call allocates nothing.
	send    sendState
	receive receiveState
	trySend func(fd uintptr)
	tryRecv func(fd uintptr)
	read    func(fd uintptr) bool
}

type sendState struct {
	vectors []syscall.Iovec
	n       int
	errno   syscall.Errno
}

type receiveState struct {
	buf   []byte
	n     int
	errno syscall.Errno
}

// New returns the Sock of a connection, or nil when bytes cannot go to its descriptor as they are (TLS, tests' pipes).
func New(conn net.Conn) *Sock {
	plain, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Sock{raw: raw}
	s.trySend = func(fd uintptr) { s.send.run(fd) }
	s.tryRecv = func(fd uintptr) { s.receive.run(fd) }
	s.read = func(fd uintptr) bool {
		s.receive.run(fd)
		return s.receive.errno == 0 || !temporary(s.receive.errno)
	}
	return s
}

// Send offers p to the socket once and returns how much it took: 0 and no error when it takes nothing now.
func (s *Sock) Send(p []byte) (int, error) {
	var one [1]syscall.Iovec
	s.send.vectors = append(s.send.vectors[:0], one[:]...)
	s.send.vectors[0] = vector(p)
	return s.sendNow()
}

// maxVectors bounds the pieces of one system call.
const maxVectors = 64

// SendAll is Send for several pieces, of which it offers the first 64.
func (s *Sock) SendAll(pieces [][]byte) (int, error) {
	s.send.vectors = s.send.vectors[:0]
	for _, p := range pieces[:min(len(pieces), maxVectors)] {
		s.send.vectors = append(s.send.vectors, vector(p))
	}
	return s.sendNow()
}

func vector(p []byte) syscall.Iovec {
	v := syscall.Iovec{Base: unsafe.SliceData(p)}
	v.SetLen(len(p))
	return v
}

func (s *Sock) sendNow() (int, error) {
	err := s.raw.Control(s.trySend)
	clear(s.send.vectors)
	switch {
	case err != nil:
		return 0, err
	case s.send.errno == 0:
		return s.send.n, nil
	case temporary(s.send.errno):
		return 0, nil
	}
	return 0, s.send.errno
}

// run makes the call past the scheduler's bookkeeping, because it never blocks.
func (s *sendState) run(fd uintptr) {
	const flags = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL
	var n uintptr
	if len(s.vectors) == 1 {
		v := &s.vectors[0]
		n, _, s.errno = syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(v.Base)), uintptr(v.Len), flags, 0, 0)
	} else {
		msg := syscall.Msghdr{Iov: unsafe.SliceData(s.vectors), Iovlen: uint64(len(s.vectors))}
		n, _, s.errno = syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), flags)
	}
	s.n = int(n)
}

// Recv reads once into p: 0 and no error when there is nothing now, io.EOF at the end.
func (s *Sock) Recv(p []byte) (int, error) {
	s.receive.buf = p
	err := s.raw.Control(s.tryRecv)
	s.receive.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.receive.errno != 0 && temporary(s.receive.errno):
		return 0, nil
	case s.receive.errno != 0:
		return 0, s.receive.errno
	case s.receive.n == 0:
		return 0, io.EOF
	}
	return s.receive.n, nil
}

// Read is Recv that waits, as the connection's own Read does. Unlike that, it does not tell the scheduler about its system
// calls, which would wake the runtime's monitor whenever the process has been idle.
func (s *Sock) Read(p []byte) (int, error) {
	s.receive.buf = p
	err := s.raw.Read(s.read)
	s.receive.buf = nil
	switch {
	case err != nil:
		return 0, err
	case s.receive.errno != 0:
		return 0, s.receive.errno
	case s.receive.n == 0:
		return 0, io.EOF
	}
	return s.receive.n, nil
}

func (r *receiveState) run(fd uintptr) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(r.buf))),
		uintptr(len(r.buf)), syscall.MSG_DONTWAIT, 0, 0)
	r.n, r.errno = int(n), errno
}

// pollRDHUP is POLLRDHUP, which the syscall package does not name: the other side has closed its half. POLLERR and POLLHUP are
// reported in any case.
const pollRDHUP = 0x2000

type pollRequest struct {
	fd              int32
	events, reports int16
}

// HungUp looks whether the other side has closed the connection or its half of it, also behind bytes that nobody has read.
func (s *Sock) HungUp() bool {
	up := false
	err := s.raw.Control(func(fd uintptr) { up = hungUp(fd) })
	return up || err != nil
}

// AwaitHangup returns when HungUp would be true, and takes nothing from the socket. It also returns when the connection's read
// deadline passes; then, or after Close, err is not nil. It excludes other reads of the connection, but not Recv.
func (s *Sock) AwaitHangup() error { return s.raw.Read(hungUp) }

func hungUp(fd uintptr) bool {
	request := pollRequest{fd: int32(fd), events: pollRDHUP}
	var atOnce syscall.Timespec
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&request)), 1, uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
	return errno == 0 && n > 0
}

// FD is the number of the descriptor, for display only.
func (s *Sock) FD() int {
	number := -1
	s.raw.Control(func(fd uintptr) { number = int(fd) })
	return number
}

// Shutdown ends the connection in both directions. Whoever reads it meets its end; the descriptor stays until Close.
func (s *Sock) Shutdown() {
	s.raw.Control(func(fd uintptr) { syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
}

// tcpUserTimeout is TCP_USER_TIMEOUT, which the syscall package does not name.
const tcpUserTimeout = 18

// UserTimeout is for net.Dialer.Control: sent data that nobody acknowledges for so long ends the connection.
func UserTimeout(limit time.Duration) func(network, address string, conn syscall.RawConn) error {
	return func(network, _ string, conn syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var err error
		used := conn.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
		})
		return errors.Join(used, err)
	}
}

func temporary(errno syscall.Errno) bool { return errno == syscall.EAGAIN || errno == syscall.EINTR }
