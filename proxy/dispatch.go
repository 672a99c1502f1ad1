package proxy

import (
	"fmt"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

var commandSet = translate.Lookup([]byte("SET"))

// dispatch sends the command in buf[from:to] on its way. Its arguments are in s.scan. false means that it may block, and
// nothing was done because the session runs inline.
func (s *session) dispatch(from, to int) bool {
	args := s.scan.Args
	plan := s.server.classifier.Classify(translate.Lookup(args[0]), args)
	s.current = plan.Command
	if s.waiter == nil && s.careful && !s.allowed(&plan) {
		return true
	}
	switch plan.Class {
	case translate.Read:
		s.read(&plan, from, to)
	case translate.Write:
		kind := backend.OpFree
		if plan.DenyOOM {
			kind = backend.OpWrite
		}
		op := backend.Op{
			Kind: kind, Shape: plan.Shape, Discard: s.silent(), Argc: len(args), Count: 1, Bytes: s.scan.Raw[s.scan.Head:],
		}
		if plan.Command == commandSet && len(args) == 3 {
			op.Set, op.Key, op.Value = true, args[1], args[2]
		}
		s.ops = append(s.ops, op)
	case translate.Refused:
		s.replyError(plan.Err)
	default:
		if !s.special(&plan) {
			return false
		}
	}
	s.skipNext, s.skipBegins = s.skipBegins, false
	return true
}

// read passes a command on as it is. Neighbours in the read buffer travel as one run.
func (s *session) read(plan *translate.Plan, from, to int) {
	discard := s.silent()
	if from == s.runEnd && from > 0 && plan.Shape == translate.ShapePlain && !s.scan.Inline {
		run := &s.ops[len(s.ops)-1]
		if run.Discard == discard {
			run.Bytes = run.Bytes[:len(run.Bytes)+to-from]
			run.Count++
			s.runEnd = to
			return
		}
	}
	s.pass(plan.Shape, discard, 1, s.scan.Raw)
	if plan.Shape == translate.ShapePlain && !s.scan.Inline {
		run := &s.ops[len(s.ops)-1]
		run.Bytes = s.buf[from:to:s.have]
		s.runEnd = to
	}
}

// pass appends raw commands to what this read submits.
func (s *session) pass(shape translate.Shape, discard bool, replies int, raw []byte) {
	s.runEnd = 0
	s.ops = append(s.ops, backend.Op{Kind: backend.OpRead, Shape: shape, Discard: discard, Count: replies, Bytes: raw})
}

// special deals with what is neither a plain read nor a write. It returns what dispatch does.
func (s *session) special(plan *translate.Plan) bool {
	if h, ok := handlers[plan.Command.Name]; ok {
		if h.blocks && s.inline != nil {
			return false
		}
		h.run(s, s.scan.Args)
		return true
	}
	switch plan.Class {
	case translate.Blocking:
		if s.inline != nil {
			s.lineUp(plan)
			return false
		}
		s.block(plan)
	case translate.Admin, translate.Local, translate.PubSub:
		s.pass(plan.Shape, s.silent(), 1, s.scan.Raw)
	default:
		s.replyError(fmt.Sprintf(errNotAvailable, plan.Command.FullName()))
	}
	return true
}

// silent reports whether the client wants no reply to this command.
func (s *session) silent() bool { return s.muted || s.skipNext }

// watchOut decides whether the commands to come need a look at the session's state.
func (s *session) watchOut() {
	s.careful = !s.authorized || s.private != nil || !s.server.cfg.Backend.Serving()
}

// allowed looks at the state that most sessions are never in, and answers the command itself when that forbids it.
func (s *session) allowed(plan *translate.Plan) bool {
	cmd := plan.Command
	always := cmd != nil && cmd.Flags&translate.FlagNoAuth != 0 // AUTH, HELLO, QUIT, RESET
	switch {
	case s.private != nil && s.proto == resp.RESP2 && plan.Class != translate.Refused && !allowedSubscribed(cmd):
		s.replyError(fmt.Sprintf(errSubscribed, cmd.FullName()))
	case always && plan.Class != translate.Refused:
		return true
	case plan.Class == translate.Refused && (cmd == nil || cmd.Class != translate.Refused):
		return true // unknown, or wrong arguments: Redis says so before anything else
	case !s.authorized:
		s.replyError(errNoAuth)
	case !s.server.cfg.Backend.Serving() && needsBackend(plan):
		s.replyError(s.server.unavailable())
	default:
		return true
	}
	s.skipNext, s.skipBegins = s.skipBegins, false
	return false
}

// needsBackend tells what only the server behind us can answer. PING is among it: it tells clients and load balancers
// whether commands would be served.
func needsBackend(plan *translate.Plan) bool {
	switch plan.Class {
	case translate.Refused, translate.Connection:
		return false
	}
	switch plan.Command.Name {
	case "CRDT HELP", "CRDT INFO", "CRDT PEERS", "CRDT STATUS", "INFO":
		return false
	}
	return true
}

// unavailable says why commands cannot be served now.
func (s *Server) unavailable() string {
	if s.cfg.Backend.WasReady() {
		return errNoBackend
	}
	return errStarting
}
