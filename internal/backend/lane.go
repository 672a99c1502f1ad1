package backend

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"anabranch/internal/resp"
	"anabranch/internal/sock"
	"anabranch/translate"
)

// Lane is one connection to Redis that many callers share, on one database and in one protocol version; or a private one
// with a single caller, for commands that leave state on a connection. It reconnects by itself, a private one never.
type Lane struct {
	backend *Backend
	db      int
	proto   int                         // once connected, the reader's: an op may change it
	owner   *Caller                     // of a private lane
	heads   [3][]byte                   // of an engine call, by kind
	arm     func(context.Context) error // makes the engine take calls

	mu      sync.Mutex
	canSend sync.Cond // the writer waits for work, serve for the last sender
	room    sync.Cond // callers wait until less is pending

	pending        []*segment // not sent yet, in order
	pendingBytes   int
	pendingReplies int
	inflight       queue // sent, not answered yet
	flights        int   // flushes among them
	nextSeq        uint64
	free           []*segment

	conn           net.Conn   // the present connection
	sock           *sock.Sock // the same, nil when it takes no raw bytes (TLS)
	tenure         *tenure    // that it ends with
	connected      bool
	sending        bool        // somebody is writing out
	out            net.Buffers // what is being written; of whoever is sending
	rest           bool        // the writer shall write what is left of out
	kicked         bool        // the writer shall flush
	paused         bool        // a refused call waits for the engine to be armed; nothing newer may be sent
	down           bool        // no connection for too long: everything is refused at once
	closed         bool        // for good
	waitingForRoom int

	// Of a private lane: state that its owner has put on the connection.
	subscribed atomic.Bool  // messages may come in RESP2, see Subscribed
	redirect   atomic.Int64 // see Redirected

	reader
}

// reader is what only the goroutine that reads replies touches.
type reader struct {
	in         []byte
	scan       resp.ReplyScanner
	seg        *segment // the oldest that is not answered
	at         int      // its entry at work
	left       int      // replies missing to that entry; 0 when it is not begun
	peeled     bool     // the header of a call's array was read
	pushing    bool     // inside an out-of-band message of a private lane
	allInvalid bool     // the last thing routed was the message after a flush
	partial    []byte   // a reply or message that must be complete before it is delivered
	runReply   []byte   // the reply of the run at work
	shaped     []byte
	held       []*segment // refused calls, and what was sent behind them
	dirty      []*Caller
	tally      tally // what was answered and not reported yet
	moment     int64 // of the bytes at hand, 0 until somebody asks
}

// Sizes of the reader's buffer. A private lane has one client, and there may be as many of them as clients.
const (
	inBytes        = 64 << 10
	privateInBytes = 8 << 10
)

func newLane(b *Backend, db, proto int, owner *Caller) *Lane {
	l := &Lane{backend: b, db: db, proto: proto, owner: owner, nextSeq: 1, arm: b.Arm}
	l.canSend.L, l.room.L = &l.mu, &l.mu
	l.heads[OpWrite], l.heads[OpFree] = callHead(OpWrite, db, ""), callHead(OpFree, db, "")
	if owner != nil {
		l.in = make([]byte, privateInBytes)
	} else {
		l.in = make([]byte, inBytes)
	}
	return l
}

// Submit hands in what one caller wants, in its order. It copies all bytes and never blocks. The commands leave with the
// next Flush or Kick, which the submitter calls when it has nothing more to submit at the moment. false means that too
// much is waiting: call WaitRoom before the next Submit. The caller must be idle when it comes from another lane.
func (l *Lane) Submit(c *Caller, ops []Op) (room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.refuse(c, ops)
		return true
	}
	if c.lane != l {
		c.lane, c.last = l, 0
	}
	var answers int64
	var seg *segment
	for i := range ops {
		op := &ops[i]
		if op.Kind != OpLiteral {
			seg = l.place(c, op)
		}
		before := seg.size()
		seg.add(c, op)
		l.pendingBytes += seg.size() - before
		switch {
		case op.Kind != OpLiteral:
			l.pendingReplies += op.Count
			answers += int64(op.Count)
		case !op.Discard:
			answers++
		}
	}
	c.last = seg.seq
	c.unanswered.Add(answers)
	return l.hasRoom()
}

