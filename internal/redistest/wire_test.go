package redistest

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadReply(t *testing.T) {
	for _, test := range []struct{ raw, want string }{
		{"+OK\r\n", "OK"},
		{"-ERR no\r\n", "(error) ERR no"},
		{":-12\r\n", "(integer) -12"},
		{"$3\r\na\r\n\r\n", `"a\r\n"`},
		{"$-1\r\n", "(nil)"},
		{"*-1\r\n", "(nil)"},
		{"_\r\n", "(nil)"},
		{"*0\r\n", "[]"},
		{"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", `["a" [(integer) 1]]`},
		{"%1\r\n+k\r\n,1.5\r\n", `[k "1.5"]`},
		{"~1\r\n#t\r\n", `["t"]`},
		{"=7\r\ntxt:abc\r\n", `"txt:abc"`},
	} {
		// Bytes behind the reply belong to the next one.
		reply, err := ReadReply(bufio.NewReader(strings.NewReader(test.raw + "+NEXT\r\n")))
		if err != nil {
			t.Errorf("%q: %v", test.raw, err)
			continue
		}
		if reply.Raw != test.raw {
			t.Errorf("%q: raw %q", test.raw, reply.Raw)
		}
		if got := reply.String(); got != test.want {
			t.Errorf("%q prints %s, want %s", test.raw, got, test.want)
		}
	}
}

func TestReadReplyRefusesBrokenInput(t *testing.T) {
	for _, raw := range []string{"", "\r\n", "+OK\n", "?1\r\n", "$x\r\n", "$3\r\nabcd\r\n", "$-7\r\n", "*-7\r\n", "*2\r\n:1\r\n", "$999999999999\r\n"} {
		if reply, err := ReadReply(bufio.NewReader(strings.NewReader(raw))); err == nil {
			t.Errorf("%q is taken as %s", raw, reply)
		}
	}
}

func TestSnapshotSeesEveryTypeAndDatabase(t *testing.T) {
	s := Start(t)
	c := Dial(t, s.Addr)
	for _, command := range []string{
		"SET s v", "HSET h b 2 a 1", "SADD t z y", "ZADD z 1 m", "RPUSH l b a", "XADD x 1-1 f v", "PEXPIREAT h 99999999999999",
		"SELECT 3", "SET other 1", "SELECT 0",
	} {
		c.Must(strings.Fields(command)...)
	}
	got := Snapshot(t, c)
	want := Keyspace{
		"0:s":     {"string", `"v"`, -1},
		"0:h":     {"hash", `"a"="1" "b"="2"`, 99999999999999},
		"0:t":     {"set", `["y" "z"]`, -1},
		"0:z":     {"zset", `"m"="1"`, -1},
		"0:l":     {"list", `["b" "a"]`, -1},
		"0:x":     {"stream", `[["1-1" ["f" "v"]]]`, -1},
		"3:other": {"string", `"1"`, -1},
	}
	if diff := Diff(want, got, 0, 20); diff != "" {
		t.Fatalf("want | got\n%s", diff)
	}
	for _, change := range []string{"SET s w", "HDEL h a", "PERSIST h", "DEL l"} {
		c.Must(strings.Fields(change)...)
		if Diff(want, Snapshot(t, c), 0, 20) == "" {
			t.Errorf("%s makes no difference", change)
		}
		want = Snapshot(t, c)
	}
}
