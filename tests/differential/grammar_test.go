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
	templates []template
	family    string // commands of this type alone, and those that fit every type; "" for all
	pools     map[byte][]string
}

type template struct {
	text   string
	family string
}

// anyType is the family of commands that fit every type.
const anyType = "any"

func newGrammar(t *testing.T, seed uint64) *grammar {
	t.Helper()
	data, err := os.ReadFile("testdata/random/grammar.txt")
	if err != nil {
		t.Fatal(err)
	}
	g := &grammar{random: rand.New(rand.NewPCG(seed, 1)), pools: map[byte][]string{
		'k': {"a", "b{t}", "{c", "d\x00"},
		'm': {"a", "b", "c", "1", "", "x\x00y"},
		'i': {"0", "1", "-1", "7", "-30", "1000000007", "9007199254740993", "-9007199254740995"},
		'f': {"0", "1", "-1", "0.5", "3.5", "-2.5", "1e10", "100", "17179869184.5", "inf", "-inf", "-1000000.5"},
		'v': {"", "v", "w", "5", "-12", "3.0e3", "0.50", "9007199254740993", "long value that is text", "\x00\xff", "010"},
		't': {"100", "1000", "5000"},
		'T': {"33177117420000", "33177117420123", "33177117430000"}, // conditions on relative times depend on the millisecond
		'b': {"0", "7", "9", "100"},
		's': {"-inf", "0", "(1", "3.1", "(100", "+inf"},
		'r': {"0", "1", "-1", "-2", "3"},
	}}
	g.add(string(data))
	return g
}

// add takes templates in the form of the file.
func (g *grammar) add(text string) {
	family := anyType
	for text := range strings.Lines(text) {
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(text, "= "); ok {
			family = name
			continue
		}
		weight := 1
		if first, rest, ok := strings.Cut(text, " "); ok {
			if n, err := strconv.Atoi(first); err == nil {
				weight, text = n, rest
			}
		}
		for range weight {
			g.templates = append(g.templates, template{text, family})
		}
	}
}

// key draws a name. Most keys are named after a type and get only its commands: a key that meets all types answers
// most of them with an error.
func (g *grammar) key(family string) string {
	pool := g.pools['k']
	name := pool[g.random.IntN(len(pool))]
	if g.family != "" || g.random.IntN(5) == 0 {
		return name
	}
	if family == anyType {
		family = []string{"string", "hash", "set", "zset", "list", "geo"}[g.random.IntN(6)]
	}
	return family + name
}

// command draws one command.
func (g *grammar) command() line {
	drawn := g.templates[g.random.IntN(len(g.templates))]
	for g.family != "" && drawn.family != g.family && drawn.family != anyType {
		drawn = g.templates[g.random.IntN(len(g.templates))]
	}
	text := drawn.text
	for {
		open := strings.IndexByte(text, '{')
		if open < 0 {
			break
		}
		end := open + strings.IndexByte(text[open:], '}')
		parts := strings.Split(text[open+1:end], "|")
		text = text[:open] + parts[g.random.IntN(len(parts))] + text[end+1:]
	}
	args := strings.Fields(text)
	for i, arg := range args {
		if len(arg) != 2 || arg[0] != '%' {
			continue
		}
		if arg[1] == 'k' {
			args[i] = g.key(drawn.family)
		} else {
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
