package differential

import (
	"bufio"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

func TestSplitArgs(t *testing.T) {
	for text, want := range map[string][]string{
		`SET k v`:                {"SET", "k", "v"},
		`SET "a b" 'c d'`:        {"SET", "a b", "c d"},
		`SET "" ''`:              {"SET", "", ""},
		`SET "\x00\xff\n\"\\" x`: {"SET", "\x00\xff\n\"\\", "x"},
		`SET 'it\'s \x00' x`:     {"SET", `it's \x00`, "x"},
		`SET <3*ab> "<3*ab>"`:    {"SET", "ababab", "<3*ab>"},
		`HSET h <3..5*f#,#>`:     {"HSET", "h", "f3", "3", "f4", "4"},
		`GET <x> <1 <a*b>`:       {"GET", "<x>", "<1", "<a*b>"},
		`  GET   k  `:            {"GET", "k"},
	} {
		got, err := splitArgs(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`SET "a`, `SET 'a`, `SET "a"b`} {
		if got, err := splitArgs(text); err == nil {
			t.Errorf("%s is taken as %q", text, got)
		}
	}
}

func TestDirectives(t *testing.T) {
	l, err := parseLine(`!near 50 PTTL k`)
	if err != nil || l.mode != near || l.slack != 50 || !slices.Equal(l.args, []string{"PTTL", "k"}) {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = parseLine(`smembers k`); err != nil || l.mode != unordered {
		t.Errorf("%+v, %v", l, err)
	}
	for _, text := range []string{"!nonsense GET k", "!shape", "!near x PTTL k", "!sleep"} {
		if l, err := parseLine(text); err == nil {
			t.Errorf("%s is taken as %+v", text, l)
		}
	}
}

func TestComparisonsCanFail(t *testing.T) {
	for _, test := range []struct {
		mode         mode
		a, same, not string
	}{
		{exact, ":1\r\n", ":1\r\n", "+1\r\n"},
		{exact, "$-1\r\n", "$-1\r\n", "*-1\r\n"},
		{unordered, "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n", "*2\r\n+a\r\n+a\r\n"},
		{unordered, "*2\r\n+a\r\n+b\r\n", "*2\r\n+b\r\n+a\r\n", "~2\r\n+a\r\n+b\r\n"},
		{unordered, "%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", "%2\r\n+b\r\n:2\r\n+a\r\n:1\r\n", "%2\r\n+b\r\n:1\r\n+a\r\n:2\r\n"},
		{shape, "*1\r\n$1\r\na\r\n", "*1\r\n$2\r\nbb\r\n", "*0\r\n"},
		{shape, "$-1\r\n", "$-1\r\n", "$1\r\na\r\n"},
		{near, ":100\r\n", ":109\r\n", ":111\r\n"},
		{near, ":-1\r\n", ":-1\r\n", ":-2\r\n"},
		{near, "*2\r\n:1\r\n+a\r\n", "*2\r\n:2\r\n+a\r\n", "*2\r\n:2\r\n+b\r\n"},
		{differs, "+a\r\n", "+b\r\n", "+a\r\n"},
	} {
		l := line{mode: test.mode, slack: 10}
		if what := compare(l, scan(t, test.a), scan(t, test.same)); what != "" {
			t.Errorf("mode %d: %q and %q: %s", test.mode, test.a, test.same, what)
		}
		if compare(l, scan(t, test.a), scan(t, test.not)) == "" {
			t.Errorf("mode %d: %q and %q pass as equal", test.mode, test.a, test.not)
		}
	}
}

func scan(t *testing.T, raw string) redistest.Reply {
	t.Helper()
	r, err := redistest.ReadReply(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return r
}
