package resp

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// scanAll reads every command of a stream that arrives in pieces cut at the given positions, in one growing buffer.
func scanAll(stream []byte, cuts ...int) (commands [][]string, err error) {
	var s Scanner
	from := 0
	for _, cut := range append(cuts, len(stream)) {
		for {
			n, err := s.Scan(stream[from:cut])
			if err != nil {
				return commands, err
			}
			if n == 0 {
				break
			}
			if len(s.Args) > 0 {
				var words []string
				for _, arg := range s.Args {
					words = append(words, string(arg))
				}
				commands = append(commands, words)
			}
			from += n
		}
	}
	return commands, nil
}

func TestScanCommands(t *testing.T) {
	for _, test := range []struct{ stream, want string }{
		{"*1\r\n$4\r\nPING\r\n", "[[PING]]"},
		{"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[[GET k] [GET ]]"},
		{"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "[[PING]]"},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n", "[[SET k \r\n\r\n]]"},
		{"PING\r\n", "[[PING]]"},
		{"\r\n\n  \nPING hello\n", "[[PING hello]]"},
		{`SET k "a\x41\n\"b"` + "\r\n", "[[SET k aA\n\"b]]"},
		{`SET k 'it\'s'` + "\r\n", "[[SET k it's]]"},
		{`SET k ""` + "\r\n", "[[SET k ]]"},
		{"*12\r\n" + strings.Repeat("$1\r\nx\r\n", 12), "[[x x x x x x x x x x x x]]"},
	} {
		got, err := scanAll([]byte(test.stream))
		if err != nil || fmt.Sprint(got) != test.want {
			t.Errorf("%q: got %v, %v; want %s", test.stream, got, err, test.want)
		}
	}
}

func TestScanIsGuardedBeforeLogin(t *testing.T) {
	for stream, want := range map[string]error{
		"*11\r\n":                        ErrGuestMultibulkLength,
		"*10\r\n":                        nil,
		"*2\r\n$4\r\nAUTH\r\n$16385\r\n": ErrGuestBulkLength,
		"*2\r\n$4\r\nAUTH\r\n$16384\r\n": nil,
		"a b c d e f g h i j k l\r\n":    nil, // a line has limits of its own
	} {
		s := Scanner{Guest: true}
		if _, err := s.Scan([]byte(stream)); err != want {
			t.Errorf("%q: got %v, want %v", stream, err, want)
		}
		s = Scanner{}
		if _, err := s.Scan([]byte(stream)); err != nil {
			t.Errorf("%q, logged in: %v", stream, err)
		}
	}
}

func TestScanErrors(t *testing.T) {
	for _, test := range []struct{ stream, want string }{
		{"*1\r\n$-7\r\n", "Protocol error: invalid bulk length"},
		{"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"},
		{"*1\r\n$x\r\n", "Protocol error: invalid bulk length"},
		{"*1\r\n$04\r\nPING\r\n", "Protocol error: invalid bulk length"},
		{"*1\r\n$+4\r\nPING\r\n", "Protocol error: invalid bulk length"},
		{"*x\r\n", "Protocol error: invalid multibulk length"},
		{"*1048577\r\n", "Protocol error: invalid multibulk length"},
		{"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"},
		{"*\r\n", "Protocol error: invalid multibulk length"},
		{"*1\r\n:4\r\n", "Protocol error: expected '$', got ':'"},
		{"*1\r\n$4\r\nPINGxx", "Protocol error: expected CRLF after bulk"},
		{`GET "a` + "\r\n", "Protocol error: unbalanced quotes in request"},
		{`GET "a"b` + "\r\n", "Protocol error: unbalanced quotes in request"},
		{strings.Repeat("x", 64<<10+1), "Protocol error: too big inline request"},
		{"*" + strings.Repeat("1", 17), ""},
		{"*1\r\n$1", ""},
	} {
		_, err := scanAll([]byte(test.stream))
		if got := fmt.Sprint(err); got != test.want && !(err == nil && test.want == "") {
			t.Errorf("%.40q: got %q, want %q", test.stream, got, test.want)
		}
	}
}

func TestScanInPiecesIsScanAtOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var stream []byte
		for range 1 + random.IntN(4) {
			args := make([][]byte, 1+random.IntN(14))
			for i := range args {
				args[i] = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(130))
			}
			stream = AppendCommand(stream, args...)
		}
		whole, err := scanAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		var cuts []int
		for at := 0; at < len(stream); at += 1 + random.IntN(20) {
			cuts = append(cuts, at)
		}
		pieces, err := scanAll(stream, cuts...)
		if err != nil || fmt.Sprint(pieces) != fmt.Sprint(whole) {
			t.Fatalf("%q cut at %v: %v, %v", stream, cuts, pieces, err)
		}
	}
}

func TestRawAndHead(t *testing.T) {
	stream := []byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nnext")
	var s Scanner
	n, err := s.Scan(stream)
	if err != nil || string(s.Raw) != string(stream[:n]) || string(s.Raw[s.Head:]) != "$3\r\nGET\r\n$1\r\nk\r\n" || s.Inline {
		t.Errorf("raw %q, head %d, inline %v, %v", s.Raw, s.Head, s.Inline, err)
	}
	if _, err = s.Scan([]byte("GET k\r\n")); err != nil || string(s.Raw[s.Head:]) != "$3\r\nGET\r\n$1\r\nk\r\n" || !s.Inline {
		t.Errorf("inline: raw %q, head %d, inline %v, %v", s.Raw, s.Head, s.Inline, err)
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	get := AppendCommandStrings(nil, "GET", "key:000000012345")
	set := AppendCommandStrings(nil, "SET", "key:000000012345", strings.Repeat("v", 256))
	var s Scanner
	allocs := testing.AllocsPerRun(1000, func() {
		for _, stream := range [][]byte{get, set} {
			if n, err := s.Scan(stream); n != len(stream) || err != nil {
				t.Fatal(n, err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"*1\r\n$-7\r\n", "*1\r\n$4\r\nPING\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\nGET k\r\n", "*-1\r\n", "*0\r\n",
		"SET k \"\\x00\"\r\n", "'", "*1000000000\r\n", "*2\r\n$3\r\nGET\r\n", "$4\r\nPING\r\n", "*1\r\n$0\r\n\r\n", "\x00\r\n",
	} {
		f.Add([]byte(seed), uint16(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		whole, wholeErr := scanAll(stream)
		pieces, piecesErr := scanAll(stream, int(cut)%(len(stream)+1))
		if fmt.Sprint(whole) != fmt.Sprint(pieces) || fmt.Sprint(wholeErr) != fmt.Sprint(piecesErr) {
			t.Fatalf("at once %v %v, in pieces %v %v", whole, wholeErr, pieces, piecesErr)
		}
		// What was accepted reads the same when it is written canonically.
		var canonical []byte
		for _, command := range whole {
			canonical = AppendCommandStrings(canonical, command...)
		}
		again, err := scanAll(canonical)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(whole) {
			t.Fatalf("%v became %v, %v", whole, again, err)
		}
	})
}

func BenchmarkScanGet(b *testing.B) {
	stream := AppendCommandStrings(nil, "GET", "key:000000012345")
	var s Scanner
	for b.Loop() {
		s.Scan(stream)
	}
}

func BenchmarkScanSet(b *testing.B) {
	stream := AppendCommandStrings(nil, "SET", "key:000000012345", strings.Repeat("v", 256))
	var s Scanner
	for b.Loop() {
		s.Scan(stream)
	}
}

func TestErrorsAreComparable(t *testing.T) {
	var s Scanner
	if _, err := s.Scan([]byte("*1\r\n$-7\r\n")); !errors.Is(err, ErrBulkLength) {
		t.Error(err)
	}
}
