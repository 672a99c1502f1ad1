package proxy

import (
	"fmt"
	"strings"

	"anabranch/internal/resp"
	"anabranch/translate"
)

// announce publishes here, which the reply is about, and tells the proxies that serve other regions.
func (s *session) announce(args [][]byte) {
	if s.reserved(args[1:2]) {
		return
	}
	s.pass(0, s.silent(), 1, s.scan.Raw)
	if channel := s.server.cfg.MessageChannel; channel != "" {
		s.pass(0, true, 1, resp.AppendCommand(nil, []byte("SPUBLISH"), []byte(channel), s.scan.Raw))
	}
}

// reserved answers a command that names a channel of ours. Patterns name none: what they would show is filtered.
func (s *session) reserved(channels [][]byte) bool {
	if strings.HasPrefix(s.current.Name, "PSUB") {
		return false
	}
	for _, channel := range channels {
		if s.server.classifier.Reserves(channel) {
			s.replyError(fmt.Sprintf(errReservedChannel, channel))
			return true
		}
	}
	return false
}

// countSubscribers is PUBSUB NUMSUB and SHARDNUMSUB.
func (s *session) countSubscribers(args [][]byte) {
	if !s.reserved(args[2:]) {
		s.pass(0, s.silent(), 1, s.scan.Raw)
	}
}

// subscribe moves the session to a lane of its own, where messages may arrive at any time.
func (s *session) subscribe(args [][]byte) {
	if s.reserved(args[1:]) {
		return
	}
	s.goPrivate()
	s.expect(true)
	s.subs.add(s.current, args[1:])
	s.watchOut()
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
	s.publish()
}

// passSubscription sends the command. Its answers are messages, one for each name, which come even when the client wants no
// replies. In RESP3 they come when they come; a PING behind the command tells when it has been done.
func (s *session) passSubscription(answers int) {
	if s.proto == resp.RESP2 {
		s.pass(0, false, answers, s.scan.Raw)
		return
	}
	raw := append(append([]byte(nil), s.scan.Raw...), pingCommand...)
	s.pass(0, true, 1, raw)
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
	s.skipNext = false
	muted := s.muted
	s.muted = false
	s.reply(out)
	s.muted = muted
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