func (l *Lane) hasRoom() bool {
	return l.down || l.pendingBytes < l.backend.cfg.PendingBytes && l.pendingReplies < l.backend.cfg.PendingCommands
}

// WaitRoom blocks until less is waiting, or nothing is accepted any more.
func (l *Lane) WaitRoom() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.hasRoom() {
		l.waitingForRoom++
		l.room.Wait()
		l.waitingForRoom--
	}
}

// place returns the segment that an op joins: the first pending one of its kind that has room and is not before what the
// caller has used already. Callers have no order between them while they wait, so those that change between reads and
// writes share their changes, and the number of engine calls in a flush does not grow with the number of callers.
func (l *Lane) place(c *Caller, op *Op) *segment {
	for _, seg := range l.pending[max(0, len(l.pending)-placeDepth):] {
		if op.Alone {
			break
		}
		if seg.seq >= c.last && seg.kind == op.Kind && !seg.sealed && !seg.full(len(op.Bytes)) {
			c.last = seg.seq
			return seg
		}
	}
	seg := l.newSegment(op.Kind)
	l.pending = append(l.pending, seg)
	l.pendingBytes += len(seg.buf)
	c.last = seg.seq
	return seg
}

// placeDepth bounds the search when much is waiting.
const placeDepth = 32

func (l *Lane) newSegment(kind OpKind) *segment {
	var head []byte
	if kind == OpWrite || kind == OpFree {
		head = l.heads[kind]
	}
	var seg *segment
	if n := len(l.free); n > 0 {
		seg, l.free = l.free[n-1], l.free[:n-1]
	} else {
		seg = new(segment)
	}
	seg.reset(kind, l.nextSeq, head, l.backend.cfg.Prefix)
	l.nextSeq++
	return seg
}

const maxFreeSegments = 32

// recycle takes back an answered segment. The lane's lock must be held.
func (l *Lane) recycle(seg *segment) {
	if len(l.free) >= maxFreeSegments || cap(seg.buf) > keptBytes || cap(seg.literal) > keptBytes {
		return
	}
	clear(seg.entries) // callers that are gone must not be kept alive
	l.free = append(l.free, seg)
}

// refuse answers ops that nobody can take. Nothing of the caller is under way, so the answers are in order.
func (l *Lane) refuse(c *Caller, ops []Op) {
	var out []byte
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Discard:
		case op.Kind == OpLiteral:
			out = append(out, op.Bytes...)
		default:
			l.countFailed(op.Class, op.Count)
			for range op.Count {
				out = resp.AppendError(out, l.backend.notSent(op.Kind))
			}
		}
	}
	c.Out.Deliver(out)
}

// Close ends a private lane once its caller has drained. Whatever is still under way is answered with an error.
func (l *Lane) Close() {
	l.mu.Lock()
	l.closed = true
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// SetDatabase tells a private lane that its owner has selected another database. The owner must have drained.
func (l *Lane) SetDatabase(db int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.db = db
	l.heads[OpWrite], l.heads[OpFree] = callHead(OpWrite, db, ""), callHead(OpFree, db, "")
}

func (l *Lane) database() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.db
}

// Subscribed tells a private lane whether its owner is about to be subscribed to something, so that replies in RESP2 may be
// messages. It is taken back only when the owner has drained.
func (l *Lane) Subscribed(subscribed bool) { l.subscribed.Store(subscribed) }

// Redirected tells a private lane by which id its owner knows the client that takes its invalidations.
func (l *Lane) Redirected(id int64) { l.redirect.Store(id) }

// isShaped reports whether a reply must be complete before it can be passed on.
func isShaped(shape translate.Shape) bool { return shape != translate.ShapePlain }
