package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/resp"
)

// The same steps on Redis itself and through the proxy, with the same bytes as result.
func TestSubscriptionsAreAsOnRedis(t *testing.T) {
	r := start(t, nil)
	script := []struct {
		line    string
		replies int
	}{
		{"UNSUBSCRIBE", 1}, {"UNSUBSCRIBE a b", 2}, {"PUNSUBSCRIBE", 1}, {"SUNSUBSCRIBE x", 1},
		{"SUBSCRIBE a b", 2}, {"PSUBSCRIBE p*", 1}, {"SSUBSCRIBE s", 1}, {"PING", 1}, {"PING hi", 1},
		{"GET k", 1}, {"SET k 1", 1}, {"NOSUCH", 1}, {"GET", 1}, {"CLIENT ID x", 1}, {"SELECT 1", 1}, {"HELLO 3", 1},
		{"SUBSCRIBE a", 1}, {"UNSUBSCRIBE b", 1}, {"UNSUBSCRIBE none", 1}, {"UNSUBSCRIBE", 1}, {"SUNSUBSCRIBE", 1}, {"PUNSUBSCRIBE p*", 1},
		{"GET none", 1}, {"PING", 1}, {"SUBSCRIBE c", 1}, {"RESET", 1}, {"GET none", 1},
	}
	direct, through := dial(t, r.redis.Addr), r.dial()
	for _, step := range script {
		var replies [2]string
		for i, w := range []*wire{direct, through} {
			w.send(step.line + "\r\n")
			for range step.replies {
				replies[i] += w.reply()
			}
		}
		if replies[0] != replies[1] {
			t.Errorf("%s: got %q, redis %q", step.line, replies[1], replies[0])
		}
	}
}

func TestMessagesReachSubscribers(t *testing.T) {
	r := start(t, nil)
	publisher := r.dial()
	for _, proto := range []int{2, 3} {
		w := r.dial()
		w.do(fmt.Sprintf("HELLO %d", proto))
		w.send("SUBSCRIBE news\r\n")
		w.reply()
		publisher.want("PUBLISH news hello", ":1\r\n")
		if got := w.reply(); got[1:] != "3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n" {
			t.Errorf("RESP%d: got %q", proto, got)
		}
		if !strings.Contains(publisher.do("CLIENT LIST TYPE pubsub"), " sub=1 ") {
			t.Error("not in CLIENT LIST")
		}
		w.conn.Close()
		eventually(t, "the subscription ends", func() bool { return publisher.do("PUBLISH news hello") == ":0\r\n" })
	}
}

func TestCommandsWhileSubscribedInRESP3(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.do("HELLO 3")
	w.send("SUBSCRIBE a\r\nSET k 1\r\nGET k\r\nPING\r\nECHO x\r\nINCR k\r\nSELECT 1\r\nGET k\r\nSET k 5\r\nGET k\r\nSELECT 0\r\nECHO y\r\nUNSUBSCRIBE a\r\nGET k\r\n")
	want := []string{">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "+OK\r\n", "$1\r\n1\r\n", "+PONG\r\n", "$1\r\nx\r\n", ":2\r\n",
		"+OK\r\n", "_\r\n", "+OK\r\n", "$1\r\n5\r\n", "+OK\r\n", "$1\r\ny\r\n", ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n", "$1\r\n2\r\n"}
	for _, one := range want {
		if got := w.reply(); got != one {
			t.Errorf("got %q, want %q", got, one)
		}
	}
	w.want("SELECT 1", "+OK\r\n")
}

// A message must never come to lie inside a reply.
func TestMessagesAndRepliesDoNotMix(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send(string(resp.AppendCommandStrings(nil, "SET", "big", strings.Repeat("x", 100_000))))
	w.reply()
	w.do("HELLO 3")
	w.send("SUBSCRIBE a\r\n")
	w.reply()
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		publisher := r.dial()
		for {
			select {
			case <-stop:
				return
			default:
				publisher.do("PUBLISH a "+strings.Repeat("m", 3000), "PUBLISH a m")
			}
		}
	}()
	replies := 0
	for range 50 {
		w.send("GET big\r\nECHO hi\r\nPING\r\n")
	}
	for replies < 150 {
		reply := w.reply()
		switch {
		case strings.HasPrefix(reply, ">3\r\n$7\r\nmessage\r\n"):
		case len(reply) > 100_000, reply == "$2\r\nhi\r\n", reply == "+PONG\r\n":
			replies++
		default:
			t.Fatalf("got %.100q", reply)
		}
	}
	close(stop)
	<-stopped
}

