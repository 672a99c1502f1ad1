package scenario

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// TestChecksCanFail feeds the checks with right and wrong replies: a check that accepts everything proves nothing.
func TestChecksCanFail(t *testing.T) {
	for _, test := range []struct{ check, right, wrong string }{
		{`{"reply": "a"}`, "$1\r\na\r\n", "$1\r\nb\r\n"},
		{`{"reply": "1"}`, "$1\r\n1\r\n", ":1\r\n"},
		{`{"reply": 1}`, ":1\r\n", ":2\r\n"},
		{`{"reply": null}`, "$-1\r\n", "$0\r\n\r\n"},
		{`{"reply": null}`, "*-1\r\n", "*0\r\n"},
		{`{"reply": ["a", "b"]}`, "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n"},
		{`{"reply": ["a", "b"], "unordered": true}`, "*2\r\n+b\r\n+a\r\n", "*2\r\n+a\r\n+a\r\n"},
		{`{"reply": {"f": "1", "g": "2"}}`, "*4\r\n+g\r\n+2\r\n+f\r\n+1\r\n", "*4\r\n+g\r\n+1\r\n+f\r\n+2\r\n"},
		{`{"reply": {}}`, "*0\r\n", "*2\r\n+a\r\n+b\r\n"},
		{`{"reply": "3.1", "numeric": true}`, "$18\r\n3.1000000000000001\r\n", "$3\r\n3.2\r\n"},
		{`{"one_of": ["5", "7"], "numeric": true}`, "$1\r\n7\r\n", "$1\r\n6\r\n"},
		{`{"one_of": [["x"], ["x", "x"]]}`, "*1\r\n+x\r\n", "*0\r\n"},
		{`{"range": [40, 50]}`, ":50\r\n", ":51\r\n"},
		{`{"reply_len": 2}`, "*2\r\n+a\r\n+b\r\n", "*1\r\n+a\r\n"},
		{`{"error": true, "error_prefix": "WRONGTYPE"}`, "-WRONGTYPE x\r\n", "-ERR x\r\n"},
		{`{"error": true}`, "-ERR\r\n", "+OK\r\n"},
		{`{}`, "+anything\r\n", "-ERR\r\n"},
		{`{"reply": {"a": [1]}, "json": true}`, "$9\r\n{\"a\":[1]}\r\n", "$9\r\n{\"a\":[2]}\r\n"},
		{`{"reply": ["g"], "project": "name"}`, "*1\r\n*2\r\n+name\r\n+g\r\n", "*1\r\n*2\r\n+name\r\n+h\r\n"},
		{`{"reply": ["1-1"], "project": 0}`, "*1\r\n*2\r\n+1-1\r\n+x\r\n", "*1\r\n*2\r\n+1-2\r\n+x\r\n"},
	} {
		var c check
		if err := json.Unmarshal([]byte(test.check), &c); err != nil {
			t.Fatalf("%s: %v", test.check, err)
		}
		if err := c.verify(reply(t, test.right)); err != nil {
			t.Errorf("%s refuses %q: %v", test.check, test.right, err)
		}
		if err := c.verify(reply(t, test.wrong)); err == nil {
			t.Errorf("%s accepts %q", test.check, test.wrong)
		}
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	line := `{"id": "x", "regions": 2, "expect": [{"at": "A", "cmd": ["GET", "k"], "reply_like": "v"}]}`
	if _, err := parse([]byte(line)); err == nil {
		t.Fatal("a check that the runner does not know is taken")
	}
}

func reply(t *testing.T, raw string) redistest.Reply {
	t.Helper()
	r, err := redistest.ReadReply(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return r
}
