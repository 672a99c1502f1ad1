package sock

import (
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Poller tells which of its members have something to read. Everything about it happens in Run's goroutine, except that
// Add and Post may be called from anywhere.
type Poller[M any] struct {
	file *os.File
	raw  syscall.RawConn
	wake int // an eventfd

	mu      sync.Mutex
	members []*M // by descriptor
	posted  []func()
	closed  bool

	events [128]syscall.EpollEvent
	ready  []*M
}

// NewPoller returns a poller without members. It holds descriptors: Run must be called.
func NewPoller[M any]() (*Poller[M], error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// The runtime's own poller watches ours: Run waits as any goroutine waits for a connection, without a thread of its own.
	syscall.SetNonblock(epoll, true)
	p := &Poller[M]{file: os.NewFile(uintptr(epoll), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, err
	}
	wake, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		p.file.Close()
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	p.wake = int(wake)
	if err := p.control(syscall.EPOLL_CTL_ADD, p.wake); err != nil {
		p.file.Close()
		syscall.Close(p.wake)
		return nil, err
	}
	return p, nil
}

// control must be called while the descriptor is certainly open.
func (p *Poller[M]) control(op, fd int) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(fd)}
	var err error
	if used := p.raw.Control(func(epoll uintptr) { err = syscall.EpollCtl(int(epoll), op, fd, &event) }); used != nil {
		return used
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// Add makes a connection a member. Member is reported whenever there is something to read, until Remove.
func (p *Poller[M]) Add(s *Sock, member *M) error {
	var err error
	used := s.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		for len(p.members) <= int(fd) {
			p.members = append(p.members, nil)
		}
		p.members[fd] = member
		p.mu.Unlock()
		if err = p.control(syscall.EPOLL_CTL_ADD, int(fd)); err != nil {
			p.mu.Lock()
			p.members[fd] = nil
			p.mu.Unlock()
		}
	})
	if used != nil {
		return used
	}
	return err
}

// Remove ends a membership. It must be called before the connection is closed, from Run's goroutine.
func (p *Poller[M]) Remove(s *Sock) {
	s.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		p.members[fd] = nil
		p.mu.Unlock()
		p.control(syscall.EPOLL_CTL_DEL, int(fd))
	})
}

// Members lists all members.
func (p *Poller[M]) Members() []*M {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*M
	for _, member := range p.members {
		if member != nil {
			all = append(all, member)
		}
	}
	return all
}

// Post has f run in Run's goroutine. After Close it does nothing.
func (p *Poller[M]) Post(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.posted = append(p.posted, f)
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.wake), uintptr(unsafe.Pointer(&one)), 8)
}

// Close makes Run return.
func (p *Poller[M]) Close() {
	p.Post(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
	})
}

// Run calls readable for the members that have something to read, and done after each round of them. It returns after
// Close.
func (p *Poller[M]) Run(readable func(*M), done func()) error {
	err := p.raw.Read(func(epoll uintptr) bool {
		for {
			n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&p.events[0])),
				uintptr(len(p.events)), 0, 0, 0)
			if errno == syscall.EINTR {
				continue
			}
			if errno != 0 || n == 0 {
				return errno != 0
			}
			if p.round(int(n), readable); p.isClosed() {
				return true
			}
			done()
		}
	})
	p.file.Close()
	syscall.Close(p.wake)
	return err
}

func (p *Poller[M]) round(n int, readable func(*M)) {
	posted := false
	p.ready = p.ready[:0]
	p.mu.Lock()
	for _, event := range p.events[:n] {
		if int(event.Fd) == p.wake {
			posted = true
		} else if member := p.members[event.Fd]; member != nil {
			p.ready = append(p.ready, member)
		}
	}
	p.mu.Unlock()
	for i, member := range p.ready {
		p.ready[i] = nil
		readable(member)
	}
	if posted {
		p.runPosted()
	}
}

func (p *Poller[M]) runPosted() {
	var count [8]byte
	syscall.RawSyscall(syscall.SYS_READ, uintptr(p.wake), uintptr(unsafe.Pointer(&count[0])), 8)
	p.mu.Lock()
	posted := p.posted
	p.posted = nil
	p.mu.Unlock()
	for _, f := range posted {
		f()
	}
}

func (p *Poller[M]) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}
