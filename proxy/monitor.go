package proxy

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"anabranch/translate"
)

// monitors are the sessions that said MONITOR. They are shown what the clients of this proxy run: Redis itself would show
// the engine's calls.
type monitors struct {
	listening sync.WaitGroup

	mu       sync.Mutex
	sessions []*session         // never changed in place
	stop     context.CancelFunc // of hearing what scripts call; nil while nobody monitors
}

// hear begins to listen to what scripts call, and returns when none is missed any more. The lock must be held.
func (m *monitors) hear(s *Server) {
	if m.stop != nil {
		return
	}
	ctx, cancel := context.WithCancel(s.lifetime)
	m.stop = cancel
	heard := make(chan struct{})
	begun := sync.OnceFunc(func() { close(heard) })
	m.listening.Go(func() { // ends with the last monitor, or with the server
		s.cfg.Backend.ScriptCalls(ctx, begun, func(db int, args [][]byte) { s.showCall(db, args) })
		begun()
	})
	select {
	case <-heard:
	case <-time.After(s.cfg.ControlTimeout):
	}
	if err := s.cfg.Backend.Monitored(ctx); err != nil {
		s.cfg.Log.Warn().Err(err).Msg("MONITOR will not show what scripts call")
	}
}

func (m *monitors) all() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions
}

// monitor is MONITOR.
func (s *session) monitor([][]byte) {
	if s.monitoring {
		return // without an answer, as Redis does
	}
	s.barrier()
	s.out.DeliverPart(nil) // what is shown from now on comes behind the answer
	m := &s.server.monitors
	m.mu.Lock()
	m.hear(s.server)
	m.sessions = append(slices.Clone(m.sessions), s)
	m.mu.Unlock()
	s.monitoring = true
	s.server.updateAlert()
	s.watchOut()
	s.publish()
	s.replyOK()
	s.barrier()
	s.out.Deliver(nil) // the client may want no answer
}

// stopMonitoring is for RESET and for the end of the connection.
func (s *session) stopMonitoring() {
	if !s.monitoring {
		return
	}
	s.monitoring = false
	m := &s.server.monitors
	m.mu.Lock()
	m.sessions = slices.DeleteFunc(slices.Clone(m.sessions), func(other *session) bool { return other == s })
	if len(m.sessions) == 0 && m.stop != nil {
		m.stop()
		m.stop = nil
	}
	m.mu.Unlock()
	s.server.updateAlert()
}

// show sends a command that this session has run to whoever monitors, as Redis writes it.
func (s *session) show(cmd *translate.Command, args [][]byte) {
	// Redis shows scripts although they have the flag, in front of what they call.
	runs := cmd != nil && cmd.Class == translate.Script && cmd.HasKeys()
	if cmd == nil || cmd.Flags&translate.FlagAdmin != 0 || cmd.Flags&translate.FlagSkipMonitor != 0 && !runs {
		return
	}
	all := s.server.monitors.all()
	if len(all) == 0 {
		return
	}
	if s.monitoring {
		s.flush() // its own answer comes first
	}
	shown := slices.Clone(args)
	for i := range args {
		if isSecret(cmd, args, i) {
			shown[i] = redacted
		}
	}
	tell(all, monitorLine(s.db, address(s.conn.RemoteAddr()), shown))
}

// showCall does the same with what a script calls.
func (s *Server) showCall(db int, args [][]byte) {
	tell(s.monitors.all(), monitorLine(db, "lua", args))
}

func tell(all []*session, line []byte) {
	for _, other := range all {
		other.out.message(line)
	}
}

// monitorLine is a command with its time, database and source.
func monitorLine(db int, source string, args [][]byte) []byte {
	now := time.Now()
	line := strconv.AppendInt([]byte("+"), now.Unix(), 10)
	line = append(line, '.')
	micros := strconv.Itoa(1_000_000 + now.Nanosecond()/1000)
	line = append(line, micros[1:]...)
	line = append(line, " ["...)
	line = strconv.AppendInt(line, int64(db), 10)
	line = append(line, ' ')
	line = append(line, source...)
	line = append(line, ']')
	for _, arg := range args {
		line = append(line, ' ')
		line = appendQuoted(line, arg)
	}
	return append(line, '\r', '\n')
}

var redacted = []byte("(redacted)")

// isSecret tells which arguments nobody else may see: names and passwords in AUTH and HELLO.
func isSecret(cmd *translate.Command, args [][]byte, at int) bool {
	switch cmd.Name {
	case "AUTH":
		return at > 0
	case "HELLO":
		return at > 2 && is(args[at-1], "AUTH") || at > 3 && is(args[at-2], "AUTH")
	}
	return false
}

// appendQuoted appends an argument in double quotes, with escapes for what is not printable ASCII.
func appendQuoted(dst, arg []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range arg {
		switch at := bytes.IndexByte([]byte("\\\"\n\r\t\a\b"), c); {
		case at >= 0:
			dst = append(dst, '\\', `\"nrtab`[at])
		case c >= ' ' && c <= '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}
