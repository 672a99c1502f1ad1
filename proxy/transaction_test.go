package proxy

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// TestTransactions compares sessions with what plain Redis answers, in both protocols.
func TestTransactions(t *testing.T) {
	r := start(t, nil)
	plain := redistest.Start(t)
	cases := map[string][]string{
		"writes":             {"MULTI", "SET {t}a 1", "INCR {t}a", "SADD {t}s x y", "EXEC", "GET {t}a"},
		"reads between":      {"SET r 1", "MULTI", "GET r", "SET r 2", "GET r", "DEL r", "EXISTS r", "EXEC", "EXISTS r"},
		"only reads":         {"SET o 1", "MULTI", "GET o", "STRLEN o", "EXEC"},
		"nothing":            {"MULTI", "EXEC"},
		"discard":            {"SET d 1", "MULTI", "SET d 2", "DISCARD", "GET d"},
		"nested":             {"MULTI", "MULTI", "SET n 1", "EXEC", "GET n"},
		"without multi":      {"EXEC", "DISCARD", "UNWATCH"},
		"watch inside":       {"MULTI", "WATCH w", "PING", "EXEC"},
		"unknown":            {"SET u 0", "MULTI", "SET u 1", "NOSUCH", "SET u 2", "EXEC", "GET u"},
		"arity":              {"SET u 0", "MULTI", "SET u 1", "GET", "EXEC", "GET u"},
		"wrong exec":         {"MULTI", "SET x 1", "EXEC now", "GET x", "EXEC"},
		"error in the run":   {"MULTI", "SET e v", "INCR e", "HGET e f", "SADD e m", "SET e w", "EXEC", "GET e"},
		"not in multi":       {"MULTI", "SAVE", "EXEC"},
		"local answers":      {"MULTI", "PING", "ECHO hi", "SET k 1", "PING x", "GET k", "EXEC"},
		"select inside":      {"SET db 0", "MULTI", "SET db 1", "SELECT 3", "GET db", "SET db 3", "SELECT 0", "GET db", "SELECT 3", "EXEC", "GET db", "DEL db", "SELECT 0", "GET db"},
		"select and stay":    {"SET db 0", "MULTI", "SELECT 1", "EXEC", "SET db 1", "MULTI", "SELECT 0", "EXEC", "GET db", "WATCH db", "MULTI", "SELECT 1", "EXEC", "GET db", "MULTI", "SELECT 0", "EXEC", "GET db", "SELECT 1", "DEL db", "SELECT 0"},
		"select out of it":   {"MULTI", "SELECT 99", "SELECT x", "SET q 1", "EXEC", "GET q"},
		"shapes":             {"ZADD z 1 a 2 b 3 c", "SADD p x", "MULTI", "ZINCRBY z 1 a", "ZPOPMIN z", "ZPOPMIN z 5", "SPOP p 2", "ZRANGE z 0 -1 WITHSCORES", "HGETALL nohash", "GET none", "EXEC"},
		"watch kept":         {"SET k 1", "WATCH k", "GET k", "MULTI", "SET k 2", "EXEC", "GET k"},
		"watch own change":   {"SET k 1", "WATCH k", "SET k 2", "MULTI", "SET k 3", "EXEC", "GET k"},
		"watch and unwatch":  {"SET k 1", "WATCH k", "SET k 2", "UNWATCH", "MULTI", "SET k 3", "EXEC", "GET k"},
		"watch and discard":  {"WATCH k", "SET k 2", "MULTI", "DISCARD", "MULTI", "GET k", "EXEC"},
		"watch empty exec":   {"WATCH k", "SET k 5", "MULTI", "EXEC", "MULTI", "EXEC"},
		"watch other db":     {"SELECT 5", "SET x 30", "WATCH x", "SELECT 1", "SET x 10", "SELECT 5", "MULTI", "PING", "EXEC", "SELECT 0"},
		"watch twice":        {"WATCH k", "WATCH k2", "MULTI", "SET k 9", "EXEC", "WATCH k", "MULTI", "SET k 10", "EXEC", "GET k"},
		"dirty ends watch":   {"WATCH k", "SET k 6", "MULTI", "NOSUCH", "EXEC", "MULTI", "GET k", "EXEC"},
		"after reset":        {"MULTI", "SET k 7", "RESET", "EXEC"},
		"publish":            {"MULTI", "PUBLISH ch m", "SET k 1", "EXEC"},
		"client reply":       {"MULTI", "SET k 1", "CLIENT GETNAME", "EXEC"},
		"mset and overwrite": {"MULTI", "MSET a 1 b 2", "RENAME a b", "COPY b c", "EXPIRE c 100", "TTL c", "EXEC", "MGET a b c"},
	}
	for _, proto := range []string{"2", "3"} {
		for name, commands := range cases {
			t.Run(name+" RESP"+proto, func(t *testing.T) {
				got, want := dial(t, r.addr), dial(t, plain.Addr)
				for _, w := range []*wire{got, want} {
					w.send("HELLO " + proto + "\r\n")
					w.reply()
					w.do("FLUSHALL")
				}
				for _, command := range commands {
					if g, w := got.do(command), want.do(command); g != w {
						t.Errorf("%s\n got %q\nwant %q", command, g, w)
					}
				}
				// The same as one pipeline.
				for _, w := range []*wire{got, want} {
					w.do("FLUSHALL", "DISCARD", "UNWATCH")
				}
				if g, w := got.do(commands...), want.do(commands...); g != w {
					t.Errorf("pipelined\n got %q\nwant %q", g, w)
				}
			})
		}
	}
}

