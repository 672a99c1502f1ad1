package proxy

import (
	"bytes"
	"context"
	"crypto/subtle"
	"fmt"

	"anabranch/internal/resp"
)

// defaultUser is the only user that the proxy knows: rights within the region are the Redis server's business.
const defaultUser = "default"

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
	switch len(args) {
	case 2:
		if s.server.cfg.Password == "" {
			s.replyError(errNoPassword)
			return
		}
		s.logIn([]byte(defaultUser), args[1])
	case 3:
		s.logIn(args[1], args[2])
	default:
		s.replyError(errSyntax)
		return
	}
}

// logIn answers AUTH.
func (s *session) logIn(user, password []byte) {
	if !s.authenticate(user, password) {
		s.replyError(errWrongPass)
		return
	}
	s.replyOK()
}

// authenticate checks a login. Without a configured password, any will do for the default user, as in Redis.
func (s *session) authenticate(user, password []byte) bool {
	want := []byte(s.server.cfg.Password)
	if string(user) != defaultUser || len(want) > 0 && subtle.ConstantTimeCompare(password, want) != 1 {
		return false
	}
	s.authorized = true
	s.watchOut()
	return true
}

// hello is HELLO [version [AUTH user password] [SETNAME name]].
func (s *session) hello(args [][]byte) {
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
	var user, password, name []byte
	for i := 2; i < len(args); {
		switch {
		case is(args[i], "AUTH") && i+2 < len(args):
			user, password = args[i+1], args[i+2]
			i += 3
		case is(args[i], "SETNAME") && i+1 < len(args):
			name = args[i+1]
			i += 2
		default:
			s.replyError(fmt.Sprintf(errHelloOption, args[i]))
			return
		}
	}
	if user != nil && !s.authenticate(user, password) {
		s.replyError(errWrongPass)
		return
	}
	if !s.authorized {
		s.replyError(errHelloNoAuth)
		return
	}
	if name != nil && !s.setName(name) {
		s.replyError(errClientName)
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
	case s.private != nil:
		s.selectPrivately(db)
		s.db = db
		s.publish()
	default:
		s.change(db, s.proto)
		s.replyOK()
	}
}

// change moves the session to the lane of another database or protocol, once nothing of it is under way on the old one.
// A private lane stays, in another protocol; its database is selectPrivately's business.
func (s *session) change(db, proto int) {
	if db == s.db && proto == s.proto {
		return
	}
	if s.private != nil {
		s.speakPrivately(proto)
	} else {
		s.barrier()
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
	s.tx, s.watching, s.pinned, s.subs = nil, false, false, subscriptions{}
	s.settleLane()
	s.muted, s.skipNext, s.noEvict = false, false, false
	s.name.Store(nil)
	s.authorized = s.server.cfg.Password == ""
	s.change(0, resp.RESP2)
	s.watchOut()
	s.publish()
	s.replySimple("RESET")
}

// is compares an argument with a word given in upper case.
func is(arg []byte, word string) bool {
	return len(arg) == len(word) && bytes.EqualFold(arg, []byte(word))
}
