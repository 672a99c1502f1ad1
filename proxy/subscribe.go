package proxy

import (
	"fmt"

	"anabranch/internal/resp"
	"anabranch/translate"
)

// subscriptions are what a session has subscribed to. The proxy keeps count by itself, so it always knows how many answers
// a command will have, and when the last subscription has gone.
type subscriptions struct {
	channels, patterns, shards map[string]struct{}
}

func (u *subscriptions) count() int { return len(u.channels) + len(u.patterns) + len(u.shards) }

// kind returns the set that a command is about.
func (u *subscriptions) kind(cmd *translate.Command) *map[string]struct{} {
	switch cmd.Name {
	case "PSUBSCRIBE", "PUNSUBSCRIBE":
		return &u.patterns
	case "SSUBSCRIBE", "SUNSUBSCRIBE":
		return &u.shards
	}
	return &u.channels
}

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

// reserved answers a command on shard channels of which one is ours.
func (s *session) reserved(channels [][]byte) bool {
	if s.current.Name[0] != 'S' || s.current.Name == "SUBSCRIBE" {
		return false
	}
	for _, channel := range channels {
		for _, ours := range []string{s.server.cfg.MessageChannel, s.server.cfg.Backend.WakeChannel()} {
			if ours != "" && string(channel) == ours {
				s.replyError(fmt.Sprintf(errReservedChannel, ours))
				return true
			}
		}
	}
	return false
}

// subscribe moves the session to a lane of its own, where messages may arrive at any time.
func (s *session) subscribe(args [][]byte) {
	if s.reserved(args[1:]) {
		return
	}
	if s.private == nil {
		s.barrier()
		s.private = s.server.cfg.Backend.Private(s.caller, s.db, s.proto)
		s.lane = s.private
		s.watchOut()
	}
	set := s.subs.kind(s.current)
	if *set == nil {
		*set = make(map[string]struct{})
	}
	for _, name := range args[1:] {
		(*set)[string(name)] = struct{}{}
	}
	s.passSubscription(len(args) - 1)
	s.publish()
}

// unsubscribe leaves some or all channels of a kind, and the private lane with the last.
func (s *session) unsubscribe(args [][]byte) {
	set := s.subs.kind(s.current)
	if s.private == nil {
		s.replyNotSubscribed(args)
		return
	}
	answers := len(args) - 1
	if answers == 0 {
		answers = max(1, len(*set))
		clear(*set)
	}
	for _, name := range args[1:] {
		delete(*set, string(name))
	}
	s.passSubscription(answers)
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
		s.subs = subscriptions{}
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
