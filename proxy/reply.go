package proxy

import (
	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

// reply answers the command at hand with ready bytes, in order with everything before it: at once when nothing is under
// way, else behind the replies of the same submission.
func (s *session) reply(p []byte) {
	if s.silent() {
		return
	}
	if s.replay == nil && len(s.ops) == 0 && !s.listening() && (len(s.direct) > 0 || s.caller.Idle()) {
		s.direct = append(s.direct, p...)
		if len(s.direct) >= directBytes {
			s.flush()
		}
		return
	}
	if s.replay == nil && (len(s.ops) == 0 || s.listening()) {
		// Replies of earlier reads are still to come, or messages may come at any time, also behind the reply to the
		// command before. An answer of the server's own gives this one its place among them.
		s.pass(0, true, 1, s.marker())
	}
	start := len(s.literals)
	s.literals = append(s.literals, p...)
	s.runEnd = 0
	s.ops = append(s.ops, backend.Op{Kind: backend.OpLiteral, Bytes: s.literals[start:len(s.literals):len(s.literals)]})
}

// The answers below share one scratch buffer.

func (s *session) replyOK() { s.reply([]byte("+OK\r\n")) }

func (s *session) replyError(text string) {
	s.failed = true
	s.scratch = resp.AppendError(s.scratch[:0], text)
	s.reply(s.scratch)
}

func (s *session) replySimple(text string) {
	s.scratch = resp.AppendSimple(s.scratch[:0], text)
	s.reply(s.scratch)
}

func (s *session) replyBulk(value []byte) {
	s.scratch = resp.AppendBulk(s.scratch[:0], value)
	s.reply(s.scratch)
}

func (s *session) replyText(text string) {
	s.scratch = resp.AppendVerbatim(s.scratch[:0], text, s.proto)
	s.reply(s.scratch)
}

func (s *session) replyInt(value int64) {
	s.scratch = resp.AppendInt(s.scratch[:0], value)
	s.reply(s.scratch)
}

func (s *session) replyNull() {
	s.scratch = resp.AppendNull(s.scratch[:0], s.proto)
	s.reply(s.scratch)
}

// replyHelp answers a HELP subcommand in Redis's form.
func (s *session) replyHelp(command string, lines ...string) {
	lines = append([]string{command + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}, lines...)
	lines = append(lines, "HELP", "    Prints this help.")
	s.scratch = resp.AppendArray(s.scratch[:0], len(lines))
	for _, line := range lines {
		s.scratch = resp.AppendSimple(s.scratch, line)
	}
	s.reply(s.scratch)
}
