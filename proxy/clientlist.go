package proxy

import (
	"fmt"
	"slices"
	"strings"
)

func (s *session) clientInfo([][]byte) {
	s.lastCmd.Store(s.current)
	s.replyText(s.describe(s.have-s.next) + "\n")
}

// clientList is CLIENT LIST [TYPE type | ID id…].
func (s *session) clientList(args [][]byte) {
	var filter clientFilter
	switch {
	case len(args) == 2:
	case len(args) == 4 && is(args[2], "TYPE"):
		if !filter.setType(args[3]) {
			s.replyError(fmt.Sprintf(errClientType, args[3]))
			return
		}
	case len(args) > 3 && is(args[2], "ID"):
		for _, arg := range args[3:] {
			id, ok := integer(arg)
			if !ok || id < 1 {
				s.replyError(errInvalidID)
				return
			}
			filter.ids = append(filter.ids, id)
		}
	default:
		s.replyError(errSyntax)
		return
	}
	s.lastCmd.Store(s.current)
	var list strings.Builder
	for _, client := range s.server.ordered() {
		if filter.matches(client) {
			unread := 0
			if client == s {
				unread = s.have - s.next
			}
			list.WriteString(client.describe(unread))
			list.WriteByte('\n')
		}
	}
	s.replyText(list.String())
}

// ordered lists the clients by their ids, without those that were disconnected but are not gone yet.
func (s *Server) ordered() []*session {
	all := slices.DeleteFunc(s.snapshot(), func(client *session) bool { return client.out.isOver() })
	slices.SortFunc(all, func(a, b *session) int { return int(a.id - b.id) })
	return all
}

// clientKill is CLIENT KILL addr, or CLIENT KILL option value….
func (s *session) clientKill(args [][]byte) {
	filter := clientFilter{}
	skipMe, oldForm := true, len(args) == 3
	if oldForm {
		filter.addr, skipMe = string(args[2]), false
	} else if !s.parseKill(args[2:], &filter, &skipMe) {
		return
	}
	killed, me := 0, false
	for _, client := range s.server.ordered() {
		if !filter.matches(client) || client == s && skipMe {
			continue
		}
		killed++
		if client == s {
			me = true // only after the answer
			continue
		}
		client.out.Break()
	}
	switch {
	case oldForm && killed == 0:
		s.replyError(errNoSuchClient)
	case oldForm:
		s.replyOK()
	default:
		s.replyInt(int64(killed))
	}
	s.ending = s.ending || me
}

// parseKill reads the options of CLIENT KILL, and answers the command when they are wrong.
func (s *session) parseKill(args [][]byte, filter *clientFilter, skipMe *bool) bool {
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			s.replyError(errSyntax)
			return false
		}
		value := args[i+1]
		switch {
		case is(args[i], "ID"):
			id, ok := integer(value)
			if !ok || id < 1 {
				s.replyError(errClientID)
				return false
			}
			filter.ids = []int64{id}
		case is(args[i], "TYPE"):
			if !filter.setType(value) {
				s.replyError(fmt.Sprintf(errClientType, value))
				return false
			}
		case is(args[i], "ADDR"):
			filter.addr = string(value)
		case is(args[i], "LADDR"):
			filter.localAddr = string(value)
		case is(args[i], "USER"):
			if filter.user = string(value); !s.server.users.has(filter.user) {
				s.replyError(fmt.Sprintf(errNoSuchUser, value))
				return false
			}
		case is(args[i], "SKIPME") && is(value, "YES"):
			*skipMe = true
		case is(args[i], "SKIPME") && is(value, "NO"):
			*skipMe = false
		default:
			s.replyError(errSyntax)
			return false
		}
	}
	return true
}

// clientFilter chooses clients. Empty fields choose all.
type clientFilter struct {
	ids                   []int64
	kind                  string
	addr, localAddr, user string
}

// setType reports false for an unknown type. Masters and replicas never connect to a proxy.
func (f *clientFilter) setType(name []byte) bool {
	f.kind = strings.ToLower(string(name))
	switch f.kind {
	case "normal", "master", "replica", "slave", "pubsub":
		return true
	}
	return false
}

func (f *clientFilter) matches(client *session) bool {
	switch f.kind {
	case "":
	case "normal":
		if client.view.Load().subscribed() {
			return false
		}
	case "pubsub":
		if !client.view.Load().subscribed() {
			return false
		}
	default:
		return false
	}
	return (len(f.ids) == 0 || slices.Contains(f.ids, client.id)) &&
		(f.addr == "" || f.addr == address(client.conn.RemoteAddr())) &&
		(f.localAddr == "" || f.localAddr == address(client.conn.LocalAddr())) &&
		(f.user == "" || f.user == client.view.Load().user)
}
