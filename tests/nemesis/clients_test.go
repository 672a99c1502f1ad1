package nemesis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"anabranch/internal/redistest"
)

// deed is one or several commands that are sent in one piece.
type deed struct {
	commands [][]string
	// settle tells the ledger what became of it. o is the outcome by the last reply; replies are all there are, none when the
	// connection broke.
	settle func(o outcome, replies []redistest.Reply)
	// wild deeds meet keys of any type, so that any error may come.
	wild bool
}

// client is one connection after the other to the proxies of a region, always with the same database selected.
type client struct {
	*world
	name   string // unique, and part of all that it writes
	home   int    // region
	proxy  int    // that it prefers
	db     string
	random *rand.Rand
	ledger *ledger
	works  []work
	weight int // of all works together

	n       int     // what it has made up
	mine    []owned // markers that are there, and that it may remove
	ids     map[string]string
	pattern time.Duration // pause between deeds, on average
}

// owned is a marker and the command that removes it.
type owned struct {
	cell   string
	remove []string
}

// unique makes up an element that nobody else writes.
func (c *client) unique() string {
	c.n++
	c.ledger.attempt(c.name, c.n)
	return c.name + "-" + strconv.Itoa(c.n)
}

// cell is how the ledger names a key of the client's database, and an element of it.
func (c *client) cell(key string, element ...string) string {
	if c.db != "0" {
		key = c.db + ":" + key
	}
	for _, e := range element {
		key += "/" + e
	}
	return key
}

// run goes on until ctx ends, whatever happens to the proxies.
func (c *client) run(ctx context.Context) {
	var conn *redistest.Conn
	for ctx.Err() == nil {
		if conn == nil {
			if conn = c.dial(); conn == nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
		}
		if !c.step(conn) {
			conn.Close()
			conn = nil
		}
		time.Sleep(time.Duration(c.random.Int64N(int64(2 * c.pattern))))
	}
	if conn != nil {
		conn.Close()
	}
}

// dial tries the proxies of the region in turn, the preferred one first.
func (c *client) dial() *redistest.Conn {
	proxies := c.Regions[c.home].Proxies
	for i := range proxies {
		conn, err := redistest.TryDial(c.t, proxies[(c.proxy+i)%len(proxies)].Addr)
		if err != nil {
			continue
		}
		if reply, err := conn.Try("SELECT", c.db); err == nil && !reply.IsError() {
			return conn
		}
		conn.Close()
	}
	return nil
}

// step does a few deeds at once. It answers false when the connection is of no more use.
func (c *client) step(conn *redistest.Conn) bool {
	var (
		deeds    []deed
		commands [][]string
	)
	for range 1 + c.random.IntN(4) {
		d := c.choose()
		deeds, commands = append(deeds, d), append(commands, d.commands...)
	}
	// What is told now and before is told by a server that may lose it; a doubt that begins later is no matter of this step.
	doubtful := c.doubtful[c.home].holds()
	replies, err := conn.Pipeline(commands)
	doubtful = doubtful || c.doubtful[c.home].holds()
	failed := err != nil
	for _, d := range deeds {
		if len(replies) < len(d.commands) {
			c.ledger.count(unknown)
			d.settle(unknown, nil)
			replies = nil
			continue
		}
		mine := replies[:len(d.commands)]
		replies = replies[len(d.commands):]
		o := c.outcome(d, mine)
		failed = failed || o == refused && !d.wild
		if doubtful && o == acknowledged {
			o = unknown
		}
		c.ledger.count(o)
		d.settle(o, mine)
	}
	if failed {
		time.Sleep(50 * time.Millisecond) // a server that is down answers errors faster than it comes back
	}
	return err == nil
}

// outcome is what the last reply says, and for a transaction what its parts say.
func (c *client) outcome(d deed, replies []redistest.Reply) outcome {
	last := replies[len(replies)-1]
	if last.IsError() {
		o, documented := judge(last.Text)
		c.ledger.told(last.Text, documented || d.wild)
		return o
	}
	if d.wild {
		return acknowledged
	}
	if d.commands[len(d.commands)-1][0] == "EXEC" {
		for _, part := range last.Items {
			if strings.HasPrefix(part.Text, "CRDTHELD ") && part.IsError() {
				return refused // and so were all other writes of the transaction
			}
			if part.IsError() {
				c.ledger.told("in a transaction: "+part.Text, false)
				return unknown
			}
		}
	}
	return acknowledged
}

func (c *client) choose() deed {
	n := c.random.IntN(c.weight)
	for _, w := range c.works {
		if n -= w.weight; n < 0 {
			return w.do(c)
		}
	}
	panic("weights are wrong")
}

// work is one way to use the data, and how often.
type work struct {
	weight int
	do     func(*client) deed
}

// load is all clients.
type load struct {
	all  sync.WaitGroup
	stop context.CancelFunc
}

// startLoad runs the clients of every region, and a reader in each.
func startLoad(w *world, l *ledger, seed uint64, pause time.Duration) *load {
	ctx, stop := context.WithCancel(w.t.Context())
	running := &load{stop: stop}
	for r, region := range w.Regions {
		for p := range region.Proxies {
			for i, role := range roles {
				c := &client{
					world: w, name: fmt.Sprintf("%s%d.%d", region.Name, p+1, i), home: r, proxy: p, db: role.db,
					random: rand.New(rand.NewPCG(seed, uint64(100*r+10*p+i+1000))), ledger: l, works: role.works,
					ids: map[string]string{}, pattern: pause,
				}
				for _, w := range c.works {
					c.weight += w.weight
				}
				running.all.Go(func() { c.run(ctx) }) // ends with ctx
			}
		}
		running.all.Go(func() { watchPairs(ctx, w, r) }) // ends with ctx
	}
	w.t.Cleanup(running.end)
	return running
}

// end stops the clients and waits for what is under way.
func (l *load) end() {
	l.stop()
	l.all.Wait()
}

// roles are the clients of each proxy.
var roles = []struct {
	db    string
	works []work
}{
	{"0", kept},
	{"0", kept},
	{"0", wild},
	{"1", append(wildly(2), kept...)},
	{"9", append([]work{{1, (*client).flush}}, wildly(10)...)},
}

// wildly is the wild works, more or less often.
func wildly(weight int) []work {
	works := make([]work, 0, len(wild))
	for _, w := range wild {
		works = append(works, work{weight * w.weight, w.do})
	}
	return works
}
