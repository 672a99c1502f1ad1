package proxy

import (
	"anabranch/internal/backend"
	"anabranch/internal/sock"
)

// loop serves many clients from one goroutine: it reads whoever has sent something and submits it, and at the end of
// each round sends what all of them have submitted. That is where batches come from.
type loop struct {
	poller *sock.Poller[session]
	buf    []byte
	lanes  []*backend.Lane // used in this round
}

func newLoop() (*loop, error) {
	poller, err := sock.NewPoller[session]()
	if err != nil {
		return nil, err
	}
	return &loop{poller: poller, buf: make([]byte, loopBytes)}, nil
}

// run serves until the poller is closed.
func (l *loop) run() error { return l.poller.Run(l.readable, l.finishRound) }

// readable reads a client once and acts on what it has sent.
func (l *loop) readable(s *session) {
	s.borrow(l.buf)
	n, err := s.out.sock.Recv(s.buf[s.have:])
	if n == 0 && err == nil {
		s.settle()
		return
	}
	if err != nil {
		s.settle()
		l.leave(s, s.end)
		return
	}
	s.have += n
	s.inline = l
	done := s.consume()
	s.inline = nil
	s.settle()
	switch {
	case s.ending:
		l.leave(s, s.end)
	case !done, s.noRoom, s.unsettled():
		l.leave(s, s.detour)
	case !s.makeRoom():
		l.leave(s, s.end)
	}
}

// leave hands a session over to a goroutine of its own.
func (l *loop) leave(s *session, serve func()) {
	l.poller.Remove(s.out.sock)
	go serve() // ends with its command, when it comes back, or with the session
}

// touch notes that a lane has something to send.
func (l *loop) touch(lane *backend.Lane) {
	for _, known := range l.lanes {
		if known == lane {
			return
		}
	}
	l.lanes = append(l.lanes, lane)
}

// finishRound sends what the round has gathered.
func (l *loop) finishRound() {
	for i, lane := range l.lanes {
		lane.Flush()
		l.lanes[i] = nil
	}
	l.lanes = l.lanes[:0]
}

// stop ends all sessions of the loop.
func (l *loop) stop() {
	l.poller.Post(func() {
		for _, s := range l.poller.Members() {
			s.settle()
			l.leave(s, s.end)
		}
	})
}
