package backend

import (
	"strconv"
	"strings"
	"sync/atomic"

	"anabranch/crdtmeta"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Transaction is what a client has queued between MULTI and EXEC. Redis runs it in one step, and it has one reply.
type Transaction struct {
	Ops     []Op // literals too; an OpRead is one command. The bytes must not change until Submit returns
	Watched bool // WATCH was sent before on the same, private lane, so it cannot be sent twice

	executed atomic.Bool
}

// Executed reports whether the transaction ran. It is known once the caller is idle again: a key that was watched may
// have changed, or the server may have refused a command.
func (t *Transaction) Executed() bool { return t.executed.Load() }

// transaction is one on its way: MULTI; engine calls, and reads as they are; EXEC.
type transaction struct {
	source  *Transaction
	queued  int // replies before that of EXEC
	items   []txItem
	visible int // items whose reply the client wants
}

// txItem is where the reply to one op is found.
type txItem struct {
	element int // of EXEC's array; -1: a literal
	nth     int // among the ops of an engine call; -1: the element itself
	shape   translate.Shape
	discard bool
	literal []byte
}

var (
	multiCommand = resp.AppendCommandStrings(nil, "MULTI")
	execCommand  = resp.AppendCommandStrings(nil, "EXEC")
)

// addTransaction makes the segment one that holds a transaction alone.
func (s *segment) addTransaction(caller *Caller, op *Op) {
	tx := &transaction{source: op.Tx}
	s.tx = tx
	s.buf = append(s.buf, multiCommand...)
	for i := range op.Tx.Ops {
		s.alone = s.alone || op.Tx.Ops[i].Alone
	}
	calls := engineCalls(op.Tx.Ops)
	if len(calls) > 0 {
		s.buf = appendGuard(s.buf, s.prefix)
		tx.queued++
	}
	for i := range op.Tx.Ops {
		one := &op.Tx.Ops[i]
		item := txItem{element: -1, nth: -1, shape: one.Shape, discard: one.Discard}
		switch one.Kind {
		case OpLiteral:
			item.literal = append([]byte(nil), one.Bytes...)
		case OpRead:
			item.element = tx.queued
			tx.queued++
			s.buf = append(s.buf, one.Bytes...)
		default:
			if calls[0].from == i {
				s.beginCall(one, calls)
				tx.queued++
			}
			item.element, item.nth = tx.queued-1, i-calls[0].from
			s.buf = appendArgc(s.buf, one.Argc)
			s.buf = append(s.buf, one.Bytes...)
			if calls[0].to == i+1 {
				calls = calls[1:]
			}
			if len(calls) == 1 && calls[0].from < 0 { // the closing call, while the database of this one is selected
				s.beginCall(&Op{Kind: OpFree, DB: one.DB}, calls)
				tx.queued++
				calls = nil
			}
		}
		if !one.Discard {
			tx.visible++
		}
		tx.items = append(tx.items, item)
	}
	s.buf = append(s.buf, execCommand...)
	s.replies, s.counted, s.sealed = tx.queued+2, 1, true
	s.entries = append(s.entries, entry{caller: caller, count: 1, class: op.Class, discard: op.Discard})
}

// span is a run of ops in one engine call.
type span struct{ from, to, args int }

// engineCalls finds the ops that can share a call: neighbours of one kind and database. Where there are several calls, the
// engine keeps the log entry open until the last of them, so that the transaction is one entry; the last one must not be
// refused for lack of memory, so an empty call follows one that could be.
func engineCalls(ops []Op) []span {
	var calls []span
	open := false
	for i := range ops {
		op := &ops[i]
		if op.Kind != OpWrite && op.Kind != OpFree {
			open = false
			continue
		}
		if n := len(calls); open && ops[i-1].Kind == op.Kind && ops[i-1].DB == op.DB && !op.Alone && !ops[i-1].Alone {
			calls[n-1].to = i + 1
			calls[n-1].args += 1 + op.Argc
		} else {
			calls = append(calls, span{i, i + 1, 1 + op.Argc})
		}
		open = true
	}
	if n := len(calls); n > 1 && ops[calls[n-1].from].Kind == OpWrite {
		calls = append(calls, span{from: -1, to: -1})
	}
	return calls
}

// scratchKey never lives longer than a call of the engine.
const scratchKey = "scratch"

// appendGuard appends a write that changes nothing, since its key never lives longer than a call. Redis refuses it when it
// is queued, and so the whole transaction, if it refuses writes at the moment: it is full, read-only, or cannot save.
// Without it part of a transaction could be refused and part run.
func appendGuard(dst []byte, prefix string) []byte {
	return resp.AppendCommandStrings(dst, "SETRANGE", prefix+scratchKey, "0", "")
}

// beginCall appends the head of calls[0], of which op is the first. More calls follow when there are others behind it.
func (s *segment) beginCall(op *Op, calls []span) {
	s.buf = append(s.buf, '*')
	s.buf = strconv.AppendInt(s.buf, int64(callArgs+calls[0].args), 10)
	s.buf = append(s.buf, '\r', '\n')
	mode := ""
	if len(calls) > 1 {
		mode = moreFollows
	}
	s.buf = append(s.buf, callHead(op.Kind, op.DB, mode)...)
}

// routeTransaction takes one reply of a transaction from buf[pos:]. It returns where it stopped, and whether it needs more
// bytes.
func (l *Lane) routeTransaction(buf []byte, pos int) (next int, stop bool, err error) {
	if l.left == 0 {
		l.left = l.seg.replies
	}
	end, done, err := l.scan.Scan(buf, pos, 1)
	if err != nil {
		return pos, true, err
	}
	l.partial = append(l.partial, buf[pos:end]...)
	if done == 0 {
		return end, true, nil
	}
	l.left--
	if text, failed := errorText(l.partial); failed && isSuspicious(text) {
		l.backend.Suspect()
	}
	if l.left == 0 {
		l.endTransaction(l.partial)
	}
	l.letGo()
	return end, false, nil
}

// endTransaction acts on the reply to EXEC.
func (l *Lane) endTransaction(reply []byte) {
	tx := l.seg.tx
	elements, executed := split(reply)
	refusal := ""
	for i := range tx.items {
		item := &tx.items[i]
		if executed && item.nth >= 0 && item.element < len(elements) {
			if text, failed := errorText(elements[item.element]); failed && (notArmed(text) || len(l.held) > 0 && notExecuted(text)) {
				refusal = text
			}
		}
	}
	switch {
	case refusal != "" && tx.source.Watched:
		// It cannot be sent again, because what was watched is watched no more. As if it had changed: the client tries again.
		executed, reply = false, resp.AppendNullArray(nil, l.proto)
		l.backend.armSoon()
	case refusal != "", len(l.held) > 0 && !executed:
		l.hold()
		return
	}
	l.failHeld(errNotArmed)
	e := &l.seg.entries[0] // literals may follow
	tx.source.executed.Store(executed)
	if !e.discard {
		if executed {
			reply = tx.appendReply(l.shaped[:0], elements, l.proto, l.backend.cfg.Prefix)
		}
		l.deliverBytes(e.caller, reply)
	}
	l.count(e, 1, failures(reply, 1))
	l.answered(e, 1)
	l.at++
}

// appendReply puts the replies of all ops in order, each in the form in which Redis would have sent it.
func (tx *transaction) appendReply(dst []byte, elements [][]byte, proto int, prefix string) []byte {
	dst = resp.AppendArray(dst, tx.visible)
	of, replies := -1, [][]byte(nil) // the call that was split last
	for i := range tx.items {
		item := &tx.items[i]
		switch {
		case item.discard:
		case item.element < 0:
			dst = append(dst, item.literal...)
		case item.element >= len(elements):
			dst = resp.AppendError(dst, errLostWrite) // a server that answers less than it was asked
		case item.nth < 0:
			dst = appendShaped(dst, elements[item.element], item.shape, proto, prefix)
		default:
			if of != item.element {
				of = item.element
				replies, _ = split(elements[of])
			}
			if item.nth < len(replies) {
				dst = appendShaped(dst, replies[item.nth], item.shape, proto, prefix)
			} else if text, failed := errorText(elements[of]); failed {
				dst = resp.AppendError(dst, clientText(text))
			} else {
				dst = resp.AppendError(dst, errLostWrite)
			}
		}
	}
	return dst
}

// split returns the elements of an array; ok is false for anything else, a null too.
func split(reply []byte) (elements [][]byte, ok bool) {
	count, pos := header(reply)
	if pos == 0 {
		return nil, false
	}
	for range count {
		end := element(reply, pos)
		elements = append(elements, reply[pos:end])
		pos = end
	}
	return elements, true
}

func errorText(reply []byte) (text string, ok bool) {
	if len(reply) == 0 || reply[0] != '-' {
		return "", false
	}
	return strings.TrimRight(string(reply[1:]), "\r\n"), true
}

// clientText turns an error of a whole engine call into Redis's words for a command.
func clientText(text string) string {
	if strings.HasPrefix(text, "OOM ") {
		return errOutOfMemory
	}
	return text
}

// What an engine call may say behind its database.
const (
	moreFollows   = "+" // other calls of the same transaction
	shortOfMemory = "!"
)

// callHead returns what follows the argument count in a call on a database.
func callHead(kind OpKind, db int, mode string) []byte {
	function := crdtmeta.FuncWrite
	if kind == OpFree {
		function = crdtmeta.FuncFree
	}
	return callOf(function, strconv.Itoa(db)+mode)
}

// callOf returns the same for a function and its first argument.
func callOf(function, first string) (head []byte) {
	for _, arg := range []string{"FCALL", function, "0", first} {
		head = resp.AppendBulkString(head, arg)
	}
	return head
}
