package crdtmeta_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// hears returns what the engine announces on a connection of its own, up to a mark.
func hears(t *testing.T, n *node) (until func() []string) {
	t.Helper()
	ear := redistest.Dial(t, n.server.Addr)
	ear.Must("SSUBSCRIBE", "crdt:wake")
	marks := 0
	return func() []string {
		t.Helper()
		marks++
		mark := fmt.Sprintf("mark %d", marks)
		n.do(t, "SPUBLISH", "crdt:wake", mark)
		var heard []string
		for {
			message, err := ear.ReceiveWithin(10 * time.Second)
			if err != nil {
				t.Fatal(err)
			}
			switch text := message.Items[2].Text; text {
			case mark:
				slices.Sort(heard)
				return heard
			case "":
				heard = append(heard, text)
			default:
				for text != "" {
					size, rest, _ := strings.Cut(text, ":")
					n, err := strconv.Atoi(size)
					if err != nil || n > len(rest) {
						t.Fatalf("announced %q", text)
					}
					heard, text = append(heard, rest[:n]), rest[n:]
				}
			}
		}
	}
}

// try runs a command as a proxy does for a client that may wait.
func (n *node) try(t *testing.T, db int, which, command string) string {
	t.Helper()
	replies, _ := n.call(t, db, append([]string{"XCRDT.TRY", which}, strings.Fields(command)...))
	return replies[0].String()
}

// Whatever changes a key that somebody waits for is announced once: local commands, runs, removals, effects of other
// regions, expiry, and nothing that happens elsewhere.
func TestKeysThatAreWaitedForAreAnnounced(t *testing.T) {
	nodes := regions(t, 2)
	n, other := nodes[0], nodes[1]
	heard := hears(t, n)
	applied := 0
	fromOther := func(commands ...[]string) {
		t.Helper()
		other.call(t, 3, commands...)
		other.fetch(t)
		n.apply(t, other.origin, 0, other.log[applied:]...)
		applied = len(other.log)
	}
	for _, test := range []struct {
		what string
		do   func()
		want string
	}{
		{"a write", func() { n.call(t, 3, []string{"ZADD", "k1", "1", "m"}) }, "[3:k1]"},
		{"many writes", func() {
			n.call(t, 3, []string{"ZADD", "k1", "1", "m"}, []string{"SADD", "k2", "m"}, []string{"ZREM", "k1", "m"})
		}, "[3:k1 3:k2]"},
		{"another database", func() { n.call(t, 2, []string{"ZADD", "k1", "1", "m"}) }, "[]"},
		{"another key", func() { n.call(t, 3, []string{"ZADD", "other", "1", "m"}) }, "[]"},
		{"a read", func() { n.call(t, 3, []string{"DBSIZE"}) }, "[]"},
		{"a run", func() { n.call(t, 3, []string{"SET", "k1", "a"}, []string{"SET", "x", "a"}) }, "[3:k1]"},
		{"a removal", func() { n.call(t, 3, []string{"SADD", "k1", "a"}, []string{"DEL", "k1"}) }, "[3:k1]"},
		{"a rename", func() { n.call(t, 3, []string{"ZADD", "a", "1", "m"}, []string{"RENAME", "a", "k2"}) }, "[3:k2]"},
		{"a move", func() { n.call(t, 1, []string{"ZADD", "k2", "1", "m"}, []string{"MOVE", "k2", "3"}) }, "[3:k2]"},
		{"a flush", func() { n.call(t, 3, []string{"FLUSHDB"}) }, "[3:a b 3:k1 3:k2]"},
		{"a flush of everything", func() { n.call(t, 3, []string{"SADD", "x", "m"}); n.call(t, 0, []string{"FLUSHALL"}) }, "[3:a b 3:k1 3:k2]"},
		{"a remote write", func() { fromOther([]string{"ZADD", "k1", "1", "m"}) }, "[3:k1]"},
		{"remote writes of a run", func() { fromOther([]string{"SET", "k1", "a"}, []string{"SET", "k2", "a"}) }, "[3:k1 3:k2]"},
		{"a remote removal", func() { fromOther([]string{"DEL", "k1"}) }, "[3:k1]"},
		{"a remote flush", func() { fromOther([]string{"FLUSHDB"}) }, "[3:a b 3:k1 3:k2]"},
		{"taking over", func() { n.arm(t, runID(n), "repl") }, "[]"},
	} {
		// A note is gone once it was announced, and a key without data in it is looked at again.
		n.call(t, 3, []string{"DEL", "k1", "k2", "a b"})
		replies, _ := n.call(t, 3, []string{"XCRDT.TRY", "0", "BZPOPMIN", "k1", "k2", "a b", "k1", "0.25"})
		if got := replies[0].String(); got != "WAIT 250 0" {
			t.Fatalf("%s: %s", test.what, got)
		}
		heard()
		test.do()
		if got := fmt.Sprint(heard()); got != test.want {
			t.Errorf("%s: heard %s, want %s", test.what, got, test.want)
		}
	}
	n.call(t, 3, []string{"ZADD", "k1", "1", "m"})
	if got := heard(); len(got) > 0 {
		t.Errorf("what was noted before the library was armed is announced: %q", got)
	}
}

// What an attempt answers: whatever the command answers, and nothing that a client who waits need not know.
func TestAttempts(t *testing.T) {
	n := regions(t, 1)[0]
	n.call(t, 0, []string{"ZADD", "z", "1", "a", "2", "b"}, []string{"SET", "s", "x"})
	wrongType := "(error) WRONGTYPE Operation against a key holding the wrong kind of value"
	for _, test := range []struct{ which, command, want string }{
		{"0", "bzpopmin none z 0", `["z" "a" "1"]`},
		{"0", "BZPOPMIN s z 0", wrongType},
		{"1", "BZPOPMIN s z 0", "WAIT "},
		{"2", "BZPOPMIN s z 0", `["z" "b" "2"]`},
		{"0", "BZPOPMIN z 0.0001", "WAIT 1 0"},
		{"0,1", "BZPOPMIN z 0", "WAIT 0 0"},
		{"0,1", "BZPOPMIN new 0", "WAIT 0 1"},
		{"0", "BZMPOP 1.5 2 new z MIN COUNT 3", "WAIT 1500 0"},
		{"0", "BZMPOP 1.5 2 s z MIN", wrongType},
		{"1", "BZMPOP 1.5 2 s z MIN", "WAIT "},
		{"0", "BZMPOP nan 2 s z MIN", "(error) ERR timeout is not a float or out of range"},
		{"0", "BZMPOP nan 2 s z NEITHER", "(error) ERR syntax error"},
		{"0", "XREAD COUNT 2 BLOCK 7 STREAMS new new $ 3-1", "WAIT 7 0 0-0 3-1"},
		{"0", "XREAD BLOCK 7 STREAMS s $", wrongType},
		{"1", "XREAD BLOCK 7 STREAMS s 1-1", "WAIT "},
	} {
		if got := n.try(t, 0, test.which, test.command); got != test.want {
			t.Errorf("%s %s: %s, want %s", test.which, test.command, got, test.want)
		}
	}
	for command, want := range map[string]string{"BZPOPMIN none 0": "(nil)", "BZMPOP 0 1 none MAX": "(nil)", "BZPOPMAX none -1": "(error) ERR timeout is negative"} {
		replies, _ := n.call(t, 0, strings.Fields(command))
		if got := replies[0].String(); got != want {
			t.Errorf("%s where nobody may wait: %s, want %s", command, got, want)
		}
	}
}
