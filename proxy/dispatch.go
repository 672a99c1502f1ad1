package proxy

import (
	"errors"
	"fmt"
	"strings"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Commands that need a special look.
var (
	commandSet   = translate.Lookup([]byte("SET"))
	commandExec  = translate.Lookup([]byte("EXEC"))
	commandWatch = translate.Lookup([]byte("WATCH"))
)

// dispatch sends the command in buf[from:to] on its way. Its arguments are in s.scan. false means that it may block, and
// nothing was done because the session runs inline.
func (s *session) dispatch(from, to int) bool {
	args := s.scan.Args
	plan := s.server.classifier.Classify(translate.Lookup(args[0]), args)
	s.current = plan.Command
	s.handedOn, s.failed = false, false
	if !s.decide(&plan, from, to) {
		return false
	}
	if !s.handedOn {
		s.count(&plan)
	}
	return true
}

// decide is dispatch without the counting.
func (s *session) decide(plan *translate.Plan, from, to int) bool {
	args := s.scan.Args
	if s.careful && s.waiter == nil {
		if s.unsettled() {
			if s.inline != nil {
				return false
			}
			s.settleLane()
		}
		if !s.allowed(plan) {
			return true
		}
		if s.scripting && plan.Class != translate.Script && !s.leaveScripts() {
			return false
		}
		queued := s.tx != nil && plan.Class != translate.Refused && !runsInMulti(plan.Command)
		if s.server.alert.Load() && plan.Class != translate.Refused && !queued && s.postponed(plan.Command) {
			if s.inline != nil {
				return false
			}
			if !s.awaitUnpaused(plan.Command) {
				return true
			}
		}
		if queued {
			if s.inline != nil && s.server.cfg.Backend.Strained() {
				return false
			}
			s.queue(plan)
			s.passSkip()
			return true
		}
	}
	if !s.carryOut(plan, from, to) {
		return false
	}
	if s.careful && s.server.alert.Load() && plan.Class != translate.Refused {
		s.show(plan.Command, args)
	}
	s.passSkip()
	return true
}

// carryOut is dispatch after all checks.
func (s *session) carryOut(plan *translate.Plan, from, to int) bool {
	args := s.scan.Args
	switch plan.Class {
	case translate.Read:
		s.read(plan, from, to)
	case translate.Write:
		s.write(plan)
	case translate.Blocking:
		switch {
		case s.replay != nil: // nobody waits in a transaction
			s.write(plan)
		case s.inline != nil:
			s.lineUp(plan)
			return false
		default:
			s.block(plan)
		}
	case translate.Script:
		return s.script(plan)
	case translate.Refused:
		if plan.Command == nil && isAttack(args[0]) {
			s.ending = true
			s.direct = s.direct[:0] // the errors that the lines before have led to
			return true
		}
		s.refuse(plan.Command, plan.Err)
	default:
		return s.special(plan)
	}
	return true
}

// isAttack knows the beginning of an HTTP request, which a browser can be brought to send: the commands that its body
// pretends to be must not run.
func isAttack(name []byte) bool { return is(name, "POST") || is(name, "HOST:") }

// write hands a command to the engine.
func (s *session) write(plan *translate.Plan) {
	args := s.scan.Args
	kind := backend.OpFree
	if plan.DenyOOM {
		kind = backend.OpWrite
	}
	s.handedOn = true
	op := backend.Op{
		Kind: kind, Class: plan.Class, Shape: plan.Shape, Discard: s.silent(), Argc: len(args), Count: 1, Bytes: s.scan.Raw[s.scan.Head:],
	}
	if s.replay != nil {
		op.DB = s.replay.db
	} else if plan.Command == commandSet && len(args) == 3 {
		op.Set, op.Key, op.Value = true, args[1], args[2]
	}
	s.ops = append(s.ops, op)
}

// read passes a command on as it is. Neighbours in the read buffer travel as one run.
func (s *session) read(plan *translate.Plan, from, to int) {
	discard := s.silent()
	if s.replay != nil {
		s.pass(plan.Shape, false, 1, s.scan.Raw)
		return
	}
	s.handedOn = true
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
	run := &s.ops[len(s.ops)-1]
	run.Class = plan.Class
	if plan.Shape == translate.ShapePlain && !s.scan.Inline {
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
		if s.inline != nil && s.mayBlock(plan.Command, h) {
			return false
		}
		h.run(s, s.scan.Args)
		return true
	}
	switch plan.Class {
	case translate.Admin, translate.Local, translate.PubSub:
		s.pass(plan.Shape, s.silent(), 1, s.scan.Raw)
		s.ops[len(s.ops)-1].Class, s.handedOn = plan.Class, true
	default:
		s.replyError(fmt.Sprintf(errNotAvailable, plan.Command.FullName()))
	}
	return true
}

// mayBlock reports whether a command has to wait for something now.
func (s *session) mayBlock(cmd *translate.Command, h handler) bool {
	switch cmd {
	case commandExec:
		return s.tx != nil && (s.tx.blocks || s.server.cfg.Backend.Strained())
	case commandWatch:
		return s.private == nil
	}
	return h.blocks
}

// silent reports whether the client wants no reply to this command.
func (s *session) silent() bool { return s.muted || s.skipNext }

// passSkip ends a command, after which CLIENT REPLY SKIP counts for the next one.
func (s *session) passSkip() { s.skipNext, s.skipBegins = s.skipBegins, false }

// watchOut decides whether the commands to come need a look at the session's state.
func (s *session) watchOut() {
	s.scan.Guest = s.isGuest()
	s.careful = s.scan.Guest || s.directory == nil || !s.user.Unlimited() || s.tx != nil || s.scripting || s.private != nil ||
		s.server.alert.Load() || !s.server.cfg.Backend.Serving()
}

// allowed looks at the state that most sessions are never in, and answers the command itself when that forbids it.
func (s *session) allowed(plan *translate.Plan) bool {
	refusal := s.refusal(plan)
	if refusal == "" {
		return true
	}
	s.refuse(plan.Command, refusal)
	s.passSkip()
	return false
}

// refusal is the error by which that state forbids the command, or "". The checks come in Redis's order.
func (s *session) refusal(plan *translate.Plan) string {
	cmd := plan.Command
	always := cmd != nil && cmd.Flags&translate.FlagNoAuth != 0 // AUTH, HELLO, QUIT, RESET
	if cmd == nil || !strings.HasPrefix(cmd.Name, "CLIENT ") {
		s.tracking.caching = false
	}
	if plan.Malformed {
		return ""
	}
	if s.isGuest() && !always {
		return errNoAuth
	}
	if denial := s.denial(cmd); denial != "" {
		return denial
	}
	switch {
	case s.subs.count() > 0 && s.proto == resp.RESP2 && plan.Class != translate.Refused && !allowedSubscribed(cmd):
		return fmt.Sprintf(errSubscribed, cmd.FullName())
	case s.directory == nil && !always && cmd.Flags&translate.FlagAdmin != 0, // who may is not known yet
		!always && needsBackend(plan) && (s.directory == nil || !s.server.cfg.Backend.Serving()):
		if refusal := s.server.cfg.Backend.WriteRefusal(); refusal != "" && cmd.Flags&translate.FlagWrite != 0 {
			return refusal
		}
		return s.server.unavailable()
	case s.monitoring && (cmd.Flags&translate.FlagReadOnly != 0 || mayReplicate(cmd)):
		return errMonitorKeys
	}
	return ""
}

// refuse answers a command with an error. EXEC ends its transaction all the same: what comes next must not be queued.
func (s *session) refuse(cmd *translate.Command, text string) {
	if cmd != nil && cmd == commandExec {
		if s.tx != nil {
			s.endMulti()
			s.forgetWatched()
		}
		if !strings.HasPrefix(text, "EXECABORT") {
			text = fmt.Sprintf(errExecAbortReason, text)
		}
	}
	s.spoil()
	s.replyError(text)
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
	case "MULTI", "EXEC", "DISCARD": // what is between them is refused, or has its answer when it is carried out
		return false
	}
	return true
}

// Problem says why clients are not served now, as far as it is known; nil when they are.
func (s *Server) Problem() error {
	if problem := s.cfg.Backend.Problem(); problem != nil {
		return problem
	}
	if s.users.now() == nil {
		return errUsersUnknown
	}
	return nil
}

var errUsersUnknown = errors.New("its users have not been read yet")

// unavailable says why commands cannot be served now.
func (s *Server) unavailable() string {
	if s.users.now() == nil {
		return errStarting
	}
	return errNoBackend
}
