package proxy

import (
	"bytes"
	"context"
	"fmt"

	"anabranch/internal/acl"
	"anabranch/internal/resp"
)

func (s *session) ping(args [][]byte) {
	switch {
	case len(args) > 2:
		s.replyError(errPingArity)
	case s.subs.count() > 0, s.server.cfg.Backend.RunsScripts():
		s.pass(0, s.silent(), 1, s.scan.Raw) // the answer depends on the subscriptions, or is that Redis is busy
	case len(args) == 2:
		s.replyBulk(args[1])
	default:
		s.reply([]byte("+PONG\r\n"))
	}
}

func (s *session) echo(args [][]byte) { s.replyBulk(args[1]) }

func (s *session) auth(args [][]byte) {
	s.adopt()
	switch {
	case len(args) > 3:
		s.replyError(errSyntax)
	case s.directory == nil:
		s.replyError(s.server.unavailable())
	case len(args) == 2 && s.directory.Default().NoPassword():
		s.replyError(errNoPassword)
	case len(args) == 2 && s.logIn([]byte(acl.DefaultUser), args[1]), len(args) == 3 && s.logIn(args[1], args[2]):
		s.replyOK()
	default:
		s.replyError(errWrongPass)
	}
}

// hello is HELLO [version [AUTH user password] [SETNAME name]]. An option counts even if a later one is wrong.
func (s *session) hello(args [][]byte) {
	s.adopt()
	if s.directory == nil {
		s.replyError(s.server.unavailable())
		return
	}
	proto := s.proto
	if len(args) > 1 {
		version, ok := integer(args[1])
		if !ok {
			s.replyError(errHelloVersion)
			return
		}
		if version < resp.RESP2 || version > resp.RESP3 {
			s.replyError(errNoProto)
			return
		}
		proto = int(version)
	}
	for i := 2; i < len(args); {
		switch {
		case is(args[i], "AUTH") && i+2 < len(args):
			if !s.logIn(args[i+1], args[i+2]) {
				s.replyError(errWrongPass)
				return
			}
			i += 3
		case is(args[i], "SETNAME") && i+1 < len(args):
			if !s.setName(args[i+1]) {
				s.replyError(errClientName)
				return
			}
			i += 2
		default:
			s.replyError(fmt.Sprintf(errHelloOption, args[i]))
			return
		}
	}
	if !s.authenticated {
		s.replyError(errHelloNoAuth)
		return
	}
	s.change(s.db, proto)
	s.reply(s.appendHello(nil))
}

func (s *session) appendHello(dst []byte) []byte {
	dst = resp.AppendMap(dst, 7, s.proto)
	for _, pair := range [][2]string{{"server", "redis"}, {"version", s.server.version()}} {
		dst = resp.AppendBulkString(dst, pair[0])
		dst = resp.AppendBulkString(dst, pair[1])
	}
	dst = resp.AppendBulkString(dst, "proto")
	dst = resp.AppendInt(dst, int64(s.proto))
	dst = resp.AppendBulkString(dst, "id")
	dst = resp.AppendInt(dst, s.id)
	for _, pair := range [][2]string{{"mode", "standalone"}, {"role", "master"}} {
		dst = resp.AppendBulkString(dst, pair[0])
		dst = resp.AppendBulkString(dst, pair[1])
	}
	dst = resp.AppendBulkString(dst, "modules")
	return resp.AppendArray(dst, 0)
}

// version is what the server behind us calls itself, so that client libraries know what it can do.
func (s *Server) version() string {
	if version := s.cfg.Backend.Server().Version; version != "" {
		return version
	}
	return "7.0.0"
}

func (s *session) selectDatabase(args [][]byte) {
	db, refusal := integer32(args[1])
	if refusal != "" {
		s.replyError(refusal)
		return
	}
	if db == s.db && s.replay == nil {
		s.replyOK()
		return
	}
	ctx, cancel := context.WithTimeout(s.server.lifetime, s.server.cfg.ControlTimeout)
	defer cancel()
	exists, err := s.server.cfg.Backend.HasDatabase(ctx, db)
	switch {
	case err != nil:
		s.replyError(errNoBackend)
	case db < 0 || !exists:
		s.replyError(errDatabase)
	case s.replay != nil:
		s.replay.db = db
		s.pass(0, false, 1, s.scan.Raw)
	default:
		s.change(db, s.proto)
		s.replyOK()
	}
}

// change moves the session to the lane of another database or protocol, once nothing of it is under way on the old one.
// A private lane stays, and follows.
func (s *session) change(db, proto int) {
	if db == s.db && proto == s.proto {
		return
	}
	s.barrier()
	if s.private != nil && db != s.db {
		s.selectPrivately(db)
	}
	if s.private != nil && proto != s.proto {
		s.speakPrivately(proto)
	}
	s.db, s.proto, s.scripting = db, proto, false
	if s.private == nil {
		s.lane = s.shared()
	}
	s.publish()
}

func (s *session) quit([][]byte) {
	s.replyOK()
	s.ending = true
}

// reset brings the connection back to where it began.
func (s *session) reset([][]byte) {
	s.stopMonitoring()
	s.stopTracking()
	s.tx, s.watching, s.pinned = nil, false, false
	s.subs.clear()
	s.settleLane()
	s.muted, s.skipNext, s.noEvict = false, false, false
	s.name.Store(nil)
	s.change(0, resp.RESP2)
	s.logOut()
	s.watchOut()
	s.replySimple("RESET")
}

// is compares an argument with a word given in upper case.
func is(arg []byte, word string) bool {
	return len(arg) == len(word) && bytes.EqualFold(arg, []byte(word))
}
