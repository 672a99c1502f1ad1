package proxy

import (
	"net"
	"sync/atomic"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// session is one client. One goroutine at a time reads its commands and owns all fields but those that are said to be
// shared: the loop that it is a member of, or one of its own while a command may block (alone.go). Replies are
// written by whoever has them.
type session struct {
	server *Server
	conn   net.Conn
	out    *output
	caller *backend.Caller
	id     int64
	fd     int
	since  time.Time

	loop   *loop // nil: the session always has a goroutine of its own
	inline *loop // the loop that runs it at the moment, which flushes afterwards and must not block

	input
	scan resp.Scanner

	ops      []backend.Op // of this read, for one submission
	runEnd   int          // where in the buffer the last run of reads ends, 0 when there is none to go on with
	literals []byte       // bytes of ready answers among ops
	direct   []byte       // answers while nothing is under way
	scratch  []byte
	current  *translate.Command // the command at hand
	handedOn bool               // it counts when Redis answers it
	failed   bool               // it was answered with an error
	tally    tally

	lane      *backend.Lane // where commands go: a shared lane, or private
	private   *backend.Lane // while subscribed or tracking, and since it watched (private.go)
	noRoom    bool          // the lane wants a pause
	waiter    *waiter       // of the next command, which is under way: a goroutine of its own goes on with it
	expecting bool          // messages may come on the private lane
	subs      subscriptions
	tracking  tracking
	db        int
	proto     int

	scripting bool         // the lane is the one of scripts
	tx        *transaction // since MULTI
	replay    *replay      // while EXEC carries out what was queued
	watching  bool         // WATCH is on, on the private lane
	pinned    bool         // has watched once, and will again: the private lane stays

	careful bool // some state below, or the server's, needs a look before each command
	access
	muted      bool // CLIENT REPLY OFF
	skipNext   bool // this command is the one after CLIENT REPLY SKIP
	skipBegins bool // this command is CLIENT REPLY SKIP
	ending     bool // nothing more is read
	monitoring bool // MONITOR
	noEvict    bool // CLIENT NO-EVICT

	// Shared with CLIENT LIST of other sessions.
	name    atomic.Pointer[string]
	lastUse atomic.Int64 // Unix seconds
	lastCmd atomic.Pointer[translate.Command]
	view    atomic.Pointer[view]
	blocked atomic.Bool // waits in a command
}

const directBytes = 64 << 10 // local answers are written when they have become this many

func newSession(server *Server, conn net.Conn, id int64) *session {
	s := &session{
		server: server, conn: conn, id: id, since: time.Now(),
		proto: resp.RESP2,
	}
	s.out = newOutput(conn, server.cfg.OutputBytes)
	s.out.linger, s.out.onLimit = server.cfg.ShutdownTimeout, s.tooSlow
	s.out.onClose = func() { server.forget(s) }
	if s.out.bare != nil {
		s.fd = s.out.bare.FD()
	}
	s.caller = backend.NewCaller(s.out)
	s.lane = s.shared()
	s.lastUse.Store(server.seconds.Load())
	s.publish()
	s.adopt()
	return s
}

// consume acts on all complete commands in the buffer, as one submission. When it runs inline it stops before a command
// that may block, and returns false: go on in another goroutine.
func (s *session) consume() (done bool) {
	s.lastUse.Store(s.server.seconds.Load())
	if s.careful || s.server.alert.Load() || !s.server.cfg.Backend.Ready() || s.directory != s.server.users.now() {
		s.adopt()
	}
	done = true
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
		if len(s.scan.Args) > 0 && !s.dispatch(s.next, s.next+n) {
			done = false
			break
		}
		s.next += n
	}
	s.reportTally()
	s.flush()
	if s.current != s.lastCmd.Load() {
		s.lastCmd.Store(s.current)
	}
	return done
}

// flush brings out what this read has led to. The bytes of the read buffer are no longer needed then.
func (s *session) flush() {
	if s.replay != nil {
		return // EXEC submits all at once
	}
	if len(s.direct) > 0 {
		s.out.Deliver(s.direct)
		s.direct = s.direct[:0]
		if cap(s.direct) > directBytes {
			s.direct = nil
		}
	}
	if len(s.ops) > 0 {
		s.noRoom = !s.lane.Submit(s.caller, s.ops)
		if s.inline != nil {
			s.inline.touch(s.lane)
		} else {
			s.lane.Kick()
		}
		if cap(s.ops) > maxKeptOps {
			s.ops = nil
		}
		s.ops = s.ops[:0]
		s.literals = s.literals[:0]
	}
	s.runEnd = 0
}

const maxKeptOps = 1 << 10

// barrier waits until everything so far has been answered. It may not be called inline.
func (s *session) barrier() {
	if s.replay != nil {
		return
	}
	s.flush()
	s.caller.Drain()
}

// end lets everything that was asked for be answered, and closes. Replies to a client that is gone are thrown away. It may
// not be called inline.
func (s *session) end() {
	s.barrier()
	s.stopMonitoring()
	if s.private != nil {
		s.private.Close()
	}
	s.server.redirects.leave(s.tracking.redirect)
	s.out.finish()
}

// shared returns the shared lane for the session's database and protocol.
func (s *session) shared() *backend.Lane {
	return s.server.cfg.Backend.Lane(s.db, s.proto, int(s.id))
}

func (s *session) tooSlow(bytes int) {
	s.server.cutOff.Add(1)
	s.server.cfg.Log.Warn().Int64("client", s.id).Int("bytes", bytes).Msg("client closed: output buffer limit")
}
