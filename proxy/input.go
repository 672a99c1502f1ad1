package proxy

// Sizes of read buffers.
const (
	loopBytes  = 64 << 10 // the buffer that all sessions of a loop share
	firstBytes = 16 << 10 // a session's own one, when it needs it
	keptBytes  = 64 << 10 // one that grew beyond this is let go when it is empty
)

// input is what was read from a client: buf[next:have] is not consumed yet. A session that never sends more than
// arrives at once borrows its loop's buffer, so idle clients cost none.
type input struct {
	buf        []byte
	next, have int
	borrowed   bool
}

// borrow prepares a read into shared, unless the session has a buffer of its own.
func (s *session) borrow(shared []byte) {
	if s.buf == nil {
		s.buf, s.borrowed = shared, true
	}
}

// settle gives a borrowed buffer back, with what is left of it in one of the session's own.
func (s *session) settle() {
	if !s.borrowed {
		return
	}
	left := s.buf[s.next:s.have]
	s.buf, s.borrowed = nil, false
	s.next, s.have = 0, 0
	if len(left) > 0 {
		s.own(max(firstBytes, 2*len(left)))
		s.have = copy(s.buf, left)
		s.scan.Reset() // its spans were in the borrowed buffer
	}
}

// own makes sure that the session has a buffer of its own.
func (s *session) own(size int) {
	if s.buf == nil {
		s.buf = make([]byte, size)
	}
}

// makeRoom prepares the session's own buffer for the next read. false means that a command is longer than allowed.
func (s *session) makeRoom() bool {
	unread := s.have - s.next
	switch {
	case unread == 0:
		s.next, s.have = 0, 0
		if len(s.buf) > keptBytes {
			s.buf = nil
			clear(s.ops[:cap(s.ops)]) // their spans would keep it alive
		}
	case unread >= s.server.cfg.QueryBytes:
		s.server.cutOff.Add(1)
		s.server.cfg.Log.Warn().Int64("client", s.id).Int("bytes", unread).Msg("client closed: query buffer limit")
		return false
	case len(s.buf)-s.have >= len(s.buf)/2:
	case s.next > 0 && unread <= len(s.buf)/2:
		s.have = copy(s.buf, s.buf[s.next:s.have])
		s.next = 0
		s.scan.Reset() // its spans have moved
	default:
		// A new buffer: the spans of the unfinished command stay valid in the old one, which nobody writes to any more. It
		// grows with what has arrived, not with what a client has announced.
		grown := make([]byte, 2*len(s.buf))
		s.have = copy(grown, s.buf[s.next:s.have])
		s.next = 0
		s.buf = grown
	}
	return true
}
