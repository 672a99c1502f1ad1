package proxy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

// step is a line that one of several connections sends, and how many replies and messages come to it and to others.
type step struct {
	conn  int
	line  string
	wants map[int]int // connection → replies; nil: one to conn
}

// sides runs steps on Redis itself and through the proxy, and compares what each connection receives. "<3>" in a line is
// the client id of connection 3.
func (r *rig) sides(conns int, steps []step) {
	r.t.Helper()
	var transcripts [2][]string
	for side, addr := range []string{r.redis.Addr, r.addr} {
		for range 20 {
			dial(r.t, addr).do("PING") // the ids to come are no other numbers
		}
		wires, ids := make([]*wire, conns), make([]string, conns)
		for i := range wires {
			wires[i] = dial(r.t, addr)
			ids[i] = strings.Trim(wires[i].do("CLIENT ID"), ":\r\n")
		}
		masked := func(text string) string {
			for i, id := range ids {
				text = strings.ReplaceAll(text, ":"+id+"\r\n", fmt.Sprintf(":<%d>\r\n", i))
			}
			return text
		}
		for _, s := range steps {
			line := s.line
			for i, id := range ids {
				line = strings.ReplaceAll(line, fmt.Sprintf("<%d>", i), id)
			}
			wires[s.conn].send(line + "\r\n")
			wants := s.wants
			if wants == nil {
				wants = map[int]int{s.conn: 1}
			}
			for i := range conns {
				for range wants[i] {
					transcripts[side] = append(transcripts[side], fmt.Sprintf("%d got %q", i, masked(wires[i].reply())))
				}
			}
		}
		for i, w := range wires { // nothing more may have come
			w.send("RESET\r\n")
			transcripts[side] = append(transcripts[side], fmt.Sprintf("%d ends with %q", i, w.reply()))
			w.conn.Close()
		}
		for _, addr := range []string{r.redis.Addr, r.addr} {
			dial(r.t, addr).do("FLUSHALL")
		}
	}
	for i := range max(len(transcripts[0]), len(transcripts[1])) {
		if transcripts[0][i] != transcripts[1][i] {
			r.t.Fatalf("redis:\n%s\nproxy:\n%s", strings.Join(transcripts[0][:i+1], "\n"), strings.Join(transcripts[1][:i+1], "\n"))
		}
	}
}

func TestTrackingIsAsOnRedis(t *testing.T) {
	r := start(t, nil)
	both := func(a, b int) map[int]int { return map[int]int{a: 1, b: 1} }
	r.sides(2, []step{
		{0, "HELLO 3", nil}, {0, "CLIENT TRACKING ON", nil}, {0, "GET a", nil}, {1, "SET a 1", both(0, 1)},
		{1, "SET a 2", nil}, {0, "GET a", nil}, {0, "MGET a b", nil}, {0, "SET a 3", map[int]int{0: 2}},
		{0, "MGET x y", nil}, {1, "MSET x 1 y 2", map[int]int{0: 2, 1: 1}},
		{0, "HGETALL h", nil}, {1, "HSET h f v", both(0, 1)}, {0, "GET t", nil}, {1, "SET t 1 PX 100000", both(0, 1)},
		{0, "GET t", nil}, {1, "PEXPIRE t 50000", both(0, 1)}, {0, "GET t", nil}, {1, "RENAME t u", both(0, 1)},
		{0, "SELECT 3", nil}, {0, "SET three 1", nil}, {0, "GET three", nil}, {0, "SELECT 0", nil}, {0, "GET three", nil},
		{0, "GET a", nil}, {1, "FLUSHALL", both(0, 1)}, {0, "CLIENT TRACKINGINFO", nil}, {0, "CLIENT GETREDIR", nil},
		{0, "HELLO 2", nil}, {0, "GET a", nil}, {1, "SET a 5", nil}, {0, "LRANGE none 0 -1", nil},
		{0, "HELLO 3", nil}, {0, "GET a", nil}, {0, "CLIENT TRACKING OFF", nil}, {1, "SET a 6", nil}, {0, "CLIENT TRACKINGINFO", nil},
	})
	r.sides(2, []step{
		{0, "HELLO 3", nil}, {0, "CLIENT TRACKING ON NOLOOP", nil}, {0, "MGET a b", nil}, {0, "SET a 1", nil}, {1, "SET b 1", both(0, 1)},
		{0, "CLIENT TRACKING OFF", nil}, {0, "CLIENT TRACKING ON OPTIN", nil}, {0, "GET a", nil}, {1, "SET a 2", nil},
		{0, "CLIENT CACHING YES", nil}, {0, "CLIENT ID", nil}, {0, "CLIENT TRACKINGINFO", nil}, {0, "GET a", nil}, {1, "SET a 3", both(0, 1)},
		{0, "CLIENT CACHING YES", nil}, {0, "GET b", nil}, {0, "GET a", nil}, {1, "SET a 4", nil}, {1, "SET b 4", both(0, 1)},
		{0, "CLIENT CACHING NO", nil}, {0, "CLIENT TRACKING ON OPTOUT", nil},
		{0, "CLIENT TRACKING OFF", nil}, {0, "CLIENT TRACKING ON OPTOUT", nil}, {0, "CLIENT CACHING NO", nil}, {0, "GET a", nil}, {0, "GET b", nil},
		{1, "SET a 5", nil}, {1, "SET b 5", both(0, 1)}, {0, "RESET", nil}, {0, "CLIENT TRACKINGINFO", nil}, {0, "CLIENT CACHING NO", nil},
	})
	r.sides(2, []step{
		{0, "HELLO 3", nil}, {0, "CLIENT TRACKING ON BCAST PREFIX u: PREFIX c", nil}, {1, "SET u:1 1", both(0, 1)}, {1, "SET x 1", nil},
		{1, "SADD c a b", both(0, 1)}, {0, "SREM c a", map[int]int{0: 2}}, {0, "CLIENT TRACKING ON BCAST PREFIX u", nil},
		{0, "CLIENT TRACKING ON BCAST PREFIX z", nil}, {0, "CLIENT TRACKINGINFO", nil}, {1, "SET z 1", both(0, 1)},
		{0, "CLIENT TRACKING ON", nil}, {0, "CLIENT TRACKING OFF", nil}, {0, "CLIENT TRACKING ON BCAST", nil}, {1, "SET k 1", both(0, 1)},
		{1, "DEL k nothing", both(0, 1)}, {1, "DEL k nothing", nil},
	})
}

