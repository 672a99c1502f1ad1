package backend

import (
	"strconv"

	"anabranch/crdtmeta"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Bounds of one segment. An op that is bigger than a call may be travels alone in one.
const (
	maxCallOps   = 64
	maxCallBytes = 64 << 10
	maxReadBytes = 64 << 10
	keptBytes    = 128 << 10 // a buffer that grew beyond this is not kept for reuse

	maxRunValue = 16 << 10 // a longer value is an op of its own, which copies it once less

	countRoom = 16 // room for "*N\r\n" in front of a call, written when N is known
)

// segment is a stretch of what goes to Redis: raw reads, one engine call, or a transaction. It is kept until it has been answered,
// because a call that the engine refused is sent again, and the reads behind it too.
type segment struct {
	kind    OpKind // OpRead, OpWrite, OpFree or OpTransaction
	prefix  string // of companions
	seq     uint64 // position in the lane's order
	buf     []byte
	start   int          // where the bytes to send begin in buf
	head    int          // bytes of the beginning of a call
	args    int          // arguments of the call so far
	replies int          // replies that Redis will send; in a call, the elements of its one reply
	counted int          // commands of callers
	run     crdtmeta.Run // plain SETs that are not in buf yet
	entries []entry
	literal []byte // bytes of the ready answers
	tx      *transaction
	sealed  bool  // was sent, or has an op that wants to be alone: nothing may join it
	alone   bool  // holds a script
	flushed bool  // last of its flush
	tries   int   // how often the engine refused it
	reads   bool  // a call that was refused and is sent again for what in it only reads
	sent    int64 // when, see now
}

// entry says whose the next replies are.
type entry struct {
	caller  *Caller
	count   int // replies; of a literal: bytes
	shape   translate.Shape
	class   translate.Class
	offset  int // where a literal's bytes begin
	discard bool
	literal bool
	goes    bool // shapeRun: the reply is the one of the entry before
	proto   int  // not 0: replies behind this one are in that version
}

// shapeRun is the shape of a run of SETs: Redis sends one reply for all of them.
const shapeRun translate.Shape = 255

func (s *segment) isCall() bool { return s.kind == OpWrite || s.kind == OpFree }

// reset makes an empty segment; head is the beginning of an engine call.
func (s *segment) reset(kind OpKind, seq uint64, head []byte, prefix string) {
	s.kind, s.seq, s.prefix = kind, seq, prefix
	s.start, s.args, s.replies, s.counted, s.tries = 0, 0, 0, 0, 0
	s.sealed, s.alone, s.flushed, s.reads, s.tx = false, false, false, false, nil
	s.head = len(head)
	s.run.Reset(keptBytes)
	s.buf = s.buf[:0]
	s.literal = s.literal[:0]
	s.entries = s.entries[:0]
	if s.isCall() {
		s.args = callArgs
		s.buf = append(s.buf, make([]byte, countRoom)...)
		s.buf = append(s.buf, head...)
	}
}

// full reports whether size more bytes belong in another segment. A literal always fits.
func (s *segment) full(size int) bool {
	if s.isCall() {
		return s.counted >= maxCallOps || (s.counted > 0 && s.size()+size > maxCallBytes)
	}
	return len(s.buf) > 0 && len(s.buf)+size > maxReadBytes
}

// add appends an op of caller.
func (s *segment) add(caller *Caller, op *Op) {
	switch op.Kind {
	case OpLiteral:
		if op.Discard {
			return
		}
		s.entries = append(s.entries, entry{caller: caller, count: len(op.Bytes), offset: len(s.literal), literal: true})
		s.literal = append(s.literal, op.Bytes...)
		return
	case OpTransaction:
		s.addTransaction(caller, op)
		return
	case OpRead:
		s.buf = append(s.buf, op.Bytes...)
	default:
		if op.Set && len(op.Value) <= maxRunValue {
			s.addToRun(caller, op)
			return
		}
		s.endRun()
		s.args += 1 + op.Argc
		s.buf = appendArgc(s.buf, op.Argc)
		s.buf = append(s.buf, op.Bytes...)
		s.alone, s.sealed = op.Alone, op.Alone
	}
	s.replies += op.Count
	s.counted += op.Count
	if n := len(s.entries); n > 0 {
		// Replies that need nothing done to them share an entry.
		e := &s.entries[n-1]
		if e.caller == caller && !e.literal && e.shape == translate.ShapePlain && op.Shape == translate.ShapePlain &&
			e.class == op.Class && e.discard == op.Discard && e.proto == 0 && op.Proto == 0 {
			e.count += op.Count
			return
		}
	}
	s.entries = append(s.entries, entry{caller: caller, count: op.Count, shape: op.Shape, class: op.Class, discard: op.Discard, proto: op.Proto})
}

// seal writes what could not be known before: the number of a call's arguments.
func (s *segment) seal() []byte {
	s.sealed = true
	if s.isCall() {
		s.endRun()
		var room [countRoom]byte
		count := strconv.AppendInt(append(room[:0], '*'), int64(s.args), 10)
		count = append(count, '\r', '\n')
		s.start = countRoom - len(count)
		copy(s.buf[s.start:], count)
	}
	return s.buf[s.start:]
}

// size is how many bytes the segment holds.
func (s *segment) size() int { return len(s.buf) + s.run.Size() }

// addToRun appends a plain SET of caller to the run at the end of the call, or begins one.
func (s *segment) addToRun(caller *Caller, op *Op) {
	goes := s.run.Len() > 0
	s.run.Add(s.prefix, op.Key, op.Value)
	s.counted++
	if n := len(s.entries); goes && n > 0 {
		e := &s.entries[n-1]
		if e.caller == caller && e.shape == shapeRun && e.class == op.Class && e.discard == op.Discard {
			e.count++
			return
		}
	}
	s.entries = append(s.entries, entry{caller: caller, count: 1, shape: shapeRun, class: op.Class, discard: op.Discard, goes: goes})
}

// endRun makes the run an op of the call.
func (s *segment) endRun() {
	if s.run.Len() == 0 {
		return
	}
	head, list := s.run.Parts()
	s.args += 2
	s.replies++
	s.buf = append(s.buf, "$1\r\nM\r\n"...)
	s.buf = resp.AppendBulkParts(s.buf, head[:], list)
	s.run.Reset(keptBytes)
}

// callArgs counts FCALL, function, numkeys, database.
const callArgs = 4

// onlyReads makes a call one that carries out what in it needs no write, and answers all else with Redis's refusal.
func (s *segment) onlyReads(db int, refusal string) {
	s.reads = true
	s.setHead(callOf(crdtmeta.FuncRead, strconv.Itoa(db)+"?"+refusal))
}

// setHead gives a call another beginning.
func (s *segment) setHead(head []byte) {
	ops := append([]byte(nil), s.buf[countRoom+s.head:]...)
	s.buf = append(append(s.buf[:countRoom], head...), ops...)
	s.head = len(head)
}

// rewrite makes the call of a script one that runs although memory is short. The engine then refuses the commands in it that
// need more.
func (s *segment) rewrite(db int) {
	s.kind = OpFree
	s.setHead(callHead(OpFree, db, shortOfMemory))
}

func appendArgc(dst []byte, argc int) []byte {
	if argc < 10 {
		return append(dst, '$', '1', '\r', '\n', byte('0'+argc), '\r', '\n')
	}
	var digits [20]byte
	return resp.AppendBulk(dst, strconv.AppendInt(digits[:0], int64(argc), 10))
}

// literalOf returns the bytes of a ready answer.
func (s *segment) literalOf(e *entry) []byte { return s.literal[e.offset : e.offset+e.count] }