// TestWatchSeesOthers: another client's write, and only a real one, makes EXEC do nothing.
func TestWatchSeesOthers(t *testing.T) {
	r := start(t, nil)
	a, b := r.dial(), r.dial()
	for _, c := range []struct{ meanwhile, want string }{
		{"SET k 2", "*-1\r\n"},
		{"DEL k", "*-1\r\n"},
		{"SET other 2", "*1\r\n+OK\r\n"},
		{"GET k", "*1\r\n+OK\r\n"},
		{"HDEL nothing f", "*1\r\n+OK\r\n"},
	} {
		a.do("SET k 1", "WATCH k")
		b.do(c.meanwhile)
		if got := a.do("MULTI", "SET k 3", "EXEC"); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s in between: got %q", c.meanwhile, got)
		}
	}
}

// TestTransactionsAreAtomic: two keys that always change together are never seen apart.
func TestTransactionsAreAtomic(t *testing.T) {
	r := start(t, nil)
	r.dial().do("MSET x 0 y 0")
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			w := r.dial()
			for range 50 {
				if i%2 == 0 {
					w.do("MULTI", "INCR x", "GET x", "INCR y", "EXEC")
				} else {
					w.do("MULTI", "DECR x", "DECR y", "GET x", "EXEC")
				}
			}
		})
	}
	reader := r.dial()
	for i := range 200 {
		command := "MGET x y"
		got := reader.do(command)
		var x, y, lx, ly int
		if _, err := fmt.Sscanf(got, "*2\r\n$%d\r\n%d\r\n$%d\r\n%d\r\n", &lx, &x, &ly, &y); err != nil || x != y {
			t.Fatalf("round %d: %q %v", i, got, err)
		}
	}
	writers.Wait()
}

// TestOptimisticCounter: increments by WATCH, GET, MULTI, SET, EXEC lose nothing between clients.
func TestOptimisticCounter(t *testing.T) {
	r := start(t, nil)
	r.dial().do("SET n 0")
	const clients, each = 4, 25
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			w := r.dial()
			for done := 0; done < each; {
				var n, size int
				fmt.Sscanf(strings.TrimPrefix(w.do("WATCH n", "GET n"), "+OK\r\n"), "$%d\r\n%d\r\n", &size, &n)
				if strings.HasSuffix(w.do("MULTI", fmt.Sprintf("SET n %d", n+1), "EXEC"), "*1\r\n+OK\r\n") {
					done++
				}
			}
		})
	}
	group.Wait()
	if got, want := r.dial().do("GET n"), fmt.Sprintf("$3\r\n%d\r\n", clients*each); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTransactionIsOneEntry: reads in the middle do not split the log entry that peers apply in one step.
func TestTransactionIsOneEntry(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	before := logLength(r)
	w.do("MULTI", "SET a 1", "GET a", "DEL a", "GET a", "SELECT 2", "SADD b x", "SCARD b", "SADD b y", "SELECT 0", "EXEC")
	if after := logLength(r); after != before+1 {
		t.Errorf("%d entries", after-before)
	}
	w.do("SET c 1")
	if after := logLength(r); after != before+2 {
		t.Errorf("%d entries after the next write", after-before)
	}
}

// TestFullServerRefusesTransactionsWhole: over maxmemory, where Redis queues nothing, nothing of a transaction is done.
func TestFullServerRefusesTransactionsWhole(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET keep 1", "SET k 1")
	r.direct("CONFIG SET maxmemory 1")
	for _, command := range []string{"SET k 2", "GET k"} {
		if got := w.do("MULTI", "DEL keep", command, "EXEC"); !strings.HasSuffix(got, "-"+errExecAbort+"\r\n") {
			t.Errorf("with %s: got %q", command, got)
		}
	}
	r.direct("CONFIG SET maxmemory 0")
	w.want("MGET keep k", "*2\r\n$1\r\n1\r\n$1\r\n1\r\n")
}

