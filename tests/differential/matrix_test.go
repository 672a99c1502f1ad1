package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// contents is what a key may hold when a command meets it. Each entry is the commands that make it, # standing for the
// key; "native" ones can only be made past the proxy.
var contents = map[string]struct {
	native bool
	make   []string
}{
	"absent":  {make: nil},
	"text":    {make: []string{"SET # hello"}},
	"number":  {make: []string{"SET # 10"}},
	"counter": {make: []string{"INCRBY # 5", "INCR #"}},
	"expires": {make: []string{"SET # 7 EX 1000"}},
	"hash":    {make: []string{"HSET # f v g w n 5"}},
	"set":     {make: []string{"SADD # a"}},
	"ints":    {make: []string{"SADD # 7"}},
	"zset":    {make: []string{"ZADD # 1 a", "ZINCRBY # 2 a"}},
	"geo":     {make: []string{"GEOADD # 0.5 0.5 a"}},
	"list":    {make: []string{"RPUSH # a b", "LSET # 0 1"}},
	"oldlist": {native: true, make: []string{"RPUSH # a"}},
	"stream":  {native: true, make: []string{"XADD # 1-1 f v"}},
	"hll":     {native: true, make: []string{"PFADD # a"}},
}

// matrix is every form of every command on keys of every type, alone and in pairs, and what makes those keys.
type matrix struct {
	setup, native, commands []line
}

func loadMatrix(t *testing.T) matrix {
	t.Helper()
	var m matrix
	kinds := slices.Sorted(maps.Keys(contents))
	for n, form := range loadScript(t, "testdata/matrix/commands.txt") {
		template := strings.Join(form.args, "\x00")
		seconds := kinds
		if !strings.Contains(template, "%2") {
			seconds = []string{"absent"}
		}
		for _, first := range kinds {
			for _, second := range seconds {
				one, two := fmt.Sprintf("%d:%s:%s:1", n, first, second), fmt.Sprintf("%d:%s:%s:2", n, first, second)
				m.fill(form.number, one, first)
				m.fill(form.number, two, second)
				l := form
				l.args = strings.Split(strings.NewReplacer("%1", one, "%2", two).Replace(template), "\x00")
				m.commands = append(m.commands, l)
			}
		}
	}
	return m
}

func (m *matrix) fill(number int, key, kind string) {
	for _, text := range contents[kind].make {
		l := line{number: number, args: strings.Fields(strings.ReplaceAll(text, "#", key))}
		if contents[kind].native {
			m.native = append(m.native, l)
		} else {
			m.setup = append(m.setup, l)
		}
	}
}

// play makes the keys and sends the commands. With adopted, all data lies there before.
func (m *matrix) play(t *testing.T, r *rig, protocol string, adopted bool) {
	t.Helper()
	s := r.open(t, protocol)
	past := m.native
	if adopted {
		past = slices.Concat(m.setup, m.native)
	} else {
		load(t, s.reference, m.setup)
		load(t, s.subject, m.setup)
	}
	load(t, s.referenceOwn, past)
	load(t, s.pastward, past)
	s.adopts = true
	s.play(m.commands, true)
	r.compareData(s)
}

// TestEveryCommandMeetsEveryType: wrong types, absent keys and overwrites must answer, and leave behind, what Redis does.
// Data is made through the proxy, which gives it companions, and past it, which makes it data from before.
func TestEveryCommandMeetsEveryType(t *testing.T) {
	m := loadMatrix(t)
	r := newRig(t, 1)
	t.Run("resp2", func(t *testing.T) { m.play(t, r, "2", false) })
	t.Run("resp3", func(t *testing.T) { m.play(t, r, "3", false) })
	t.Run("adopted", func(t *testing.T) { m.play(t, r, "2", true) })
}

func TestMatrixIsDeterministic(t *testing.T) {
	m := loadMatrix(t)
	m.play(t, newPlainRig(t), "3", false)
}

func load(t *testing.T, c *redistest.Conn, lines []line) {
	t.Helper()
	commands := make([][]string, 0, len(lines))
	for _, l := range lines {
		commands = append(commands, l.args)
	}
	replies, err := c.Pipeline(commands)
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range replies {
		if reply.IsError() {
			t.Fatalf("%q: %s", commands[i], reply)
		}
	}
}
