package proxy

import (
	"fmt"
	"testing"
)

func pair(key, element string) string {
	return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(element), element)
}

func TestWaitingListCommands(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, proto := range []string{"2", "3"} {
		null := map[string]string{"2": "*-1\r\n", "3": "_\r\n"}[proto]
		for _, test := range []struct{ command, reply, left string }{
			{"BLPOP none l", pair("l", "a"), "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"},
			{"BRPOP l l", pair("l", "c"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
			{"BLMOVE l m LEFT RIGHT", "$1\r\na\r\n", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n"},
			{"BLMOVE l l left right", "$1\r\na\r\n", "*3\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\na\r\n"},
			{"BRPOPLPUSH l m", "$1\r\nc\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		} {
			a := r.dial()
			a.do("HELLO " + proto)
			a.want(test.command+" 0.02", null)
			r.blocked(a, test.command+" 0")
			w.want("RPUSH l a b c", ":3\r\n")
			a.wantReply(test.reply)
			w.want("LRANGE l 0 -1", test.left)
			w.do("DEL l m")
		}
		a := r.dial()
		a.do("HELLO " + proto)
		a.want("BLMPOP 0.02 2 none l RIGHT COUNT 2", null)
		r.blocked(a, "BLMPOP 0 2 none l RIGHT COUNT 2")
		w.want("RPUSH l a b c", ":3\r\n")
		a.wantReply("*2\r\n$1\r\nl\r\n*2\r\n$1\r\nc\r\n$1\r\nb\r\n")
		w.do("DEL l")
	}
	r.forgotten()
}

// What a move brings wakes those who wait at its destination, and so on, also in circles.
func TestMovesFeedEachOther(t *testing.T) {
	r := start(t, nil)
	a, b, c, w := r.dial(), r.dial(), r.dial(), r.dial()
	r.blocked(c, "BLPOP l3 0")
	r.blocked(b, "BLMOVE l2 l3 RIGHT LEFT 0")
	r.blocked(a, "BRPOPLPUSH l1 l2 0")
	w.want("RPUSH l1 x", ":1\r\n")
	a.wantReply("$1\r\nx\r\n")
	b.wantReply("$1\r\nx\r\n")
	c.wantReply(pair("l3", "x"))
	w.want("EXISTS l1 l2 l3", ":0\r\n")
	r.blocked(a, "BRPOPLPUSH l1 l2 0")
	r.blocked(b, "BRPOPLPUSH l2 l1 0")
	w.want("RPUSH l1 y", ":1\r\n")
	a.wantReply("$1\r\ny\r\n")
	b.wantReply("$1\r\ny\r\n")
	w.want("LRANGE l1 0 -1", "*1\r\n$1\r\ny\r\n")
	r.forgotten()
}

// A destination of another type fails the one who waits for that, and the element goes to the next.
func TestAMoveToAnotherTypeFailsAlone(t *testing.T) {
	r := start(t, nil)
	a, b, w := r.dial(), r.dial(), r.dial()
	w.want("SET s x", "+OK\r\n")
	a.want("BLMOVE l s LEFT LEFT 0.01", "*-1\r\n") // nobody looks there before there is something to move
	r.blocked(a, "BLMOVE l s LEFT LEFT 0")
	r.blocked(b, "BLMOVE l m LEFT LEFT 0")
	w.want("RPUSH l x", ":1\r\n")
	a.wantReply("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	b.wantReply("$1\r\nx\r\n")
	w.want("LRANGE m 0 -1", "*1\r\n$1\r\nx\r\n")
	r.forgotten()
}

// Lists and sorted sets that have the same name are waited for side by side.
func TestWaitingForAKeyOfEitherType(t *testing.T) {
	r := start(t, nil)
	list, set, w := r.dial(), r.dial(), r.dial()
	r.blocked(set, "BZPOPMIN k 0")
	r.blocked(list, "BLPOP k 0")
	w.want("RPUSH k a", ":1\r\n")
	list.wantReply(pair("k", "a"))
	w.want("ZADD k 1 m", ":1\r\n")
	set.wantReply(popped("k", "m", "1"))
}

// Over maxmemory a move is refused before it waits, as Redis does; a pop is not.
func TestWaitingWhenMemoryIsShort(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.want("RPUSH l a b", ":2\r\n")
	r.dial().want("CONFIG SET maxmemory 1", "+OK\r\n")
	w.want("BLMOVE l m LEFT LEFT 0", "-OOM command not allowed when used memory > 'maxmemory'.\r\n")
	w.want("BLPOP l 0", pair("l", "a"))
	w.want("LRANGE l 0 -1", "*1\r\n$1\r\nb\r\n")
}
