package proxy

import (
	"strconv"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

// A session leaves the shared lane for a private one while Redis has to know something about its connection: what it is
// subscribed to, that its reads are tracked, or which keys it watches.

func (s *session) needsPrivate() bool { return s.subs.count() > 0 || s.tracking.on || s.pinned }

// listening reports whether messages may come at any time.
func (s *session) listening() bool { return s.subs.count() > 0 || s.tracking.on || s.expecting }

// goPrivate moves the session to a lane of its own. It may not be called inline.
func (s *session) goPrivate() {
	if s.private != nil {
		return
	}
	s.barrier()
	s.scripting = false
	s.private = s.server.cfg.Backend.Private(s.caller, s.db, s.proto)
	s.lane = s.private
	s.watchOut()
}

// unsettled reports that the session's own connection is in another state than the session: it ended a subscription or
// tracking just now. It is settled behind the commands at hand or before the next one, so that ending something never waits.
func (s *session) unsettled() bool {
	return s.private != nil && (!s.needsPrivate() || s.expecting && s.subs.count() == 0)
}

// settleLane goes back to the shared lane when nothing keeps the session on its own any more. It may not be called inline.
func (s *session) settleLane() {
	if !s.unsettled() {
		return
	}
	if s.needsPrivate() {
		s.expect(false) // behind the last answer no message comes
		return
	}
	s.barrier()
	s.private.Close()
	s.private, s.expecting = nil, false
	s.lane = s.shared()
	s.watchOut()
}

// expect says whether messages may come from the session's own connection. Nothing else may be under way there: in RESP2 a
// reply can look like a message. It may not be called inline.
func (s *session) expect(messages bool) {
	if messages == s.expecting {
		return
	}
	s.barrier()
	s.expecting = messages
	s.private.Subscribed(messages)
}

// selectPrivately selects a database on the session's own connection.
func (s *session) selectPrivately(db int) {
	s.pass(0, true, 1, resp.AppendCommandStrings(nil, "SELECT", strconv.Itoa(db)))
	s.barrier()
	s.private.SetDatabase(db)
}

// speakPrivately changes the protocol of the session's own connection. Messages before the answer to HELLO come in the
// old version, those behind it in the new one.
func (s *session) speakPrivately(proto int) {
	s.runEnd = 0
	s.ops = append(s.ops, backend.Op{
		Kind: backend.OpRead, Discard: true, Count: 1, Proto: proto,
		Bytes: resp.AppendCommandStrings(nil, "HELLO", strconv.Itoa(proto)),
	})
	s.barrier()
}

// marker is a command without effect whose place among the session's commands on its own connection a ready answer takes.
// CLIENT CACHING speaks of the next command that is no CLIENT, so a marker must not be one while that counts.
func (s *session) marker() []byte {
	if s.tracking.on && s.subs.count() == 0 {
		return clientIDCommand
	}
	return pingCommand
}

var (
	pingCommand     = resp.AppendCommandStrings(nil, "PING")
	clientIDCommand = resp.AppendCommandStrings(nil, "CLIENT", "ID")
)
