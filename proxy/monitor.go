package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"time"

	"anabranch/translate"
)

// monitors are the sessions that said MONITOR. They are shown what the clients of this proxy run: Redis itself would show
// the engine's calls.
type monitors struct {
	mu       sync.Mutex
	sessions []*session // never changed in place
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
	s.replyOK()
	s.flush() // the answer comes before the first command that is shown
	s.monitoring = true
	m := &s.server.monitors
	m.mu.Lock()
	m.sessions = append(slices.Clone(m.sessions), s)
	m.mu.Unlock()
	s.server.updateAlert()
	s.watchOut()
	s.publish()
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
	m.mu.Unlock()
	s.server.updateAlert()
}

// show sends a command that this session has run to whoever monitors, as Redis writes it.
func (s *session) show(cmd *translate.Command, args [][]byte) {
	if cmd == nil || cmd.Flags&(translate.FlagAdmin|translate.FlagSkipMonitor) != 0 {
		return
	}
	all := s.server.monitors.all()
	if len(all) == 0 {
		return
	}
	if s.monitoring {
		s.flush() // its own answer comes first
	}
	now := time.Now()
	line := strconv.AppendInt([]byte("+"), now.Unix(), 10)
	line = append(line, '.')
	micros := strconv.Itoa(1_000_000 + now.Nanosecond()/1000)
	line = append(line, micros[1:]...)
	line = append(line, " ["...)
	line = strconv.AppendInt(line, int64(s.db), 10)
	line = append(line, ' ')
	line = append(line, address(s.conn.RemoteAddr())...)
	line = append(line, ']')
	for i, arg := range args {
		if isSecret(cmd, args, i) {
			arg = redacted
		}
		line = append(line, ' ')
		line = appendQuoted(line, arg)
	}
	line = append(line, '\r', '\n')
	for _, other := range all {
		other.out.message(line)
	}
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
