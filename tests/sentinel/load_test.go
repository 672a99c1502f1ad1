package sentinel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// load is writers in one region that never stop at an error, and one that sees to it that what they wrote is replicated.
type load struct {
	t      testing.TB
	ledger ledger
	ctx    context.Context
	all    sync.WaitGroup

	// replicas is how many there are: a write counts as replicated when all of them have it.
	replicas atomic.Int64

	mu       sync.Mutex
	refusals map[string]int // errors that clients saw
	pause    time.Duration  // the longest time between two acknowledgements
	last     time.Time      // acknowledgement
}

var serial atomic.Int64 // of writes, so that each is unique in all regions

// startLoad runs writers until the test ends or end is called.
func startLoad(t testing.TB, writers, replicas int, proxies ...*redistest.Proxy) (l *load, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l = &load{t: t, ctx: ctx, refusals: map[string]int{}}
	l.replicas.Store(int64(replicas))
	var addrs []string
	for _, proxy := range proxies {
		addrs = append(addrs, proxy.Addr)
	}
	for i := range writers {
		l.all.Go(func() { l.write(addrs, i) })
	}
	l.all.Go(func() { l.replicate(addrs) })
	end = func() { cancel(); l.all.Wait() }
	t.Cleanup(end)
	return l, end
}

// dialAny connects to the first proxy that takes a connection, beginning with number n.
func (l *load) dialAny(addrs []string, n int) *redistest.Conn {
	for ; l.ctx.Err() == nil; n++ {
		if c, err := redistest.TryDial(l.t, addrs[n%len(addrs)]); err == nil {
			return c
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func (l *load) write(addrs []string, n int) {
	random := rand.New(rand.NewPCG(uint64(n), uint64(time.Now().UnixNano())))
	c := l.dialAny(addrs, n)
	for ; l.ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		w, commands := randomWrite(random)
		replies, err := c.Pipeline(commands)
		switch {
		case err != nil:
			l.ledger.missed(w, unknown)
			c.Close()
			n++
			c = l.dialAny(addrs, n)
		case replies[len(replies)-1].IsError():
			text := replies[len(replies)-1].Text
			l.refused(text)
			l.ledger.missed(w, standingOf(text))
			time.Sleep(20 * time.Millisecond)
		default:
			l.ledger.acked(w)
			l.answered()
		}
	}
	if c != nil {
		c.Close()
	}
}

func (l *load) refused(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusals[text]++
}

func (l *load) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.last.IsZero() {
		l.pause = max(l.pause, now.Sub(l.last))
	}
	l.last = now
}

// takePause is the longest pause since the last call.
func (l *load) takePause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	pause := l.pause
	l.pause = 0
	return pause
}

// replicate has everything that was acknowledged replicated to all replicas of the region, again and again. A new epoch of the region
// means another primary, also where nobody has asked for one.
func (l *load) replicate(addrs []string) {
	c := l.dialAny(addrs, 0)
	for epoch := ""; l.ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		now, err := epochOf(c)
		if err == nil && now != epoch {
			time.Sleep(200 * time.Millisecond) // a writer may have an answer of the old primary in hand
			l.ledger.doubt()
			epoch = now
			continue
		}
		marked, replicas := l.ledger.mark(), l.replicas.Load()
		var reply redistest.Reply
		if err == nil {
			reply, err = c.Try("WAIT", strconv.FormatInt(replicas, 10), "500")
		}
		if err == nil && !reply.IsError() && reply.Int() >= replicas {
			if now, err = epochOf(c); err == nil && now == epoch {
				l.ledger.replicated(marked)
			}
		}
		if err != nil && !errors.Is(err, errNoEpoch) {
			c.Close()
			c = l.dialAny(addrs, 0)
		}
	}
	if c != nil {
		c.Close()
	}
}

var errNoEpoch = errors.New("the region does not say its epoch")

