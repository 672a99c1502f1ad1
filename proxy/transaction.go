package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// transaction is what a session has queued since MULTI.
type transaction struct {
	commands [][]byte // as RESP arrays
	bytes    int
	writes   bool // something in it may change data, or sends messages
	changes  bool // something in it is a write
	grows    bool // something in it needs memory
	dirty    bool // a command was refused when it was queued, so EXEC will not run any
	scripts  bool // something in it may keep the server busy
	blocks   bool // EXEC may not run inline
}

// maxTransaction bounds the bytes of one transaction: it is one entry of the log, and one step of Redis.
const maxTransaction = 64 << 20

var (
	unwatchRaw    = resp.AppendCommandStrings(nil, "UNWATCH")
	emptyExecuted = []byte("*0\r\n")
)

// runsInMulti tells the commands that are not queued.
func runsInMulti(cmd *translate.Command) bool {
	switch cmd.Name {
	case "MULTI", "EXEC", "DISCARD", "WATCH", "QUIT", "RESET":
		return true
	}
	return false
}

// queue keeps the command at hand until EXEC. It may block while the server is strained.
func (s *session) queue(plan *translate.Plan) {
	tx, cmd := s.tx, plan.Command
	switch {
	case cmd.Flags&translate.FlagNoMulti != 0:
		s.refuseQueued(errNoMulti)
		return
	case changesConnection(plan):
		s.refuseQueued(fmt.Sprintf(errNotInMulti, cmd.FullName()))
		return
	}
	changes := cmd.Flags&translate.FlagWrite != 0
	refusal := s.refusesNow()
	if refusal == "" && changes {
		refusal = s.server.cfg.Backend.Held()
	}
	if refusal != "" {
		s.refuseQueued(refusal)
		return
	}
	raw := append([]byte(nil), s.scan.Raw...)
	if tx.bytes += len(raw); tx.bytes > maxTransaction {
		tx.commands = nil
		s.refuseQueued(errLargeTransaction)
		return
	}
	tx.commands = append(tx.commands, raw)
	tx.grows = tx.grows || plan.DenyOOM
	tx.changes = tx.changes || changes
	tx.writes = tx.writes || mayReplicate(cmd)
	tx.scripts = tx.scripts || plan.Class == translate.Script
	tx.blocks = tx.blocks || tx.scripts || handlers[cmd.Name].blocks
	s.reply([]byte("+QUEUED\r\n"))
}

// refusesNow returns the error with which the server would refuse a command in MULTI now, if it may be in that state at all.
func (s *session) refusesNow() string {
	if !s.server.cfg.Backend.Strained() {
		return ""
	}
	ctx, cancel := s.controlContext()
	defer cancel()
	return s.server.cfg.Backend.Refusal(ctx)
}

// changesConnection tells commands that would leave the connection in another state in the middle of a transaction.
func changesConnection(plan *translate.Plan) bool {
	name := plan.Command.Name
	return name == "HELLO" || name == "MONITOR" || plan.Class == translate.PubSub && handlers[name].blocks
}

// refuseQueued answers a command that cannot be queued. EXEC will refuse the others, too.
func (s *session) refuseQueued(text string) {
	s.spoil()
	s.replyError(text)
}

// spoil notes that a command of a transaction was refused.
func (s *session) spoil() {
	if s.tx != nil {
		s.tx.dirty = true
	}
}

func (s *session) multi([][]byte) {
	if s.tx != nil {
		s.replyError(errNestedMulti)
		return
	}
	s.replyOK()
	s.tx = &transaction{}
	s.watchOut()
	s.publish()
}

func (s *session) discard([][]byte) {
	if s.tx == nil {
		s.replyError(errDiscardWithoutMulti)
		return
	}
	s.endMulti()
	s.forgetWatched()
	s.replyOK()
}

func (s *session) endMulti() {
	s.tx = nil
	s.watchOut()
	s.publish()
}

// exec runs what was queued, as one step of Redis.
func (s *session) exec([][]byte) {
	tx := s.tx
	if tx == nil {
		s.replyError(errExecWithoutMulti)
		return
	}
	s.endMulti()
	if refusal := s.refusesExec(tx); refusal != "" {
		s.forgetWatched()
		s.replyError(refusal)
		return
	}
	if len(tx.commands) == 0 && !s.watching {
		s.reply(emptyExecuted)
		return
	}
	if tx.blocks {
		s.barrier() // what answers now must come after what was sent before
	}
	if tx.scripts && s.private == nil {
		s.runScripts()
	}
	discard := s.silent()
	ops, db := s.replayAll(tx.commands)
	run := &backend.Transaction{Ops: ops, Watched: s.watching}
	s.watching = false
	s.runEnd = 0
	s.handedOn = true
	s.ops = append(s.ops, backend.Op{Kind: backend.OpTransaction, Class: translate.Transaction, Count: 1, Discard: discard, Tx: run})
	if db != s.db {
		s.barrier()
		if run.Executed() {
			s.change(db, s.proto)
		}
	}
}

// refusesExec is why nothing of what was queued is executed, or "".
func (s *session) refusesExec(tx *transaction) string {
	refusal := s.refusesNow()
	held := s.server.cfg.Backend.Held()
	switch {
	case held != "" && tx.changes:
		return fmt.Sprintf(errExecAbortReason, held)
	case refusal != "" && (tx.grows || strings.HasPrefix(refusal, "BUSY")):
		return fmt.Sprintf(errExecAbortReason, refusal)
	case tx.dirty:
		return errExecAbort
	}
	return ""
}

// replayAll dispatches queued commands and returns the ops that they come to, and the database that is selected after
// them. What the proxy itself answers is answered now, and becomes a literal among them.
func (s *session) replayAll(commands [][]byte) (ops []backend.Op, db int) {
	s.adopt()
	scan, before := s.scan, s.ops
	s.ops = nil
	s.replay = &replay{db: s.db}
	for _, raw := range commands {
		s.scan = resp.Scanner{}
		if _, err := s.scan.Scan(raw); err != nil {
			break // it was scanned before
		}
		plan := s.server.classifier.Classify(translate.Lookup(s.scan.Args[0]), s.scan.Args)
		s.current = plan.Command
		if !s.stillPermitted(plan.Command) {
			continue
		}
		s.carryOut(&plan, 0, 0)
		if s.server.alert.Load() {
			s.show(plan.Command, s.scan.Args)
		}
	}
	ops, db = s.ops, s.replay.db
	if db != s.db {
		// The lane's connection is shared, and stays where it is.
		ops = append(ops, backend.Op{Kind: backend.OpRead, Count: 1, Discard: true, Bytes: resp.AppendCommandStrings(nil, "SELECT", strconv.Itoa(s.db))})
	}
	s.scan, s.ops, s.replay = scan, before, nil
	return ops, db
}

// replay is the state of a session while it carries out what was queued.
type replay struct{ db int }

// watch pins the session to a connection of its own, on which Redis watches the keys.
func (s *session) watch([][]byte) {
	if s.tx != nil {
		s.replyError(errWatchInMulti)
		return
	}
	s.goPrivate()
	s.watching, s.pinned = true, true
	s.pass(0, s.silent(), 1, s.scan.Raw)
}

func (s *session) unwatch([][]byte) {
	s.forgetWatched()
	s.replyOK()
}

// forgetWatched ends WATCH without an answer.
func (s *session) forgetWatched() {
	if s.watching && s.replay == nil {
		s.watching = false
		s.pass(0, true, 1, unwatchRaw)
	}
}
