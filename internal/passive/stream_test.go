package passive

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"anabranch/internal/resp"
)

func taken(pieces ...[]byte) (seen []string) {
	var s Stream
	for _, piece := range pieces {
		s.Take(piece, func(args [][]byte) {
			var words []string
			for _, arg := range args {
				words = append(words, string(arg))
			}
			seen = append(seen, strings.Join(words, "|"))
		})
	}
	return seen
}

// However a stream of commands is cut into pieces, the same commands are seen, and long ones by their beginning.
func TestCommandsAreSeenInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []string
		for range rapid.IntRange(1, 6).Draw(t, "commands") {
			n := rapid.SampledFrom([]int{1, 2, 3, 10, 64, 100}).Draw(t, "arguments")
			var args, kept []string
			for i := range n {
				arg := rapid.SampledFrom([]string{"GET", "", "\r\n", "*3\r\n$1", strings.Repeat("x", 511), strings.Repeat("y", 5000)}).Draw(t, "argument")
				args = append(args, arg)
				if i < maxArgs-1 || n <= maxArgs {
					kept = append(kept, arg[:min(len(arg), maxArgBytes)])
				}
			}
			stream = resp.AppendCommandStrings(stream, args...)
			want = append(want, strings.Join(kept, "|"))
		}
		var pieces [][]byte
		for rest := stream; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got := taken(pieces...)
		if len(got) != len(want) {
			t.Fatalf("%d commands, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] && !strings.HasPrefix(got[i], want[i]+"|") {
				t.Fatalf("command %d: %.200q, want %.200q", i, got[i], want[i])
			}
		}
	})
}

func TestInlineCommandsAndWhatIsNone(t *testing.T) {
	if got := fmt.Sprint(taken([]byte("PING\r\nSET k v\r\n\r\n*1\r\n$4\r\nQUIT\r\n"))); got != "[PING SET|k|v QUIT]" {
		t.Error(got)
	}
	for _, bad := range []string{"*1\r\n$-7\r\nPING\r\n", "*1\r\n+OK\r\nPING\r\n", "*2\r\n$99999999999\r\nPING\r\n", strings.Repeat("x", maxLine+1)} {
		if got := taken([]byte(bad), []byte("*1\r\n$4\r\nPING\r\n")); len(got) != 0 {
			t.Errorf("%.20q: %v", bad, got)
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n"), 3)
	f.Add([]byte("*1\r\n$-7\r\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		cut = max(0, min(cut, len(data)))
		if whole, cut := fmt.Sprint(taken(data)), fmt.Sprint(taken(data[:cut], data[cut:])); whole != cut {
			t.Fatalf("in one piece %q, in two %q", whole, cut)
		}
	})
}