func TestSubscriberIsClosedWhenItsConnectionIsLost(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.send("SUBSCRIBE a\r\n")
	w.reply()
	time.Sleep(10 * time.Millisecond)
	dial(t, r.redis.Addr).do("CLIENT KILL TYPE pubsub")
	w.rest()
}

// In RESP2 a client that wants no replies is told all the same what it is subscribed to.
func TestSubscriptionsOfSilentClients(t *testing.T) {
	r := start(t, nil)
	r.sides(2, []step{
		{0, "CLIENT REPLY OFF", map[int]int{}}, {0, "UNSUBSCRIBE", nil}, {0, "PSUBSCRIBE a*", nil}, {0, "SUBSCRIBE b", nil},
		{0, "PING", map[int]int{}}, {1, "PUBLISH a1 x", map[int]int{0: 1, 1: 1}}, {0, "PUNSUBSCRIBE", nil}, {0, "UNSUBSCRIBE b", nil},
		{0, "CLIENT REPLY ON", nil}, {0, "GET k", nil}, {0, "CLIENT REPLY SKIP", map[int]int{}}, {0, "CLIENT REPLY ON", nil}, {0, "GET k", nil},
	})
}

// Messages go on while the protocol and the database change.
func TestProtocolAndDatabaseWhileSubscribed(t *testing.T) {
	r := start(t, nil)
	r.sides(2, []step{
		{0, "HELLO 3", nil}, {0, "SUBSCRIBE a", nil}, {0, "SELECT 2", nil}, {0, "SET k two", nil}, {0, "SELECT 99", nil}, {0, "SELECT x", nil},
		{1, "PUBLISH a x", map[int]int{0: 1, 1: 1}}, {0, "HELLO 2", nil}, {1, "PUBLISH a y", map[int]int{0: 1, 1: 1}}, {0, "GET k", nil},
		{0, "HELLO 3", nil}, {0, "PING", nil}, {0, "UNSUBSCRIBE a", nil}, {0, "GET k", nil}, {0, "HELLO 2", nil}, {0, "GET k", nil},
		{1, "PUBLISH a z", nil}, {1, "GET k", nil}, {1, "SELECT 2", nil}, {1, "GET k", nil},
	})
}

func TestChannelsOfAnabranchAreReserved(t *testing.T) {
	r := start(t, nil)
	w, plain := r.dial(), dial(t, r.redis.Addr)
	for _, line := range []string{"SUBSCRIBE a crdt:x", "SSUBSCRIBE crdt:messages", "PUBLISH crdt:x m", "SPUBLISH crdt:x m", "PUBSUB NUMSUB crdt:x",
		"PUBSUB SHARDNUMSUB a crdt:x"} {
		if got := w.do(line); !strings.HasPrefix(got, "-ERR") || !strings.Contains(got, "reserved") {
			t.Errorf("%s: got %q", line, got)
		}
	}
	plain.send("SUBSCRIBE crdt:x\r\nSSUBSCRIBE crdt:y\r\n")
	plain.reply()
	plain.reply()
	w.want("PUBSUB CHANNELS", "*0\r\n")
	w.want("PUBSUB SHARDCHANNELS", "*0\r\n")
	w.send("PSUBSCRIBE *\r\n")
	w.reply()
	dial(t, r.redis.Addr).do("PUBLISH crdt:x m", "PUBLISH news m")
	if got := w.reply(); !strings.Contains(got, "news") {
		t.Errorf("got %q", got)
	}
}

// In RESP2 a list may look like a message. It is none while its client is not subscribed.
func TestRepliesThatLookLikeMessages(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	id := strings.Trim(w.do("CLIENT ID"), ":\r\n")
	w.want("MSET a message b __keyevent@0__:set c crdt:x", "+OK\r\n")
	w.want("CLIENT TRACKING ON REDIRECT "+id, "+OK\r\n")
	list := "*3\r\n$7\r\nmessage\r\n$18\r\n__keyevent@0__:set\r\n$6\r\ncrdt:x\r\n"
	w.want("MGET a b c", list)
	w.send(strings.Repeat("MGET a b c\r\n", 100) + "SUBSCRIBE x\r\nUNSUBSCRIBE x\r\n" + strings.Repeat("MGET a b c\r\n", 100))
	for range 100 {
		if got := w.reply(); got != list {
			t.Fatalf("got %q", got)
		}
	}
	w.reply()
	w.reply()
	for range 100 {
		if got := w.reply(); got != list {
			t.Fatalf("after the subscription: got %q", got)
		}
	}
}