// epochOf asks for the epoch of the region on its primary of the moment.
func epochOf(c *redistest.Conn) (string, error) {
	reply, err := c.Try("INFO", "crdt")
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(reply.Text, "crdt_replid:")
	epoch, _, _ := strings.Cut(rest, "\r\n")
	if !found || epoch == "" {
		return "", errNoEpoch
	}
	return epoch, nil
}

// randomWrite is a write that can be told from all others, by some way that a client has to write.
func randomWrite(random *rand.Rand) (*write, [][]string) {
	unique := "u" + strconv.FormatInt(serial.Add(1), 10)
	hot := strconv.Itoa(random.IntN(3))
	counter, set := "count"+hot, "set"+hot
	switch random.IntN(7) {
	case 0:
		return &write{cell: set + "/" + unique}, [][]string{{"SADD", set, unique}}
	case 1:
		return &write{cell: "list" + hot + "/" + unique}, [][]string{{"RPUSH", "list" + hot, unique}}
	case 2:
		return &write{cell: "own-" + unique}, [][]string{{"SET", "own-" + unique, "1"}}
	case 3:
		return &write{cell: "stream" + hot + "/" + unique}, [][]string{{"XADD", "stream" + hot, "*", unique, "1"}}
	case 4:
		return &write{cell: "hash" + hot + "/" + unique}, [][]string{{"HSET", "hash" + hot, unique, "1"}}
	case 5:
		return &write{cell: set + "/" + unique, counter: counter}, [][]string{{"MULTI"}, {"SADD", set, unique}, {"INCR", counter}, {"EXEC"}}
	}
	const both = "redis.call('SADD', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[2])"
	return &write{cell: set + "/" + unique, counter: counter}, [][]string{{"EVAL", both, "2", set, counter, unique}}
}

// errors is how many errors clients have seen.
func (l *load) errors() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.refusals {
		n += times
	}
	return n
}

// tell logs what clients have seen.
func (l *load) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for text, n := range l.refusals {
		l.t.Logf("%d × %s", n, text)
		if standingOf(text) == unknown && !strings.HasPrefix(text, "ERR backend connection lost") {
			l.t.Errorf("clients saw %q", text)
		}
	}
}

// standingOf is what an error says of the write that it answers.
func standingOf(text string) standing {
	for _, code := range []string{"LOADING ", "READONLY ", "NOREPLICAS ", "EXECABORT "} {
		if strings.HasPrefix(text, code) {
			return refused
		}
	}
	return unknown
}

// settle lets the regions exchange everything and compares: with the ledgers, and with each other.
func settle(t *testing.T, cluster *redistest.Cluster, loads ...*load) (total tally) {
	t.Helper()
	var apart error
	defer func() {
		if apart != nil {
			t.Log(apart)
		}
	}()
	soon(t, "the regions have everything of each other", func() bool {
		apart = cluster.TryConverge()
		return apart == nil
	})
	space := cluster.RequireEqual(t)
	var ledgers []*ledger
	for _, l := range loads {
		l.tell()
		ledgers = append(ledgers, &l.ledger)
	}
	total = check(t, space, ledgers...)
	t.Log(total)
	if total.safe < 100 {
		t.Errorf("only %d writes are safe: the load did not run", total.safe)
	}
	return total
}

// soon retries until ok, for what happens in its own time.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

// firstWrite is how long it takes from now until a write is acknowledged that was sent after now.
func firstWrite(t testing.TB, addr string) time.Duration {
	t.Helper()
	begun := time.Now()
	var c *redistest.Conn
	for time.Since(begun) < 60*time.Second {
		if c == nil {
			fresh, err := redistest.TryDial(t, addr)
			if err != nil {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			c = fresh
		}
		reply, err := c.Try("SET", "probe", fmt.Sprint(serial.Add(1)))
		switch {
		case err != nil:
			c.Close()
			c = nil
		case !reply.IsError():
			c.Close()
			return time.Since(begun)
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
	t.Fatal("no write was acknowledged for a minute")
	return 0
}