// TestTransactionAfterLostEngine: a server that lost the engine gets it back, and the transaction runs once; one that
// watched is told to try again.
func TestTransactionAfterLostEngine(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("SET n 0")
	r.direct("FUNCTION FLUSH")
	if got := w.do("MULTI", "INCR n", "GET n", "INCR n", "EXEC"); !strings.HasSuffix(got, "*3\r\n:1\r\n$1\r\n1\r\n:2\r\n") {
		t.Errorf("got %q", got)
	}
	r.direct("FUNCTION FLUSH")
	w.do("WATCH n")
	if got := w.do("MULTI", "INCR n", "EXEC"); !strings.HasSuffix(got, "*-1\r\n") {
		t.Errorf("watched: %q", got)
	}
	if got := w.do("MULTI", "INCR n", "EXEC"); !strings.HasSuffix(got, "*1\r\n:3\r\n") {
		t.Errorf("again: %q", got)
	}
}

// direct sends a command to the server itself.
func (r *rig) direct(command string) string {
	r.t.Helper()
	return dial(r.t, r.redis.Addr).do(command)
}

func logLength(r *rig) int {
	r.t.Helper()
	var n int
	if _, err := fmt.Sscanf(r.direct("XLEN crdt:log"), ":%d", &n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// EXEC that is refused ends the transaction, whatever the reason: what the client sends next must not be queued.
func TestRefusedExecEndsTheTransaction(t *testing.T) {
	r := start(t, func(c *Config) {})
	begun, later, denied, admin := r.dial(), r.dial(), r.dial(), r.dial()
	admin.want("ACL SETUSER u on nopass allkeys allcommands", "+OK\r\n")
	denied.want("AUTH u x", "+OK\r\n")
	denied.want("MULTI", "+OK\r\n")
	denied.want("SET k 1", "+QUEUED\r\n")
	admin.want("ACL SETUSER u -exec", "+OK\r\n")
	denied.want("EXEC", "-EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' command\r\n")
	denied.want("EXISTS k", ":0\r\n")
	begun.want("MULTI", "+OK\r\n")
	begun.want("SET k 1", "+QUEUED\r\n")
	r.redis.Kill()
	eventually(t, "the proxy knows", func() bool { return strings.HasPrefix(later.do("PING"), "-LOADING") })
	if reply := begun.do("EXEC"); !strings.HasPrefix(reply, "-LOADING") {
		t.Errorf("EXEC: %s", reply)
	}
	begun.want("DISCARD", "-ERR DISCARD without MULTI\r\n")
	later.want("MULTI", "+OK\r\n")
	if reply := later.do("SET k 2"); !strings.HasPrefix(reply, "-LOADING") {
		t.Errorf("SET: %s", reply)
	}
	later.want("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n")
	later.want("DISCARD", "-ERR DISCARD without MULTI\r\n")
	r.redis.Restart()
	// PING is answered as soon as Redis is there; the connection that carries commands may come a moment later.
	eventually(t, "the proxy serves, and begun is not in a transaction", func() bool { return begun.do("EXISTS k") == ":0\r\n" })
}

// Where the engine takes no writes, a transaction with one is discarded whole, as on a server that is read-only.
func TestTransactionWhereNoWritesAreTaken(t *testing.T) {
	r := start(t, func(c *Config) {})
	begun, later := r.dial(), r.dial()
	begun.want("MULTI", "+OK\r\n")
	begun.want("GET k", "+QUEUED\r\n")
	begun.want("SET k 1", "+QUEUED\r\n")
	r.direct("FCALL " + crdtmeta.FuncHold + " 0 " + r.backend.Server().Origin + " merging")
	eventually(t, "the proxy knows", func() bool {
		later.want("MULTI", "+OK\r\n")
		reply := later.do("SET k 2")
		if reply != "+QUEUED\r\n" {
			if want := "-CRDTHELD merging\r\n"; reply != want {
				t.Errorf("SET in MULTI: %q, want %q", reply, want)
			}
			later.want("GET k", "+QUEUED\r\n")
			later.want("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n")
			return true
		}
		later.want("DISCARD", "+OK\r\n")
		return false
	})
	begun.want("EXEC", "-EXECABORT Transaction discarded because of: CRDTHELD merging\r\n")
	begun.want("GET k", "$-1\r\n")
	later.want("MULTI", "+OK\r\n")
	later.want("GET k", "+QUEUED\r\n")
	later.want("EXEC", "*1\r\n$-1\r\n")
}
