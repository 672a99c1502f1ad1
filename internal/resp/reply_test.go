package resp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// replies are one of each kind, in RESP2 and RESP3.
var replies = []string{
	"+OK\r\n", "-ERR no\r\n", ":-5\r\n", "$3\r\nabc\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "*2\r\n:1\r\n$1\r\nx\r\n",
	"*2\r\n*1\r\n*1\r\n:1\r\n*0\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123456789012345678901234567890\r\n",
	"=7\r\ntxt:abc\r\n", "!5\r\nERR x\r\n", "~2\r\n+a\r\n+b\r\n", "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", ">2\r\n+message\r\n+x\r\n",
	"|1\r\n+ttl\r\n:5\r\n+value\r\n", "*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n", "%0\r\n", "$12\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
}

func TestScanEveryKindOfReply(t *testing.T) {
	for _, reply := range replies {
		var s ReplyScanner
		end, done, err := s.Scan([]byte(reply+"+next"), 0, 1)
		if end != len(reply) || done != 1 || err != nil || s.Begun() {
			t.Errorf("%q: end %d, done %d, %v", reply, end, done, err)
		}
	}
}

// feed gives a stream to a scanner in pieces, as a reader with a buffer does, and returns how many replies it counted.
func feed(stream []byte, size func() int) (done int, err error) {
	var s ReplyScanner
	var buf []byte
	for len(stream) > 0 {
		n := min(size(), len(stream))
		buf = append(buf, stream[:n]...)
		stream = stream[n:]
		end, got, err := s.Scan(buf, 0, 1<<30)
		if err != nil {
			return done, err
		}
		done += got
		buf = append([]byte(nil), buf[end:]...)
	}
	if s.Begun() || len(buf) > 0 {
		return done, fmt.Errorf("%d bytes left, begun: %v", len(buf), s.Begun())
	}
	return done, nil
}

func TestScanRepliesInPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		var stream strings.Builder
		want := 1 + random.IntN(8)
		for range want {
			stream.WriteString(replies[random.IntN(len(replies))])
		}
		done, err := feed([]byte(stream.String()), func() int { return 1 + random.IntN(6) })
		if done != want || err != nil {
			t.Fatalf("%q: %d replies, want %d; %v", stream.String(), done, want, err)
		}
	}
}

func TestScanStopsAtTheWantedReply(t *testing.T) {
	var s ReplyScanner
	stream := []byte("+1\r\n+2\r\n+3\r\n")
	if end, done, err := s.Scan(stream, 4, 1); end != 8 || done != 1 || err != nil {
		t.Error(end, done, err)
	}
}

func TestScanPassesOnWhatItHasOfABulk(t *testing.T) {
	var s ReplyScanner
	if end, done, _ := s.Scan([]byte("$10\r\n0123"), 0, 1); end != 9 || done != 0 || !s.Begun() {
		t.Fatal(end, done)
	}
	if end, done, _ := s.Scan([]byte("456789\r\n+x\r\n"), 0, 1); end != 8 || done != 1 || s.Begun() {
		t.Fatal(end, done)
	}
}

func TestScanRefusesNonsense(t *testing.T) {
	for _, stream := range []string{"?\r\n", "$x\r\n", "*1x\r\n", "\x00", "$9999999999999999999\r\n", "*" + strings.Repeat("1", 40)} {
		var s ReplyScanner
		if _, _, err := s.Scan([]byte(stream), 0, 1); err == nil {
			t.Errorf("%q was accepted", stream)
		}
	}
}

func TestScanDeepNesting(t *testing.T) {
	const depth = 1 << 20
	stream := []byte(strings.Repeat("*1\r\n", depth) + ":1\r\n")
	var s ReplyScanner
	if end, done, err := s.Scan(stream, 0, 1); end != len(stream) || done != 1 || err != nil {
		t.Error(end, done, err)
	}
}

func TestScanReplyAllocatesNothing(t *testing.T) {
	stream := []byte(strings.Join(replies, ""))
	allocs := testing.AllocsPerRun(1000, func() {
		var s ReplyScanner
		if _, done, err := s.Scan(stream, 0, len(replies)); done != len(replies) || err != nil {
			t.Fatal(done, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func FuzzReplyScanner(f *testing.F) {
	for _, reply := range replies {
		f.Add([]byte(reply), uint8(2))
	}
	f.Add([]byte("*1099511627776\r\n"), uint8(1))
	f.Add([]byte("%549755813888\r\n%549755813888\r\n"), uint8(9))
	f.Add([]byte("$-9\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		var s ReplyScanner
		_, whole, wholeErr := s.Scan(stream, 0, 1<<30)
		pieces, err := feed(stream, func() int { return int(piece)%7 + 1 })
		if wholeErr == nil && err == nil && whole != pieces {
			t.Fatalf("%d at once, %d in pieces", whole, pieces)
		}
		if wholeErr != nil && err == nil {
			t.Fatalf("refused at once (%v), accepted in pieces", wholeErr)
		}
	})
}

func BenchmarkScanReplies(b *testing.B) {
	stream := []byte(strings.Repeat("$256\r\n"+strings.Repeat("v", 256)+"\r\n", 16))
	for b.Loop() {
		var s ReplyScanner
		s.Scan(stream, 0, 16)
	}
}
