package proxy

import (
	"fmt"
	"net"
	"strings"

	"anabranch/internal/resp"
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
		s.muted = false
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

// clientNoEvict is accepted and has no effect: the proxy does not evict clients.
func (s *session) clientNoEvict(args [][]byte) {
	if !is(args[2], "ON") && !is(args[2], "OFF") {
		s.replyError(errSyntax)
		return
	}
	s.replyOK()
}

func (s *session) clientGetRedir([][]byte) { s.replyInt(-1) }

func (s *session) clientTrackingInfo([][]byte) {
	out := resp.AppendMap(s.scratch[:0], 3, s.proto)
	out = resp.AppendBulkString(out, "flags")
	out = resp.AppendSet(out, 1, s.proto)
	out = resp.AppendBulkString(out, "off")
	out = resp.AppendBulkString(out, "redirect")
	out = resp.AppendInt(out, -1)
	out = resp.AppendBulkString(out, "prefixes")
	out = resp.AppendArray(out, 0)
	s.scratch = out
	s.reply(out)
}

func (s *session) clientUnpause([][]byte) { s.replyOK() }

func (s *session) clientHelp([][]byte) {
	s.replyHelp("CLIENT",
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
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    Unblock the specified blocked client.",
		"TRACKINGINFO", "    Report tracking status for the current connection.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
	)
}

// view is what other sessions may know of one. A new one is published at each change.
type view struct {
	db, proto                  int
	channels, patterns, shards int
}

func (s *session) publish() {
	s.view.Store(&view{
		db: s.db, proto: s.proto,
		channels: len(s.subs.channels), patterns: len(s.subs.patterns), shards: len(s.subs.shards),
	})
}

func (v *view) subscribed() bool { return v.channels+v.patterns+v.shards > 0 }

// describe is one line of CLIENT LIST.
func (s *session) describe() string {
	v := s.view.Load()
	name, flags, command := "", "N", "NULL"
	if text := s.name.Load(); text != nil {
		name = *text
	}
	if v.subscribed() {
		flags = "P"
	}
	if s.server.waiters.find(s.id) != nil {
		flags = strings.TrimPrefix(flags, "N") + "b"
	}
	if cmd := s.lastCmd.Load(); cmd != nil {
		command = cmd.FullName()
	}
	now := s.server.seconds.Load()
	pending := s.out.pending()
	var line strings.Builder
	fmt.Fprintf(&line, "id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d", s.id, address(s.conn.RemoteAddr()),
		address(s.conn.LocalAddr()), s.fd, name, max(0, now-s.since.Unix()), max(0, now-s.lastUse.Load()), flags, v.db)
	fmt.Fprintf(&line, " sub=%d psub=%d ssub=%d multi=-1 qbuf=0 qbuf-free=%d argv-mem=0 multi-mem=0 rbs=0 rbp=0", v.channels,
		v.patterns, v.shards, firstBytes)
	fmt.Fprintf(&line, " obl=0 oll=0 omem=%d tot-mem=%d events=r cmd=%s user=%s redir=-1 resp=%d", pending, pending+firstBytes,
		command, defaultUser, v.proto)
	return line.String()
}

func address(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}
