package proxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/internal/resp"
)

// popped is the reply of BZPOPMIN in RESP2.
func popped(key, member, score string) string {
	out := resp.AppendArray(nil, 3)
	for _, part := range []string{key, member, score} {
		out = resp.AppendBulkString(out, part)
	}
	return string(out)
}

// blocked sends a command and returns when its client waits.
func (r *rig) blocked(w *wire, line string) {
	r.t.Helper()
	before := r.server.waiters.count()
	w.send(line + "\r\n")
	eventually(r.t, line+" waits", func() bool { return r.server.waiters.count() == before+1 })
}

func (w *wire) wantReply(want string) {
	w.t.Helper()
	if got := w.reply(); got != want {
		w.t.Errorf("got %q, want %q", got, want)
	}
}

// forgotten fails when anything of a waiter is kept.
func (r *rig) forgotten() {
	r.t.Helper()
	eventually(r.t, "nobody waits", func() bool {
		q := r.server.waiters
		q.mu.Lock()
		defer q.mu.Unlock()
		return len(q.queues) == 0 && len(q.clients) == 0 && q.asleep == 0
	})
}

func TestTheLongestWaitingIsServedFirst(t *testing.T) {
	r := start(t, nil)
	var waiting []*wire
	for i := range 6 {
		w := r.dial()
		r.blocked(w, []string{"BZPOPMIN z 0", "BZMPOP 0 1 z MIN", "BZPOPMIN y z 0"}[i%3])
		waiting = append(waiting, w)
	}
	w := r.dial()
	w.want("ZADD z 3 c 1 a 2 b", ":3\r\n")
	waiting[0].wantReply(popped("z", "a", "1"))
	waiting[1].wantReply("*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n")
	waiting[2].wantReply(popped("z", "c", "3"))
	for _, late := range waiting[3:] {
		late.silent("there was nothing for it")
	}
	w.want("ZADD y 7 x", ":1\r\n")
	waiting[5].wantReply(popped("y", "x", "7"))
	w.want("ZADD z 4 d", ":1\r\n")
	waiting[3].wantReply(popped("z", "d", "4"))
	w.want("ZADD z 5 e", ":1\r\n")
	waiting[4].wantReply("*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\ne\r\n$1\r\n5\r\n")
	w.want("EXISTS z y", ":0\r\n")
	r.forgotten()
}

// What somebody who waits is about to get is not taken by a client that comes later.
func TestNewcomersStandInLine(t *testing.T) {
	r := start(t, nil)
	for range 200 {
		old, young, w := r.dial(), r.dial(), r.dial()
		r.blocked(old, "BZPOPMIN z 0")
		w.send("ZADD z 1 m\r\n")
		young.send("BZPOPMIN z 0\r\n")
		old.wantReply(popped("z", "m", "1"))
		w.wantReply(":1\r\n")
		w.want("ZADD z 2 n", ":1\r\n")
		young.wantReply(popped("z", "n", "2"))
		for _, c := range []*wire{old, young, w} {
			c.conn.Close()
		}
	}
}

func TestOneClientWaitsForManyKeys(t *testing.T) {
	r := start(t, nil)
	a, b, w := r.dial(), r.dial(), r.dial()
	r.blocked(a, "BZPOPMAX x y x z 0")
	r.blocked(b, "BZPOPMIN z z 0")
	w.want("ZADD z 1 m 2 n", ":2\r\n")
	a.wantReply(popped("z", "n", "2"))
	b.wantReply(popped("z", "m", "1"))
	r.blocked(a, "BZPOPMIN x y 0")
	w.want("SELECT 1", "+OK\r\n")
	w.want("ZADD x 1 m", ":1\r\n")
	a.silent("the key is in another database")
	w.want("MOVE x 0", ":1\r\n")
	a.wantReply(popped("x", "m", "1"))
	r.blocked(a, "BZPOPMIN x y 0")
	w.want("SELECT 0", "+OK\r\n")
	w.want("ZADD other 1 m", ":1\r\n")
	w.want("RENAME other y", "+OK\r\n")
	a.wantReply(popped("y", "m", "1"))
	r.forgotten()
}

func TestAnotherTypeWakesNobody(t *testing.T) {
	r := start(t, nil)
	a, w := r.dial(), r.dial()
	w.want("SADD s a", ":1\r\n")
	wrongType := "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
	a.want("BZPOPMIN z s 0", wrongType) // a new client is told
	r.blocked(a, "BZPOPMIN z y 0")
	w.want("SADD z a", ":1\r\n")
	w.want("ZADD y 1 m", ":1\r\n")
	a.wantReply(popped("y", "m", "1"))
	w.want("DEL z", ":1\r\n")
	r.blocked(a, "BZPOPMIN z 0")
	w.want("SET z 1", "+OK\r\n")
	w.want("DEL z", ":1\r\n")
	a.silent("there was nothing for it")
	w.want("ZADD z 1 m", ":1\r\n")
	a.wantReply(popped("z", "m", "1"))
}

