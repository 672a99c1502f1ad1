package proxy

import (
	"bytes"
	"container/list"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// waiter is one client in a command that may wait. The engine does the work: each attempt is one XCRDT.TRY, which answers
// what the command answers, or notes that the client waits for the keys (docs/engine.md, section 8).
type waiter struct {
	session *session
	lane    *backend.Lane
	shape   translate.Shape
	kind    backend.OpKind
	command []byte // its arguments as bulks, the name among them
	argc    int
	places  []place // the keys it waits for, in the command's order
	behind  []int   // the numbers of those for which others waited when it came that want the same
	group   string  // waiters of one group want the same: where one finds nothing, no other does; empty: none does

	began  time.Time       // when the command had its turn
	try    *backend.Caller // the first attempt, once it was handed in
	answer chan []byte     // at most one: what an attempt got, or a way to end it from outside

	// The fields below are guarded by the lock of the waiters.
	seq    uint64          // the order of arrival
	spots  []*list.Element // where it stands in the queues of its places; nil for a place that was named before
	trying chan struct{}   // not nil during an attempt; closed at its end
	over   bool            // answered, or given up: no further attempt is made
	asleep bool            // the first attempt found nothing
}

// place is a key of a database.
type place struct {
	db  int
	key string
}

// Waiters of one of these groups pop what arrives.
const (
	groupLists      = "list"
	groupSortedSets = "sorted set"
)

func (s *session) newWaiter(plan *translate.Plan) *waiter {
	args := s.scan.Args
	w := &waiter{
		session: s, lane: s.shared(), shape: plan.Shape, kind: backend.OpFree,
		command: bytes.Clone(s.scan.Raw[s.scan.Head:]), argc: len(args), group: waitGroup(plan.Command.Name, args),
		began: time.Now(), answer: make(chan []byte, 1),
	}
	if plan.DenyOOM {
		w.kind = backend.OpWrite
	}
	plan.Command.EachKey(args, func(position int, access translate.Access) bool {
		if access&translate.AccessRead != 0 { // not what BLMOVE writes to
			w.places = append(w.places, place{s.db, string(args[position])})
		}
		return true
	})
	return w
}

// waitGroup tells who competes with whom for what arrives at a key. Readers of a stream do not.
func waitGroup(command string, args [][]byte) string {
	switch command {
	case "XREAD":
		return ""
	case "XREADGROUP":
		for i := 1; i+2 < len(args) && !is(args[i], "STREAMS"); i++ {
			switch {
			case is(args[i], "GROUP"):
				return "group " + string(args[i+1])
			case is(args[i], "COUNT"), is(args[i], "BLOCK"):
				i++
			}
		}
		return ""
	case "BZPOPMIN", "BZPOPMAX", "BZMPOP":
		return groupSortedSets
	}
	return groupLists
}

// submitFirst hands in the attempt of a new client, on all its keys. Whoever calls it flushes the lane.
func (w *waiter) submitFirst() {
	which := "0"
	for _, number := range w.behind {
		which += "," + strconv.Itoa(number)
	}
	w.try = w.submit(which, w.kind)
}

// first is that attempt. It answers what the client shall be told, or nil and the words behind WAIT when there was nothing.
func (w *waiter) first() (reply []byte, words []string) {
	if w.try == nil {
		w.submitFirst()
		w.lane.Kick()
	}
	return w.await(w.try)
}

// retry is an attempt of a waiting client on one of its keys, by its number from 1. As in Redis, the memory that is left does not
// matter to it any more.
func (w *waiter) retry(number int) (reply []byte) {
	begun := w.submit(strconv.Itoa(number), backend.OpFree)
	w.lane.Kick()
	reply, _ = w.await(begun)
	if backend.NotExecuted(reply) {
		w.session.server.waiters.refuse()
		return nil
	}
	return reply
}

// submit hands in one attempt.
func (w *waiter) submit(which string, kind backend.OpKind) *backend.Caller {
	op := resp.AppendBulkString(nil, "XCRDT.TRY")
	op = resp.AppendBulkString(op, which)
	op = append(op, w.command...)
	caller := backend.NewCaller(new(capture))
	w.lane.Submit(caller, []backend.Op{{Kind: kind, Shape: w.shape, Argc: w.argc + 2, Count: 1, Bytes: op}})
	return caller
}

// await blocks until Redis has answered, which is bounded as for every command. Both answers are nil when the reply was cut,
// which ends the client's connection.
func (w *waiter) await(caller *backend.Caller) (reply []byte, words []string) {
	caller.Drain()
	out := caller.Out.(*capture)
	switch {
	case out.broken:
		w.session.out.Break()
		return nil, nil
	case bytes.HasPrefix(out.reply, waitStatus):
		return nil, strings.Fields(string(out.reply[len(waitStatus):]))
	}
	return out.reply, nil
}

var waitStatus = []byte("+WAIT ")

// capture is a backend.Output that keeps a reply.
type capture struct {
	reply  []byte
	broken bool
}

func (c *capture) Deliver(p []byte) { c.reply = append(c.reply, p...) }

func (c *capture) DeliverPart(p []byte) { c.Deliver(p) }

func (c *capture) Break() { c.broken = true }

// goOnFrom puts ids in the place of those that the client has sent, of which some may have meant "from now on".
func (w *waiter) goOnFrom(args [][]byte, ids []string) {
	w.command = w.command[:0]
	for i, arg := range args {
		if at := i - (len(args) - len(ids)); at >= 0 {
			arg = []byte(ids[at])
		}
		w.command = resp.AppendBulk(w.command, arg)
	}
}

// gone reports whether the client has hung up, so that nothing must be taken for it.
func (w *waiter) gone() bool {
	bare := w.session.out.bare
	return bare != nil && bare.HungUp()
}

// index is where a key of the waiter's stands among them, counted from 1.
func (w *waiter) index(at place) int { return slices.Index(w.places, at) + 1 }
