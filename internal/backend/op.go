package backend

import (
	"sync/atomic"

	"anabranch/translate"
)

// OpKind says how an op travels.
type OpKind uint8

// The kinds of op.
const (
	OpRead        OpKind = iota // raw commands, raw replies
	OpWrite                     // one op of an engine call that Redis refuses over maxmemory
	OpFree                      // one op of an engine call that runs over maxmemory too
	OpLiteral                   // a reply that is known already; only behind another op of the same Submit
	OpTransaction               // MULTI … EXEC
)

// Op is one step of a caller: a run of reads, one write, a transaction, or a ready answer. Submit copies Bytes.
type Op struct {
	Kind    OpKind
	Class   translate.Class // under which the answer counts; Unclassified: it does not, as this is no command of a client
	Shape   translate.Shape // what has to be done to the reply
	Discard bool            // the caller does not want the reply
	Alone   bool            // an engine op that shares its call with no other: a script, which may be stopped
	Argc    int             // arguments of an engine op
	Count   int             // replies of an OpRead; 1 unless the bytes hold a run of commands
	Bytes   []byte          // OpRead: whole commands. Engine op: the arguments as bulks. OpLiteral: the reply
	Tx      *Transaction    // of an OpTransaction
	DB      int             // of an engine op in a transaction; elsewhere the lane's counts
	Proto   int             // not 0: the reply to this OpRead, a HELLO on a private lane, is the first in that version

	// Set says that an engine op is SET, Key, Value and nothing else. Neighbours of that kind share one op and one reply.
	Set        bool
	Key, Value []byte
}

// Output takes the replies of one caller.
type Output interface {
	// Deliver is given a piece of the caller's reply stream that ends with a reply. It must not block, and must not
	// keep p.
	Deliver(p []byte)

	// DeliverPart is Deliver for a piece behind which the same reply goes on.
	DeliverPart(p []byte)

	// Break means that the stream cannot go on: a reply was cut in the middle.
	Break()
}

// Caller is one source of commands with an order of its own: a client's session. It uses one lane at a time, and
// only one goroutine may submit for it.
type Caller struct {
	Out Output

	unanswered atomic.Int64
	draining   atomic.Bool
	drained    chan struct{}

	lane *Lane  // where the last command went
	last uint64 // the segment of the last command; guarded by the lane's lock

	// What the lane's reader has for this caller from the bytes at hand. Only that goroutine touches it.
	dirty    bool
	from, to int    // a span of the reader's buffer
	gathered []byte // more than one span, copied together
	answered int64
}

// NewCaller returns a Caller whose replies go to out.
func NewCaller(out Output) *Caller {
	return &Caller{Out: out, drained: make(chan struct{}, 1)}
}

// Idle reports whether every submitted command has been answered, which means: its reply was delivered.
func (c *Caller) Idle() bool { return c.unanswered.Load() == 0 }

// Drain waits until the caller is idle. It ends in bounded time, because every command gets an answer. Only the submitting
// goroutine may call it.
func (c *Caller) Drain() {
	if c.Idle() {
		return
	}
	c.draining.Store(true)
	for !c.Idle() {
		<-c.drained
	}
	c.draining.Store(false)
}

// settle counts answers. The lane's reader calls it after it has delivered them.
func (c *Caller) settle(n int64) {
	if c.unanswered.Add(-n) == 0 && c.draining.Load() {
		select {
		case c.drained <- struct{}{}:
		default:
		}
	}
}
