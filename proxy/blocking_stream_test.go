package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// entryReply is the reply of an XREAD with one entry "f v", in RESP2 or RESP3.
func entryReply(proto, key, id string) string {
	entries := fmt.Sprintf("*1\r\n*2\r\n$%d\r\n%s\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", len(id), id)
	if proto == "3" {
		return fmt.Sprintf("%%1\r\n$%d\r\n%s\r\n%s", len(key), key, entries)
	}
	return fmt.Sprintf("*1\r\n*2\r\n$%d\r\n%s\r\n%s", len(key), key, entries)
}

func TestWaitingReadersOfAStream(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, proto := range []string{"2", "3"} {
		w.do("DEL s")
		w.want("XADD s 5-1 f v", "$3\r\n5-1\r\n")
		var readers []*wire
		for _, id := range []string{"$", "5-1", "7-0", "9-0"} {
			a := r.dial()
			a.do("HELLO " + proto)
			r.blocked(a, "XREAD BLOCK 0 STREAMS none s 0 "+id)
			readers = append(readers, a)
		}
		w.want("XDEL s 5-1", ":1\r\n") // "$" stays what it was
		w.want("XADD s 6-1 f v", "$3\r\n6-1\r\n")
		readers[0].wantReply(entryReply(proto, "s", "6-1"))
		readers[1].wantReply(entryReply(proto, "s", "6-1"))
		readers[2].silent("it has seen that")
		w.want("XADD s 8-1 f v", "$3\r\n8-1\r\n")
		readers[2].wantReply(entryReply(proto, "s", "8-1"))
		w.want("DEL s", ":1\r\n")
		w.want("SET s x", "+OK\r\n")
		w.want("DEL s", ":1\r\n")
		w.want("XADD s 10-1 f v", "$4\r\n10-1\r\n")
		readers[3].wantReply(entryReply(proto, "s", "10-1"))
	}
	r.forgotten()
}

func TestWaitingConsumersOfAGroup(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	for _, proto := range []string{"2", "3"} {
		w.do("DEL s")
		w.want("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n")
		w.want("XGROUP CREATE s h $", "+OK\r\n")
		dial := func(line string) *wire {
			a := r.dial()
			a.do("HELLO " + proto)
			r.blocked(a, line)
			return a
		}
		first := dial("XREADGROUP GROUP g one BLOCK 0 STREAMS s >")
		second := dial("XREADGROUP GROUP g two COUNT 1 BLOCK 0 STREAMS s >")
		other := dial("XREADGROUP GROUP h one BLOCK 0 NOACK STREAMS s >")
		w.want("XADD s 6-1 f v", "$3\r\n6-1\r\n")
		first.wantReply(entryReply(proto, "s", "6-1"))
		other.wantReply(entryReply(proto, "s", "6-1"))
		second.silent("its group has no more")
		w.want("XADD s 7-1 f v", "$3\r\n7-1\r\n")
		second.wantReply(entryReply(proto, "s", "7-1"))
		w.want("XPENDING s g", "*4\r\n:2\r\n$3\r\n6-1\r\n$3\r\n7-1\r\n*2\r\n*2\r\n$3\r\none\r\n$1\r\n1\r\n*2\r\n$3\r\ntwo\r\n$1\r\n1\r\n")
		first.want("XREADGROUP GROUP g one BLOCK 0 STREAMS s 0", entryReply(proto, "s", "6-1")) // its history never waits

		deleted := dial("XREADGROUP GROUP g one BLOCK 0 STREAMS s >")
		w.want("DEL s", ":1\r\n")
		deleted.wantReply("-UNBLOCKED the stream key no longer exists\r\n")
		w.want("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n")
		overwritten := dial("XREADGROUP GROUP g one BLOCK 0 STREAMS s >")
		w.want("SET s x", "+OK\r\n")
		overwritten.wantReply("-UNBLOCKED the stream key no longer exists\r\n")
		w.do("DEL s")
		w.want("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n")
		destroyed := dial("XREADGROUP GROUP g one BLOCK 0 STREAMS s >")
		w.want("XGROUP DESTROY s g", ":1\r\n")
		destroyed.wantReply("-NOGROUP the consumer group this client was blocked on no longer exists\r\n")
		w.want("XGROUP CREATE s g $", "+OK\r\n")
		flushed := dial("XREADGROUP GROUP g one BLOCK 0 STREAMS s >")
		w.want("FLUSHDB", "+OK\r\n")
		flushed.wantReply("-UNBLOCKED the stream key no longer exists\r\n")
	}
	for line, want := range map[string]string{
		"XREADGROUP GROUP g c BLOCK 0 STREAMS s >":     "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
		"XREADGROUP GROUP g c BLOCK x STREAMS s >":     "-ERR timeout is not an integer or out of range",
		"XREADGROUP GROUP g c BLOCK -1 STREAMS s >":    "-ERR timeout is negative",
		"XREADGROUP BLOCK 0 NOACK COUNT 1 STREAMS s >": "-ERR Missing GROUP option for XREADGROUP",
	} {
		if got := w.do(line); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	w.want("XGROUP CREATE s g $ MKSTREAM", "+OK\r\n")
	w.want("XREADGROUP GROUP g c BLOCK 20 STREAMS s >", "*-1\r\n")
	r.forgotten()
}
