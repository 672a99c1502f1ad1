package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"anabranch/internal/resp"
)

// How many different names the load uses. Enough that no single key is hot, few enough that all of them are written
// soon, so that GET finds something and the memory stays bounded.
const (
	keySpace     = 50_000 // strings and counters
	bigKeys      = 1_000  // hashes, sets, sorted sets…
	elementSpace = 100    // …with so many different elements each
	digits       = 8
	valueBytes   = 256
)

// template is one encoded command with places for random numbers of fixed width, so that making a command costs next
// to nothing: the load driver shares the cores with what it measures.
type template struct {
	bytes []byte
	holes []hole
}

type hole struct {
	at    int
	limit int // numbers from 0 to limit-1
}

// A word of a command; # stands for digits of a random number.
type word struct {
	text  string
	limit int
}

func fixed(text string) word               { return word{text, 0} }
func numbered(prefix string, lim int) word { return word{prefix, lim} }

func newTemplate(words ...word) template {
	var args [][]byte
	for _, w := range words {
		text := w.text
		if w.limit > 0 {
			text += strings.Repeat("#", digits)
		}
		args = append(args, []byte(text))
	}
	t := template{bytes: resp.AppendCommand(nil, args...)}
	at := 0
	for _, w := range words {
		if w.limit == 0 {
			continue
		}
		place := strings.Index(string(t.bytes[at:]), strings.Repeat("#", digits))
		t.holes = append(t.holes, hole{at + place, w.limit})
		at += place + digits
	}
	return t
}

// append adds one command with new random numbers.
func (t *template) append(buf []byte, random *rand.PCG) []byte {
	start := len(buf)
	buf = append(buf, t.bytes...)
	for _, h := range t.holes {
		n := random.Uint64() % uint64(h.limit)
		for i := start + h.at + digits - 1; i >= start+h.at; i-- {
			buf[i] = byte('0' + n%10)
			n /= 10
		}
	}
	return buf
}

// workload is a mix of commands; each of the templates is as likely as the others.
type workload struct {
	name      string
	templates []template
	fill      bool // the keys are written before the measurement
}

var value = strings.Repeat("v", valueBytes)

var (
	set = newTemplate(fixed("SET"), numbered("key:", keySpace), fixed(value))
	get = newTemplate(fixed("GET"), numbered("key:", keySpace))
)

// workloads by name.
var workloads = func() map[string]workload {
	all := []workload{
		{name: "SET", templates: []template{set}},
		{name: "GET", templates: []template{get}, fill: true},
		{name: "MIX", templates: []template{set, set, set, get, get, get, get, get, get, get}, fill: true},
		{name: "INCR", templates: []template{newTemplate(fixed("INCR"), numbered("counter:", keySpace))}},
		{name: "HSET", templates: []template{newTemplate(fixed("HSET"), numbered("hash:", bigKeys), numbered("field:", elementSpace), numbered("value:", 1e8))}},
		{name: "SADD", templates: []template{newTemplate(fixed("SADD"), numbered("set:", bigKeys), numbered("member:", elementSpace))}},
		{name: "ZADD", templates: []template{newTemplate(fixed("ZADD"), numbered("zset:", bigKeys), numbered("", 1e8), numbered("member:", elementSpace))}},
	}
	byName := map[string]workload{}
	for _, w := range all {
		byName[w.name] = w
	}
	return byName
}()

// workloadNames is in the order of the report.
func workloadNames() []string {
	order := []string{"SET", "GET", "MIX", "INCR", "HSET", "SADD", "ZADD"}
	if len(order) != len(workloads) {
		panic(fmt.Sprint("bench: workloads without a place in the report: ", slices.Sorted(maps.Keys(workloads))))
	}
	return order
}

// append adds one command of the mix.
func (w *workload) append(buf []byte, random *rand.PCG) []byte {
	choice := uint64(0)
	if len(w.templates) > 1 {
		choice = random.Uint64() % uint64(len(w.templates))
	}
	return w.templates[choice].append(buf, random)
}

// fillCommands are the SETs of every key, in batches.
func fillCommands(yield func(commands []byte, count int) bool) {
	const batch = 100
	for first := 0; first < keySpace; first += batch {
		var buf []byte
		for n := first; n < first+batch; n++ {
			text := strconv.Itoa(n)
			key := "key:" + strings.Repeat("0", digits-len(text)) + text
			buf = resp.AppendCommandStrings(buf, "SET", key, value)
		}
		if !yield(buf, batch) {
			return
		}
	}
}
