package proxy

import (
	"anabranch/internal/resp"
	"anabranch/translate"
)

// announce publishes here, which the reply is about, and tells the proxies that serve other regions.
func (s *session) announce(args [][]byte) {
	s.pass(0, s.silent(), 1, s.scan.Raw)
	if channel := s.server.cfg.MessageChannel; channel != "" {
		s.pass(0, true, 1, resp.AppendCommand(nil, []byte("SPUBLISH"), []byte(channel), s.scan.Raw))
	}
}

// subscribe moves the session to a lane of its own, where messages may arrive at any time.
func (s *session) subscribe(args [][]byte) {
	if s.private == nil {
		s.barrier()
		s.private = s.server.cfg.Backend.Private(s.caller, s.db, s.proto)
		s.lane = s.private
		s.watchOut()
	}
	s.subs.add(s.current, args[1:])
	s.passSubscription(len(args) - 1)
	s.publish()
	if was := s.user; s.directory != s.server.users.now() {
		// Whoever changed the rules may not have seen these subscriptions.
		s.adopt()
		s.ending = s.ending || s.user.LosesChannels(was) && !s.subs.allowedTo(s.user)
	}
}

// unsubscribe leaves some or all channels of a kind, and the private lane with the last.
func (s *session) unsubscribe(args [][]byte) {
	if s.private == nil {
		s.replyNotSubscribed(args)
		return
	}
	left := s.subs.remove(s.current, args[1:])
	s.passSubscription(max(1, len(args)-1, left))
	if s.subs.count() == 0 {
		s.leavePrivate()
	}
	s.publish()
}

// passSubscription sends the command. In RESP2 each name has an answer. In RESP3 the answers are messages, which come
// when they come; a PING behind the command tells when it has been done.
func (s *session) passSubscription(answers int) {
	if s.proto == resp.RESP2 {
		s.pass(0, s.silent(), answers, s.scan.Raw)
		return
	}
	raw := append(append([]byte(nil), s.scan.Raw...), pingCommand...)
	s.pass(0, true, 1, raw)
}

// leavePrivate goes back to the shared lane.
func (s *session) leavePrivate() {
	s.barrier()
	s.private.Close()
	s.private = nil
	s.lane = s.shared()
	s.watchOut()
}

// unsubscribeAll ends every subscription without an answer.
func (s *session) unsubscribeAll() {
	if s.private != nil {
		s.subs.clear()
		s.leavePrivate()
	}
}

// replyNotSubscribed answers as Redis does when there is nothing to leave.
func (s *session) replyNotSubscribed(args [][]byte) {
	kind := s.current.FullName()
	var out []byte
	for i := 1; i == 1 || i < len(args); i++ {
		out = resp.AppendPush(out, 3, s.proto)
		out = resp.AppendBulkString(out, kind)
		if i < len(args) {
			out = resp.AppendBulk(out, args[i])
		} else {
			out = resp.AppendNull(out, s.proto)
		}
		out = resp.AppendInt(out, 0)
	}
	s.reply(out)
}

// allowedSubscribed tells what a subscribed client may do in RESP2.
func allowedSubscribed(cmd *translate.Command) bool {
	if cmd == nil {
		return true // unknown, which is the better answer
	}
	switch cmd.Name {
	case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "PING", "QUIT", "RESET":
		return true
	}
	return false
}
