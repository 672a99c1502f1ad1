package differential

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// grammar makes random commands from templates. Everything is drawn from small pools, so that commands meet. All sums
// of the numbers in the pools are exact in binary: Anabranch adds increments to each other before it adds them to the
// value, and where a sum must be rounded its last digit may differ from Redis's.
type grammar struct {
	random    *rand.Rand
	templates []string
	pools     map[byte][]string
}

func newGrammar(t *testing.T, seed uint64) *grammar {
	t.Helper()
	data, err := os.ReadFile("testdata/random/grammar.txt")
	if err != nil {
		t.Fatal(err)
	}
	g := &grammar{random: rand.New(rand.NewPCG(seed, 1)), pools: map[byte][]string{
		'k': {"a", "b", "c", "{t}d", "{e", "f\x00"},
		'm': {"a", "b", "c", "1", "", "x\x00y"},
		'i': {"0", "1", "-1", "7", "-30", "1000000007", "9007199254740993", "-9007199254740995"},
		'f': {"0", "1", "-1", "0.5", "3.5", "-2.5", "1e10", "100", "17179869184.5", "inf", "-inf", "-1000000.5"},
		'v': {"", "v", "w", "5", "-12", "3.0e3", "0.50", "9007199254740993", "long value that is text", "\x00\xff", "010"},
		'g': {"g1", "g2", "{t}g3"},
		't': {"100", "1000", "5000"},
		'T': {"33177117420000", "33177117420123", "33177117430000"}, // conditions on relative times depend on the millisecond
		'b': {"0", "7", "9", "100"},
		's': {"-inf", "0", "(1", "3.1", "(100", "+inf"},
		'r': {"0", "1", "-1", "-2", "3"},
	}}
	for text := range strings.Lines(string(data)) {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		weight := 1
		if first, rest, ok := strings.Cut(text, " "); ok {
			if n, err := strconv.Atoi(first); err == nil {
				weight, text = n, rest
			}
		}
		for range weight {
			g.templates = append(g.templates, text)
		}
	}
	return g
}

// command draws one command.
func (g *grammar) command() line {
	template := g.templates[g.random.IntN(len(g.templates))]
	for {
		open := strings.IndexByte(template, '{')
		if open < 0 {
			break
		}
		end := open + strings.IndexByte(template[open:], '}')
		parts := strings.Split(template[open+1:end], "|")
		template = template[:open] + parts[g.random.IntN(len(parts))] + template[end+1:]
	}
	args := strings.Fields(template)
	for i, arg := range args {
		if len(arg) == 2 && arg[0] == '%' {
			pool := g.pools[arg[1]]
			args[i] = pool[g.random.IntN(len(pool))]
		}
	}
	l := line{args: args}
	if name := strings.ToUpper(args[0]); randomOrder[name] || name == "SPOP" || name == "HGETALL" {
		l.mode = unordered
	}
	return l
}
