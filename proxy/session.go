package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Sizes of a session's buffers.
const (
	readBytes   = 16 << 10 // first read buffer; grows with the commands
	keptBytes   = 64 << 10 // a buffer that grew beyond this is let go when it is empty
	directBytes = 64 << 10 // local answers are written when they have become this many
)

// session is one client. One goroutine reads its commands and owns all fields but those that are said to be shared;
// replies are written by whoever has them.
type session struct {
	server *Server
	conn   net.Conn
	out    *output
	caller *backend.Caller
	id     int64
	fd     int
	since  time.Time

	buf        []byte // buf[:have] was read, buf[next:have] is not consumed yet
	next, have int
	scan       resp.Scanner

	ops      []backend.Op // of this read, for one submission
	runEnd   int          // where in buf the last run of reads ends, 0 when there is none to go on with
	literals []byte       // bytes of ready answers among ops
	direct   []byte       // answers while nothing is under way
	scratch  []byte
	current  *translate.Command // the command at hand

	lane    *backend.Lane // where commands go: a shared lane, or private
	private *backend.Lane // while subscribed
	subs    subscriptions
	db      int
	proto   int

	careful    bool // some state below, or the server's, needs a look before each command
	authorized bool
	muted      bool // CLIENT REPLY OFF
	skipNext   bool // this command is the one after CLIENT REPLY SKIP
	skipBegins bool // this command is CLIENT REPLY SKIP
	ending     bool // nothing more is read

	// Shared with CLIENT LIST and CLIENT KILL of other sessions.
	name    atomic.Pointer[string]
	lastUse atomic.Int64 // Unix seconds
	lastCmd atomic.Pointer[translate.Command]
	view    atomic.Pointer[view]
}

func newSession(server *Server, conn net.Conn, id int64) *session {
	s := &session{
		server: server, conn: conn, id: id, since: time.Now(),
		proto:      resp.RESP2,
		authorized: server.cfg.Password == "",
	}
	s.out = newOutput(conn, server.cfg.OutputBytes, s.tooSlow)
	if s.out.raw != nil {
		s.out.raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	s.caller = backend.NewCaller(s.out)
	s.buf = make([]byte, readBytes)
	s.lane = s.shared()
	s.lastUse.Store(server.seconds.Load())
	s.watchOut()
	s.publish()
	return s
}

// run serves the client until it goes, or the server does.
func (s *session) run() {
	defer s.end()
	for !s.ending {
		n, err := s.conn.Read(s.buf[s.have:])
		if n > 0 {
			s.have += n
			s.consume()
		}
		if err != nil {
			return
		}
		if !s.makeRoom() {
			return
		}
	}
}

// end lets everything that was asked for be answered, and closes. Replies to a client that is gone are thrown away.
func (s *session) end() {
	s.barrier()
	if s.private != nil {
		s.private.Close()
	}
	s.out.finish()
	s.server.forget(s)
}

// consume acts on all complete commands in the buffer, as one submission.
func (s *session) consume() {
	s.lastUse.Store(s.server.seconds.Load())
	if s.careful || !s.server.cfg.Backend.Ready() {
		s.watchOut()
	}
	for s.next < s.have && !s.ending {
		n, err := s.scan.Scan(s.buf[s.next:s.have])
		if err != nil {
			s.replyError("ERR " + err.Error())
			s.ending = true
			break
		}
		if n == 0 {
			break
		}
		if len(s.scan.Args) > 0 {
			s.dispatch(s.next, s.next+n)
		}
		s.next += n
	}
	s.flush()
	if s.current != s.lastCmd.Load() {
		s.lastCmd.Store(s.current)
	}
}

// makeRoom prepares the buffer for the next read. false means that a command is longer than allowed.
func (s *session) makeRoom() bool {
	if s.next == s.have {
		s.next, s.have = 0, 0
		if len(s.buf) > keptBytes {
			s.buf = make([]byte, readBytes)
			clear(s.ops[:cap(s.ops)]) // their spans would keep the old one alive
		}
		return true
	}
	unread := s.have - s.next
	if unread >= s.server.cfg.QueryBytes {
		s.server.cfg.Log.Warn().Int64("client", s.id).Int("bytes", unread).Msg("client closed: query buffer limit")
		return false
	}
	if len(s.buf)-s.have >= len(s.buf)/2 {
		return true
	}
	if s.next > 0 && unread <= len(s.buf)/2 {
		s.have = copy(s.buf, s.buf[s.next:s.have])
		s.next = 0
		s.scan.Reset() // its spans have moved
		return true
	}
	// A new buffer: the spans of the unfinished command stay valid in the old one, which nobody writes to any more. It
	// grows with what has arrived, not with what a client has announced.
	grown := make([]byte, 2*len(s.buf))
	s.have = copy(grown, s.buf[s.next:s.have])
	s.next = 0
	s.buf = grown
	return true
}

// flush brings out what this read has led to.
func (s *session) flush() {
	if len(s.direct) > 0 {
		s.out.Deliver(s.direct)
		s.direct = s.direct[:0]
		if cap(s.direct) > keptBytes {
			s.direct = nil
		}
	}
	if len(s.ops) > 0 {
		s.lane.Submit(s.caller, s.ops)
		if cap(s.ops) > 4096 {
			s.ops = nil
		}
		s.ops = s.ops[:0]
		s.literals = s.literals[:0]
	}
	s.runEnd = 0
}

// barrier waits until everything so far has been answered.
func (s *session) barrier() {
	s.flush()
	s.caller.Drain()
}

// shared returns the shared lane for the session's database and protocol.
func (s *session) shared() *backend.Lane {
	return s.server.cfg.Backend.Lane(s.db, s.proto, int(s.id))
}

func (s *session) tooSlow(bytes int) {
	s.server.cfg.Log.Warn().Int64("client", s.id).Int("bytes", bytes).Msg("client closed: output buffer limit")
}
