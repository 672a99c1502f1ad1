package proxy

import (
	"strings"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// actAs begins an op that runs a script, which may call only what the rules behind this word allow. The engine trusts whoever
// leaves it out.
const actAs = "XCRDT.AS"

// script sends a command that is about scripts. The engine runs them; what is about libraries of functions has a handler. It
// returns what dispatch does.
func (s *session) script(plan *translate.Plan) bool {
	if _, ok := handlers[plan.Command.Name]; ok {
		return s.special(plan)
	}
	args := s.scan.Args
	if plan.Command.Name == "SCRIPT FLUSH" && !isFlush(args) {
		s.replyError(errScriptFlush)
		return true
	}
	op := backend.Op{
		Kind: backend.OpWrite, Class: plan.Class, Shape: plan.Shape, Discard: s.silent(), Alone: true, Argc: len(args), Count: 1,
		Bytes: s.scan.Raw[s.scan.Head:],
	}
	if s.directory != nil && !s.user.Unlimited() && plan.Command.HasKeys() {
		op.Argc += 2
		op.Bytes = append(resp.AppendBulkString(resp.AppendBulkString(nil, actAs), s.user.Rules()), op.Bytes...)
	}
	switch {
	case s.replay != nil:
		op.DB = s.replay.db
	case s.private == nil && !s.runScripts():
		return false
	}
	s.runEnd = 0
	s.handedOn = true
	s.ops = append(s.ops, op)
	return true
}

// runScripts goes to the lane of scripts. false means that it may block, as in dispatch.
func (s *session) runScripts() bool {
	if s.scripting {
		return true
	}
	if !s.moveTo(s.server.cfg.Backend.ScriptLane(s.db, s.proto)) {
		return false
	}
	s.scripting = true
	s.watchOut()
	return true
}

// leaveScripts goes back to the lane of all other commands. false means that it may block, as in dispatch.
func (s *session) leaveScripts() bool {
	if !s.moveTo(s.shared()) {
		return false
	}
	s.scripting = false
	s.watchOut()
	return true
}

// moveTo changes the lane once everything on the old one has been answered. false means that this may block.
func (s *session) moveTo(lane *backend.Lane) bool {
	if len(s.ops) > 0 || !s.caller.Idle() {
		if s.inline != nil {
			return false
		}
		s.barrier()
	}
	s.lane = lane
	return true
}

// isFlush checks the option of SCRIPT FLUSH and FUNCTION FLUSH.
func isFlush(args [][]byte) bool {
	return len(args) == 2 || len(args) == 3 && (is(args[2], "SYNC") || is(args[2], "ASYNC"))
}

// kill stops what runs too long, if it is of the right kind. To Redis, scripts are functions too.
func (s *session) kill(args [][]byte) {
	ctx, cancel := s.controlContext()
	defer cancel()
	client := s.server.cfg.Backend.Client()
	stats, err := client.Do(ctx, "FUNCTION", "STATS").Slice()
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	if command, _, running := runningCommand(stats); running {
		isFunction := strings.HasPrefix(strings.ToUpper(text(command[0])), "FCALL")
		switch {
		case isFunction && is(args[0], "SCRIPT"):
			s.replyError(errBusyFunction)
			return
		case !isFunction && is(args[0], "FUNCTION"):
			s.replyError(errBusyScript)
			return
		}
	}
	s.replyStatus(client.Do(ctx, "FUNCTION", "KILL").Err())
}

// replyStatus answers OK, or what Redis says.
func (s *session) replyStatus(err error) {
	if err != nil {
		s.replyError(controlError(err))
		return
	}
	s.replyOK()
}
