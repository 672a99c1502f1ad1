//go:build !linux

package sock

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// UserTimeout does nothing here.
func UserTimeout(time.Duration) func(network, address string, conn syscall.RawConn) error { return nil }

// Sock does not exist here.
type Sock struct{}

// New returns nil: the caller uses the connection itself.
func New(net.Conn) *Sock { return nil }

// None of these is ever called.

func (*Sock) Send([]byte) (int, error)      { panic("sock: not on this system") }
func (*Sock) SendAll([][]byte) (int, error) { panic("sock: not on this system") }
func (*Sock) Recv([]byte) (int, error)      { panic("sock: not on this system") }
func (*Sock) Read([]byte) (int, error)      { panic("sock: not on this system") }
func (*Sock) HungUp() bool                  { panic("sock: not on this system") }
func (*Sock) AwaitHangup() error            { panic("sock: not on this system") }
func (*Sock) FD() int                       { panic("sock: not on this system") }
func (*Sock) Shutdown()                     { panic("sock: not on this system") }

// Poller does not exist here.
type Poller[M any] struct{}

// NewPoller fails: the caller starts a goroutine for each connection.
func NewPoller[M any]() (*Poller[M], error) { return nil, errors.New("sock: no poller on this system") }

func (*Poller[M]) Add(*Sock, *M) error        { panic("sock: not on this system") }
func (*Poller[M]) Remove(*Sock)               { panic("sock: not on this system") }
func (*Poller[M]) Members() []*M              { panic("sock: not on this system") }
func (*Poller[M]) Post(func())                { panic("sock: not on this system") }
func (*Poller[M]) Close()                     { panic("sock: not on this system") }
func (*Poller[M]) Run(func(*M), func()) error { panic("sock: not on this system") }