func TestWaitingEndsInTime(t *testing.T) {
	r := start(t, nil)
	for _, proto := range []string{"2", "3"} {
		w := r.dial()
		w.do("HELLO " + proto)
		null := map[string]string{"2": "*-1\r\n", "3": "_\r\n"}[proto]
		for _, line := range []string{"BZPOPMIN z 0.1", "BZMPOP 0.1 1 z MAX", "XREAD BLOCK 100 STREAMS s $"} {
			began := time.Now()
			w.want(line, null)
			if took := time.Since(began); took < 100*time.Millisecond {
				t.Errorf("%s: after %v", line, took)
			}
		}
	}
	r.forgotten()
}

func TestWrongArgumentsNeverWait(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for line, want := range map[string]string{
		"BZPOPMIN z x":                       "ERR timeout is not a float or out of range",
		"BZPOPMIN z nan":                     "ERR timeout is not a float or out of range",
		"BZPOPMIN z -0.5":                    "ERR timeout is negative",
		"BZPOPMIN z 1e300":                   "ERR timeout is negative",
		"BZMPOP x 1 z MIN":                   "ERR timeout is not a float or out of range",
		"BZMPOP x 0 z MIN":                   "ERR numkeys should be greater than 0",
		"BZMPOP x 1 z MID":                   "ERR syntax error",
		"BZMPOP x 1 z MIN COUNT 0":           "ERR count should be greater than 0",
		"BZMPOP 0 9 z MIN":                   "ERR syntax error",
		"XREAD BLOCK x STREAMS s $":          "ERR timeout is not an integer or out of range",
		"XREAD BLOCK -1 STREAMS s $":         "ERR timeout is negative",
		"XREAD COUNT x BLOCK -1 STREAMS s $": "ERR value is not an integer or out of range",
		"XREAD BLOCK -1 COUNT x STREAMS s $": "ERR timeout is negative",
		"XREAD BLOCK 0 STREAMS s t $":        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
		"XREAD BLOCK 0 NOACK STREAMS s $":    "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
		"XREAD BLOCK 0 STREAMS s >":          "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
		"BZPOPMIN crdt:log 0":                "ERR key names starting with 'crdt:' are reserved",
		"SSUBSCRIBE crdt:wake":               "ERR shard channel names starting with 'crdt:' are reserved",
		"SPUBLISH crdt:wake x":               "ERR shard channel names starting with 'crdt:' are reserved",
	} {
		w.want(line, "-"+want+"\r\n")
	}
}

func TestPipelinesKeepTheirOrder(t *testing.T) {
	r := start(t, nil)
	a, w := r.dial(), r.dial()
	a.send("ZADD z 1 first\r\nBZPOPMIN z 0\r\nBZPOPMIN z 0\r\nPING\r\nBZPOPMIN z 0\r\n")
	a.wantReply(":1\r\n")
	a.wantReply(popped("z", "first", "1"))
	a.silent("the next command waits")
	a.send("ECHO last\r\n")
	w.want("ZADD z 2 second", ":1\r\n")
	a.wantReply(popped("z", "second", "2"))
	a.wantReply("+PONG\r\n")
	a.silent("the next command waits")
	w.want("ZADD z 3 third", ":1\r\n")
	a.wantReply(popped("z", "third", "3"))
	a.wantReply("$4\r\nlast\r\n")
	a.send("CLIENT REPLY SKIP\r\nBZPOPMIN z 0\r\nECHO heard\r\n")
	eventually(t, "it waits", func() bool { return r.server.waiters.count() == 1 })
	w.want("ZADD z 4 fourth", ":1\r\n")
	a.wantReply("$5\r\nheard\r\n")
}

