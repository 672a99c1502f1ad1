package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// op is one write and what it leaves in the ledger.
type op struct {
	args    []string
	tail    [][]string // the further commands of a transaction; the reply to the last one counts
	counter string     // the cell that it moves by amount
	amount  int64
	marker  string // the cell that it creates, with value
	value   string
}

// load is writers that never stop at an error: they note the outcome as unknown and connect again.
type load struct {
	t      *testing.T
	seed   uint64
	ledger *ledger
	stop   context.CancelFunc
	ctx    context.Context
	all    sync.WaitGroup
}

func newLoad(t *testing.T) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{t: t, seed: seedOf(t), ledger: newLedger(), ctx: ctx, stop: stop}
	t.Cleanup(l.end)
	return l
}

// write starts n writers on a proxy. They end with the load.
func (l *load) write(proxy *redistest.Proxy, n int) {
	for i := range n {
		name := fmt.Sprintf("%s-%d", proxy.Addr[len("127.0.0.1:"):], i)
		random := rand.New(rand.NewPCG(l.seed, uint64(len(name))<<32|uint64(i)))
		l.all.Add(1)
		go func() { // ends when the load does
			defer l.all.Done()
			l.writer(proxy.Addr, name, random)
		}()
	}
}

// end stops the writers and waits for them.
func (l *load) end() {
	l.stop()
	l.all.Wait()
}

func (l *load) writer(addr, name string, random *rand.Rand) {
	var c *redistest.Conn
	for n := 0; l.ctx.Err() == nil; {
		if c == nil {
			fresh, err := redistest.TryDial(l.t, addr)
			if err != nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			c = fresh
		}
		batch := make([]op, 0, 8)
		commands := make([][]string, 0, 8)
		for range 1 + random.IntN(8) {
			n++
			o := randomOp(random, name+"-"+strconv.Itoa(n))
			batch, commands = append(batch, o), append(append(commands, o.args), o.tail...)
		}
		replies, err := c.Pipeline(commands)
		at := -1
		for _, o := range batch {
			at += 1 + len(o.tail)
			l.ledger.outcome(o, at < len(replies) && wasDone(replies[at]))
		}
		if err != nil {
			c.Close()
			c = nil
		}
		if err != nil || replies[len(replies)-1].IsError() {
			time.Sleep(20 * time.Millisecond) // a server that is down answers errors faster than it comes back
		}
		time.Sleep(5 * time.Millisecond) // leaves room for the proxies, which share the machine with their load
	}
	if c != nil {
		c.Close()
	}
}

// wasDone says whether a command, or all of a transaction, was carried out: a region that was away refuses writes for a moment.
func wasDone(reply redistest.Reply) bool {
	for _, part := range reply.Items {
		if part.IsError() {
			return false
		}
	}
	return !reply.IsError()
}

// randomOp writes a few shared cells, where everybody meets, and cells of its own that must all be there in the end.
func randomOp(random *rand.Rand, unique string) op {
	shared := strconv.Itoa(random.IntN(4))
	amount := int64(1 + random.IntN(9))
	if random.IntN(4) == 0 {
		amount = -amount
	}
	by := strconv.FormatInt(amount, 10)
	switch random.IntN(14) {
	case 10: // what is written together is seen together: check compares the two
		return op{args: []string{"MULTI"}, tail: [][]string{{"INCRBY", "together-a", by}, {"GET", "together-a"}, {"INCRBY", "together-b", by}, {"EXEC"}},
			counter: "together-a", amount: amount}
	case 11:
		const both = "redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])"
		return op{args: []string{"EVAL", both, "2", "together-a", "together-b", by}, counter: "together-a", amount: amount}
	case 12:
		return op{args: []string{"RPUSH", "list" + shared, unique}, marker: "list" + shared + "/" + unique}
	case 13:
		return op{args: []string{"XADD", "stream" + shared, "*", unique, by}, marker: "stream" + shared + "/" + unique}
	case 0:
		return op{args: []string{"INCR", "count" + shared}, counter: "count" + shared, amount: 1}
	case 1:
		return op{args: []string{"INCRBY", "count" + shared, by}, counter: "count" + shared, amount: amount}
	case 2:
		return op{args: []string{"HINCRBY", "hashcount", shared, by}, counter: "hashcount/" + shared, amount: amount}
	case 3:
		return op{args: []string{"ZINCRBY", "zcount", by, shared}, counter: "zcount/" + shared, amount: amount}
	case 4:
		return op{args: []string{"SADD", "set" + shared, unique}, marker: "set" + shared + "/" + unique}
	case 5:
		return op{args: []string{"HSET", "hash" + shared, unique, by}, marker: "hash" + shared + "/" + unique, value: by}
	case 6:
		return op{args: []string{"ZADD", "z" + shared, by, unique}, marker: "z" + shared + "/" + unique, value: by}
	case 7:
		return op{args: []string{"SET", "own-" + unique, by, "EX", "100000"}, marker: "own-" + unique, value: by}
	case 8:
		return op{args: []string{"SET", "last-writer" + shared, unique}}
	}
	return op{args: []string{"APPEND", "text-" + unique, by}, marker: "text-" + unique, value: by}
}