func TestRedirectedInvalidationsAreAsOnRedis(t *testing.T) {
	r := start(t, nil)
	r.sides(4, []step{
		{1, "SUBSCRIBE __redis__:invalidate", nil}, {0, "CLIENT TRACKING ON REDIRECT <1>", nil}, {0, "CLIENT GETREDIR", nil},
		{0, "GET a", nil}, {2, "SET a 1", map[int]int{1: 1, 2: 1}}, {0, "SET a 2", nil}, {0, "GET a", nil}, {0, "SET a 3", map[int]int{0: 1, 1: 1}},
		{2, "FLUSHALL", map[int]int{1: 1, 2: 1}}, {0, "CLIENT TRACKINGINFO", nil},
		{3, "HELLO 3", nil}, {3, "CLIENT TRACKING ON BCAST REDIRECT <1>", nil}, {0, "GET b", nil}, {2, "SET b 1", map[int]int{1: 2, 2: 1}},
		{0, "CLIENT TRACKING OFF", nil}, {1, "UNSUBSCRIBE", nil}, {2, "SET c 1", nil}, {1, "HELLO 3", nil}, {2, "SET c 2", map[int]int{1: 1, 2: 1}},
		{1, "PING", nil}, {0, "CLIENT TRACKING ON REDIRECT <3>", nil}, {0, "GET d", nil}, {2, "SET d 1", map[int]int{1: 1, 2: 1, 3: 1}},
	})
}

// The target's end is told to the one that redirects, with the target's id.
func TestBrokenRedirectionIsTold(t *testing.T) {
	r := start(t, nil)
	w, target, other := r.dial(), r.dial(), r.dial()
	id := strings.Trim(target.do("CLIENT ID"), ":\r\n")
	w.do("HELLO 3")
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	w.want("GET a", "_\r\n")
	if got := w.do("CLIENT INFO"); !strings.Contains(got, " flags=t ") || !strings.Contains(got, " redir="+id+" ") {
		t.Errorf("got %q", got)
	}
	target.conn.Close()
	eventually(t, "the target is gone", func() bool { return strings.Contains(w.do("CLIENT INFO"), " flags=tR ") })
	eventually(t, "Redis has noticed", func() bool {
		return !strings.Contains(dial(t, r.redis.Addr).do("CLIENT LIST"), "resp=3 name=anabranch")
	})
	w.do("GET a")
	other.want("SET a 1", "+OK\r\n")
	if got := w.reply(); got != ">2\r\n$21\r\ntracking-redir-broken\r\n:"+id+"\r\n" {
		t.Errorf("got %q", got)
	}
	if got := w.do("CLIENT TRACKINGINFO"); !strings.Contains(got, "broken_redirect") {
		t.Errorf("got %q", got)
	}
}