func TestDoublesInRESP3(t *testing.T) {
	r := start(t, nil)
	a, w := r.dial(), r.dial()
	a.do("HELLO 3")
	r.blocked(a, "BZPOPMIN z 0")
	w.want("ZADD z 1.5 m 2 n 3 o", ":3\r\n")
	a.wantReply("*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n")
	a.want("BZMPOP 0 1 z MAX COUNT 5", "*2\r\n$1\r\nz\r\n*2\r\n*2\r\n$1\r\no\r\n,3\r\n*2\r\n$1\r\nn\r\n,2\r\n")
	a.do("SUBSCRIBE news") // may use every command meanwhile
	r.blocked(a, "BZPOPMIN z 0")
	w.want("PUBLISH news hello", ":1\r\n")
	a.wantReply(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n")
	w.want("ZADD z 4 p", ":1\r\n")
	a.wantReply("*3\r\n$1\r\nz\r\n$1\r\np\r\n,4\r\n")
}

func TestClientUnblock(t *testing.T) {
	r := start(t, nil)
	a, w := r.dial(), r.dial()
	id := strings.Trim(a.do("CLIENT ID"), ":\r\n")
	w.want("CLIENT UNBLOCK "+id, ":0\r\n")
	for _, reason := range []string{"", " TIMEOUT", " error"} {
		r.blocked(a, "BZPOPMIN z 0")
		if list := w.do("CLIENT LIST ID " + id); !strings.Contains(list, " flags=b ") || !strings.Contains(list, " cmd=bzpopmin ") {
			t.Errorf("CLIENT LIST: %s", list)
		}
		if info := w.do("INFO clients"); !strings.Contains(info, "\r\nblocked_clients:1\r\n") {
			t.Errorf("INFO: %s", info)
		}
		w.want("CLIENT UNBLOCK "+id+reason, ":1\r\n")
		if reason == " error" {
			a.wantReply("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
		} else {
			a.wantReply("*-1\r\n")
		}
		w.want("CLIENT UNBLOCK "+id+reason, ":0\r\n")
	}
	if list := w.do("CLIENT LIST ID " + id); !strings.Contains(list, " flags=N ") {
		t.Errorf("CLIENT LIST: %s", list)
	}
	w.want("ZADD z 1 m", ":1\r\n")
	w.want("ZCARD z", ":1\r\n")
	w.want("CLIENT UNBLOCK "+id+" x", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n")
	w.want("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n")
	r.forgotten()
}

// Nothing is taken for a client that has gone, however it went and whatever it had sent behind its command.
func TestAClientThatHasGoneLosesNothing(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := start(t, func(c *Config) { c.Loops = loops })
		w := r.dial()
		leave := map[string]func(a *wire, id string){
			"close":      func(a *wire, _ string) { a.conn.Close() },
			"half":       func(a *wire, _ string) { a.conn.(*net.TCPConn).CloseWrite() },
			"reset":      func(a *wire, _ string) { a.conn.(*net.TCPConn).SetLinger(0); a.conn.Close() },
			"killed":     func(_ *wire, id string) { w.want("CLIENT KILL ID "+id, ":1\r\n") },
			"after more": func(a *wire, _ string) { a.send("PING\r\nGET x\r\n"); a.conn.Close() },
		}
		for how, leave := range leave {
			a, b := r.dial(), r.dial()
			id := strings.Trim(a.do("CLIENT ID"), ":\r\n")
			r.blocked(a, "BZPOPMIN z 0")
			r.blocked(b, "BZPOPMIN z 0")
			leave(a, id)
			eventually(t, how+" is noticed", func() bool { return r.server.waiters.count() == 1 })
			w.want("ZADD z 1 m 2 n", ":2\r\n")
			b.wantReply(popped("z", "m", "1"))
			w.want("ZRANGE z 0 -1", "*1\r\n$1\r\nn\r\n")
			w.want("DEL z", ":1\r\n")
			b.conn.Close()
		}
		r.forgotten()
		eventually(t, "they are closed", func() bool { return r.server.Clients() == 1 })
		r.stop()
	}
}

func TestTheEndOfTheProxyEndsWaiting(t *testing.T) {
	for _, loops := range []int{0, 1} {
		r := start(t, func(c *Config) { c.Loops = loops })
		a := r.dial()
		r.blocked(a, "BZPOPMIN z 0")
		r.stop()
		if rest := a.rest(); rest != "" {
			t.Errorf("was told %q", rest)
		}
		r.forgotten()
	}
}

// Whoever waits goes on waiting while Redis is away, comes back without its memory, or loses the engine.
func TestWaitingOutlastsRedis(t *testing.T) {
	r := start(t, nil)
	a, b, w := r.dial(), r.dial(), r.dial()
	r.blocked(a, "BZPOPMIN z 0")
	r.blocked(b, "BZPOPMIN y 2")
	past := dial(t, r.redis.Addr)
	past.want("FUNCTION FLUSH", "+OK\r\n")
	w.want("ZADD z 1 m", ":1\r\n")
	a.wantReply(popped("z", "m", "1"))
	r.blocked(a, "BZPOPMIN z 0")
	r.redis.Kill()
	b.wantReply("*-1\r\n") // in time all the same
	r.redis.Restart()
	eventually(t, "it serves", func() bool { return w.do("ZADD z 2 n") == ":1\r\n" })
	a.wantReply(popped("z", "n", "2"))
	r.blocked(a, "BZPOPMIN z 0")
	past = dial(t, r.redis.Addr)
	past.do("CLIENT KILL TYPE pubsub")
	past.do("CLIENT KILL TYPE normal SKIPME yes")
	eventually(t, "it serves", func() bool { return w.do("ZADD z 3 o") == ":1\r\n" })
	a.wantReply(popped("z", "o", "3"))
	r.forgotten()
}

// Two proxies share a Redis. Everything that is added is popped exactly once, whoever adds it and wherever the one who
// waits is connected.
func TestEverythingIsPoppedOnce(t *testing.T) {
	one := start(t, nil)
	two := startOn(t, one.redis, func(c *Config) { c.Loops = 2 })
	eventually(t, "the second proxy serves", func() bool { return two.dial().do("PING") == "+PONG\r\n" })
	rigs := []*rig{one, two}
	const keys, adders, each = 4, 4, 150
	var mu sync.Mutex
	seen := map[string]int{}
	var left atomic.Int64
	left.Store(adders * each)
	var consumers, producers sync.WaitGroup
	for i := range 12 {
		consumers.Go(func() {
			w := rigs[i%2].dial()
			for left.Load() > 0 {
				timeout := []string{"0.05", "0.2", "1"}[rand.IntN(3)]
				reply := w.do(fmt.Sprintf("BZPOPMIN z%d z%d %s", rand.IntN(keys), rand.IntN(keys), timeout))
				if reply == "*-1\r\n" {
					continue
				}
				parts := strings.Split(reply, "\r\n")
				if len(parts) != 8 {
					t.Errorf("%q", reply)
					return
				}
				mu.Lock()
				seen[parts[4]]++
				mu.Unlock()
				left.Add(-1)
			}
		})
	}
	for i := range adders {
		producers.Go(func() {
			w := rigs[i%2].dial()
			for n := range each {
				w.want(fmt.Sprintf("ZADD z%d %d m%d.%d", rand.IntN(keys), n, i, n), ":1\r\n")
				if n%10 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	producers.Wait()
	consumers.Wait()
	for member, times := range seen {
		if times != 1 {
			t.Errorf("%s was popped %d times", member, times)
		}
	}
	if len(seen) != adders*each {
		t.Errorf("%d popped, want %d", len(seen), adders*each)
	}
	one.forgotten()
	two.forgotten()
}

// Timeouts, hang-ups and CLIENT UNBLOCK meet wake-ups at the same moment. Each member is handed to one client, or stays, or
// was on its way to one that went in that moment.
func TestGivingUpWhileSomethingArrives(t *testing.T) {
	r := start(t, func(c *Config) { c.Loops = 2 })
	var clients sync.WaitGroup
	var got, added atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			w, by := r.dial(), r.dial()
			id := strings.Trim(w.do("CLIENT ID"), ":\r\n")
			for range 100 {
				w.send("BZPOPMIN z 0.003\r\n")
				if i%2 == 0 {
					by.do("CLIENT UNBLOCK " + id)
				}
				if reply := w.reply(); reply[:2] == "*3" {
					got.Add(1)
				} else if reply != "*-1\r\n" {
					t.Errorf("%q", reply)
				}
				by.want(fmt.Sprintf("ZADD z 1 %d.%d", i, added.Add(1)), ":1\r\n")
			}
		})
	}
	clients.Wait()
	w := r.dial()
	if rest := w.do("ZCARD z"); rest != fmt.Sprintf(":%d\r\n", added.Load()-got.Load()) {
		t.Errorf("%d added, %d popped, %s left", added.Load(), got.Load(), rest)
	}
	r.forgotten()
}

// Clients of one loop stand in the order in which their commands came, although each goes on in a goroutine of its own.
func TestArrivalsKeepTheirOrder(t *testing.T) {
	r := start(t, func(c *Config) { c.Loops = 1 })
	w := r.dial()
	for range 30 {
		var waiting []*wire
		for range 8 {
			c := r.dial()
			c.want("PING", "+PONG\r\n")
			waiting = append(waiting, c)
		}
		// The kernel lists the client that it named last first of all, should it have sent more until the next look: w's.
		w.want("PING", "+PONG\r\n")
		for _, c := range waiting {
			c.send("BZPOPMIN z 0\r\n")
		}
		eventually(t, "all wait", func() bool { return r.server.waiters.count() == len(waiting) })
		for i, c := range waiting {
			w.want(fmt.Sprintf("ZADD z %d m", i), ":1\r\n")
			c.wantReply(popped("z", "m", fmt.Sprint(i)))
			c.conn.Close()
		}
	}
}
