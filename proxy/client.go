package proxy

import (
	"fmt"
	"net"
	"strings"
)

func (s *session) clientID([][]byte) { s.replyInt(s.id) }

func (s *session) clientGetName([][]byte) {
	if name := s.name.Load(); name != nil {
		s.replyBulk([]byte(*name))
		return
	}
	s.replyNull()
}

func (s *session) clientSetName(args [][]byte) {
	if !s.setName(args[2]) {
		s.replyError(errClientName)
		return
	}
	s.replyOK()
}

// setName reports false for a name that would break the lines of CLIENT LIST.
func (s *session) setName(name []byte) bool {
	for _, c := range name {
		if c < '!' || c > '~' {
			return false
		}
	}
	if len(name) == 0 {
		s.name.Store(nil)
		return true
	}
	text := string(name)
	s.name.Store(&text)
	return true
}

func (s *session) clientReply(args [][]byte) {
	switch {
	case is(args[2], "ON"):
		s.muted, s.skipNext = false, false
		s.replyOK()
	case is(args[2], "OFF"):
		s.muted = true
	case is(args[2], "SKIP"):
		if !s.muted {
			s.skipBegins = true
		}
	default:
		s.replyError(errSyntax)
	}
}

// clientNoEvict has no effect but in CLIENT LIST: the proxy does not evict clients.
func (s *session) clientNoEvict(args [][]byte) {
	if !is(args[2], "ON") && !is(args[2], "OFF") {
		s.replyError(errSyntax)
		return
	}
	s.noEvict = is(args[2], "ON")
	s.publish()
	s.replyOK()
}

func (s *session) clientHelp([][]byte) {
	s.replyHelp("CLIENT",
		"CACHING (YES|NO)", "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
		"GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled.",
		"GETNAME", "    Return the name of the current connection.",
		"ID", "    Return the ID of the current connection.",
		"INFO", "    Return information about the current client connection.",
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Kill connections by type.",
		"    * USER <username>", "      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)", "      Skip killing current connection (default: yes).",
		"LIST [options ...]", "    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Return clients of specified type.",
		"UNPAUSE", "    Stop the current client pause, resuming traffic.",
		"PAUSE <timeout> [WRITE|ALL]", "    Suspend all, or just write, clients for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    Unblock the specified blocked client.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]", "         [OPTIN] [OPTOUT] [NOLOOP]",
		"    Control server assisted client side caching.",
		"TRACKINGINFO", "    Report tracking status for the current connection.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
	)
}

// view is what other sessions may know of one. A new one is published at each change.
type view struct {
	db, proto                  int
	user                       string
	channels, patterns, shards int

	tracking, bcast     bool
	monitoring, noEvict bool
	multi               bool
	redirect            int64
}

func (s *session) publish() {
	s.view.Store(&view{
		db: s.db, proto: s.proto, user: s.userName(),
		channels: len(s.subs.channels), patterns: len(s.subs.patterns), shards: len(s.subs.shards),
		tracking: s.tracking.on, bcast: s.tracking.bcast, redirect: s.tracking.redirectID(),
		monitoring: s.monitoring, noEvict: s.noEvict, multi: s.tx != nil,
	})
}

func (v *view) subscribed() bool { return v.channels+v.patterns+v.shards > 0 }

// describe is one line of CLIENT LIST, of which unread bytes are known only of the session that asks.
func (s *session) describe(unread int) string {
	v := s.view.Load()
	name, command := "", "NULL"
	if text := s.name.Load(); text != nil {
		name = *text
	}
	if cmd := s.lastCmd.Load(); cmd != nil {
		command = cmd.FullName()
	}
	now := s.server.seconds.Load()
	pending := s.out.pending()
	var line strings.Builder
	fmt.Fprintf(&line, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d", s.id, address(s.conn.RemoteAddr()),
		address(s.conn.LocalAddr()), s.fd, name, max(0, now-s.since.Unix()), max(0, now-s.lastUse.Load()), s.flags(v), v.db)
	fmt.Fprintf(&line, " sub=%d psub=%d ssub=%d multi=-1 qbuf=%d qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0", v.channels,
		v.patterns, v.shards, unread, max(0, firstBytes-unread))
	fmt.Fprintf(&line, " obl=0 oll=0 omem=%d tot-mem=%d events=r cmd=%s user=%s redir=%d resp=%d", pending, pending+firstBytes,
		command, v.user, v.redirect, v.proto)
	return line.String()
}

// flags are those of CLIENT LIST, in Redis's order.
func (s *session) flags(v *view) string {
	var flags []byte
	for _, flag := range []struct {
		on     bool
		letter byte
	}{
		{v.monitoring, 'O'}, {v.subscribed(), 'P'}, {v.multi, 'x'}, {s.blocked.Load(), 'b'}, {v.tracking, 't'},
		{s.server.isBroken(v.redirect), 'R'}, {v.bcast, 'B'}, {v.noEvict, 'e'},
	} {
		if flag.on {
			flags = append(flags, flag.letter)
		}
	}
	if len(flags) == 0 {
		return "N"
	}
	return string(flags)
}

func address(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}