// What another connection brings must never come to lie inside a reply.
func TestRedirectedInvalidationsAndRepliesDoNotMix(t *testing.T) {
	r := start(t, nil)
	source, target, writer := r.dial(), r.dial(), r.dial()
	target.send(string(resp.AppendCommandStrings(nil, "SET", "big", strings.Repeat("x", 300_000))))
	target.reply()
	target.do("HELLO 3")
	id := strings.Trim(target.do("CLIENT ID"), ":\r\n")
	source.want("CLIENT TRACKING ON BCAST REDIRECT "+id, "+OK\r\n")
	const rounds = 60
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			writer.do(fmt.Sprintf("SET k%d 1", i))
			time.Sleep(time.Millisecond)
		}
	}()
	for range rounds {
		target.send("GET big\r\n")
	}
	replies, messages := 0, 0
	for replies < rounds || messages < 1 {
		switch reply := target.reply(); {
		case strings.HasPrefix(reply, ">2\r\n$10\r\ninvalidate\r\n"):
			messages++
		case len(reply) > 300_000:
			replies++
		default:
			t.Fatalf("got %.100q", reply)
		}
	}
	<-done
}

// A client that tracks has a connection of its own only while it does.
func TestTrackingLeavesNoConnectionBehind(t *testing.T) {
	r := start(t, nil)
	direct := dial(t, r.redis.Addr)
	count := func() int {
		return len(regexp.MustCompile(`name=anabranch `).FindAllString(direct.do("CLIENT LIST"), -1))
	}
	w := r.dial()
	w.do("GET a")
	before := count()
	id := strings.Trim(w.do("CLIENT ID"), ":\r\n")
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	w.do("GET a")
	if got := count(); got != before+2 {
		t.Errorf("%d connections while tracking, %d before", got, before)
	}
	w.want("CLIENT TRACKING OFF", "+OK\r\n")
	w.do("GET a")
	eventually(t, "they are closed", func() bool { return count() == before })
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	w.conn.Close()
	eventually(t, "they are closed", func() bool { return count() == before })
}

// Invalidations stand between replies of every kind, and change none of them.
func TestInvalidationsAndRepliesDoNotMix(t *testing.T) {
	r := start(t, nil)
	for _, mode := range []string{"", " BCAST", " NOLOOP"} {
		w := r.dial()
		w.do("HELLO 3", "CLIENT TRACKING ON"+mode)
		done := make(chan struct{})
		go func() {
			defer close(done)
			writer := r.dial()
			for i := range 100 {
				writer.do(fmt.Sprintf("MSET a %d b %d", i, i))
			}
		}()
		lines := []string{"GET a", "SET own 1", "PING", "GET own", "ECHO hi", "SET x 1", "SET y 2", "MGET x y", "HSET h f 1", "CLIENT GETREDIR", "INCR x", "NOSUCH"}
		replies := []string{"", "+OK\r\n", "+PONG\r\n", "$1\r\n1\r\n", "$2\r\nhi\r\n", "+OK\r\n", "+OK\r\n", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "", ":0\r\n", ":2\r\n",
			"-ERR unknown command 'NOSUCH', with args beginning with: \r\n"}
		messages := 0
		for range 100 {
			w.send(strings.Join(lines, "\r\n") + "\r\n")
			for i, want := range replies {
				got := w.reply()
				for strings.HasPrefix(got, ">2\r\n$10\r\ninvalidate\r\n*") {
					messages++
					got = w.reply()
				}
				if want != "" && got != want {
					t.Fatalf("%s%s: got %q, want %q", lines[i], mode, got, want)
				}
			}
		}
		<-done
		if messages == 0 {
			t.Errorf("no message came in mode%q", mode)
		}
	}
}

// When the connection of a target is lost, the next redirection to it gets another one.
func TestLostRedirectionCanBeMadeAgain(t *testing.T) {
	r := start(t, nil)
	w, target, writer, direct := r.dial(), r.dial(), r.dial(), dial(t, r.redis.Addr)
	target.do("HELLO 3")
	w.do("HELLO 3")
	id := strings.Trim(target.do("CLIENT ID"), ":\r\n")
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	listener := func() *backend.Listener {
		r.server.redirects.mu.Lock()
		defer r.server.redirects.mu.Unlock()
		for _, known := range r.server.redirects.targets {
			return known.listener
		}
		return nil
	}
	direct.want(fmt.Sprintf("CLIENT KILL ID %d", listener().ID), ":1\r\n")
	eventually(t, "the proxy has noticed", func() bool { return listener().Ended() })
	w.want("GET a", "_\r\n")
	writer.want("SET a 1", "+OK\r\n")
	if got := w.reply(); got != ">2\r\n$21\r\ntracking-redir-broken\r\n:"+id+"\r\n" {
		t.Errorf("got %q", got)
	}
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	w.want("GET a", "$1\r\n1\r\n")
	writer.want("SET a 2", "+OK\r\n")
	if got := target.reply(); got != ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n" {
		t.Errorf("got %q", got)
	}
}
