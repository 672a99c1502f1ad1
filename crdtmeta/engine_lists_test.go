package crdtmeta_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta/model"

	"pgregory.net/rapid"
)

// Lists of thousands of elements are changed in other ways than short ones: far from the ends, in parts, over many pages.
func TestLargeListsAgreeWithTheModel(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 15, func(rt *rapid.T) {
		p := newPlay(rt, nodes, true)
		const elements = 2000
		values := make([]string, elements)
		for i := range values {
			values[i] = "e" + strconv.Itoa(i%700)
		}
		if rapid.Bool().Draw(rt, "adopted") {
			p.adopt(0, "l", model.Value{Type: model.List, List: values})
		} else {
			p.write(0, 0, append([]string{"RPUSH", "l"}, values[:1200]...), append([]string{"LPUSH", "l"}, values[1200:]...))
		}
		order := []int{1, 2, 3, 5, 6, 7}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			p.settle(order)
			for _, a := range rapid.SliceOfN(largeChange(elements), 1, 20).Draw(rt, "changes") {
				p.write(a.at, 0, a.words)
			}
		}
		p.finish(order)
	})
}

// change is a command at a region.
type change struct {
	at    int
	words []string
}

func largeChange(elements int) *rapid.Generator[change] {
	return rapid.Custom(func(t *rapid.T) change {
		position := func() string {
			return strconv.Itoa(rapid.IntRange(-elements, elements).Draw(t, "position") * 7919 % elements)
		}
		value := func() string { return "e" + strconv.Itoa(rapid.IntRange(0, 699).Draw(t, "value")*7919%700) }
		many := func(name string) []string {
			words := []string{name, "l"}
			for i := range rapid.SampledFrom([]int{1, 3, 300, 1200}).Draw(t, "many") {
				words = append(words, fmt.Sprintf("%s-%d", name, i))
			}
			return words
		}
		c := change{at: rapid.IntRange(0, 2).Draw(t, "region")}
		switch name := rapid.SampledFrom([]string{"LINSERT", "LREM", "RPUSH", "LPUSH", "LSET", "LPOP", "RPOP", "LTRIM", "LMOVE"}).Draw(t, "name"); name {
		case "LINSERT":
			c.words = []string{name, "l", rapid.SampledFrom([]string{"BEFORE", "AFTER"}).Draw(t, "where"), value(), "inserted"}
		case "LREM":
			c.words = []string{name, "l", rapid.SampledFrom([]string{"0", "1", "-1", "2"}).Draw(t, "count"), value()}
		case "RPUSH", "LPUSH":
			c.words = many(name)
		case "LSET":
			c.words = []string{name, "l", position(), "set"}
		case "LPOP", "RPOP":
			c.words = []string{name, "l", rapid.SampledFrom([]string{"1", "10", "600"}).Draw(t, "count")}
		case "LTRIM":
			c.words = []string{name, "l", rapid.SampledFrom([]string{"0", "5", "700"}).Draw(t, "first"), rapid.SampledFrom([]string{"-1", "-9", "-700"}).Draw(t, "last")}
		case "LMOVE":
			c.words = []string{name, "l", "l", "LEFT", "RIGHT"}
		}
		return c
	})
}

// A run of elements from before Anabranch is one entry, and stays one as long as only its ends change.
func TestOldListNeedsNoBackfill(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	const elements = 50_000
	values := make([]string, elements)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	for _, n := range nodes {
		n.adopt(t, 0, "l", model.Value{Type: model.List, List: values})
	}
	a.call(t, 0, []string{"RPUSH", "l", "x"}, []string{"LPUSH", "l", "y"}, []string{"LPOP", "l", "2"}, []string{"LSET", "l", "100", "set"},
		[]string{"LTRIM", "l", "50", "-2"}, []string{"RPOP", "l"}, []string{"LPUSH", "l", "z"})
	b.call(t, 0, []string{"RPOP", "l"}, []string{"LPUSH", "l", "w"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	for _, n := range nodes {
		n.pick(t, 0)
		if entries := n.do(t, "LLEN", "crdt:3{l}").Int(); entries != 3 {
			t.Errorf("region %d has %d places for two pushed elements and a run", n.id, entries)
		}
		n.checkPlaces(t, "crdt:3{l}")
	}
}

// What lists cost must not grow with their length: an op at an end is a handful of commands.
func TestListOpsAtTheEndsAreFewCommands(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	values := make([]string, 20_000)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	a.adopt(t, 0, "old", model.Value{Type: model.List, List: values})
	b.adopt(t, 0, "old", model.Value{Type: model.List, List: values})
	a.call(t, 0, append([]string{"RPUSH", "new"}, values...))
	a.call(t, 0, []string{"RPUSH", "old", "x"}, []string{"LPUSH", "old", "x"})
	exchange(t, nodes)
	for _, key := range []string{"old", "new"} {
		for _, words := range [][]string{{"RPUSH", key, "v"}, {"LPUSH", key, "v"}, {"RPOP", key}, {"LPOP", key}} {
			local := commandsOf(t, a, func() { a.call(t, 0, words) })
			from := len(b.log)
			remote := commandsOf(t, b, func() { b.apply(t, a.origin, 0, a.log...) })
			b.fetch(t)
			// One of them looks every 100 ms whether the engine is still armed for this server. A remote push looks whether places
			// and values fit, for which it looks for the run among the entries.
			if local > 8 || remote > 22 || len(b.log) == from {
				t.Errorf("%s takes %d commands here and %d there", strings.Join(words, " "), local, remote)
			}
		}
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
}

// commandsOf counts the commands that Redis runs in f for lists, hashes, strings and the log, those inside of functions.
func commandsOf(t *testing.T, n *node, f func()) int {
	t.Helper()
	count := func() (sum int) {
		for line := range strings.Lines(n.do(t, "INFO", "commandstats").Text) {
			name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
			if !found || slices.Contains([]string{"fcall", "info", "select", "xrange"}, name) {
				continue
			}
			calls, _, _ := strings.Cut(rest, ",")
			number, err := strconv.Atoi(calls)
			if err != nil {
				t.Fatal(err)
			}
			sum += number
		}
		return sum
	}
	before := count()
	f()
	return count() - before
}

// Somebody wrote to a list past the engine: its places do not fit any more. That must not end in an error, least of all one that
// stops the log of another region.
func TestListWrittenPastTheEngineDoesNotStopTheLog(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"RPUSH", "l", "a", "b", "c", "d"})
	exchange(t, nodes)
	b.pick(t, 0)
	b.do(t, "LPOP", "l")
	b.do(t, "RPUSH", "l", "e", "f", "g")
	a.call(t, 0, []string{"LINSERT", "l", "AFTER", "b", "x"}, []string{"LREM", "l", "0", "c"}, []string{"LSET", "l", "0", "y"}, []string{"LPOP", "l"},
		[]string{"RPUSH", "l", "z"})
	a.fetch(t)
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Fatalf("delivery answers %+v", answer)
	}
	for _, words := range [][]string{{"LINSERT", "l", "AFTER", "f", "x"}, {"LREM", "l", "0", "g"}, {"LSET", "l", "0", "y"}, {"LTRIM", "l", "1", "-2"}} {
		if replies, _ := b.call(t, 0, words); replies[0].IsError() {
			t.Errorf("%q replies %v", words, replies[0])
		}
	}
	b.checkPlaces(t, "crdt:3{l}")
}

// Taking elements out of a list works without memory, wherever they are, also where the engine has to write to do it.
func TestListRemovalsWithoutMemory(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	values := make([]string, 3000)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	for _, n := range nodes {
		n.adopt(t, 0, "old", model.Value{Type: model.List, List: values})
	}
	a.call(t, 0, append([]string{"RPUSH", "new"}, values...))
	exchange(t, nodes)
	a.do(t, "CONFIG", "SET", "maxmemory", "1")
	for _, key := range []string{"old", "new"} {
		for _, words := range [][]string{{"LPOP", key}, {"LREM", key, "0", "1500"}, {"LREM", key, "0", "1600"}, {"LTRIM", key, "10", "-10"}, {"RPOP", key, "2"}, {"LMPOP", "1", key, "LEFT"}} {
			if replies, entry := a.call(t, 0, words); replies[0].IsError() || entry == nil {
				t.Errorf("%q replies %v", words, replies[0])
			}
		}
	}
	a.do(t, "CONFIG", "SET", "maxmemory", "0")
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := b.get(t, "LLEN", "old"); got != "(integer) 2975" {
		t.Errorf("%s elements are left", got)
	}
}

// Many changes inside a list from before Anabranch part it into many runs. The shortest are spelled out in the end, and it
// stays the list that Redis has.
func TestManyChangesInsideAnOldList(t *testing.T) {
	nodes := regions(t, 3)
	a, b, plain := nodes[0], nodes[1], nodes[2]
	const elements = 4000
	values := make([]string, elements)
	for i := range values {
		values[i] = strconv.Itoa(i)
	}
	for _, n := range nodes {
		n.adopt(t, 0, "l", model.Value{Type: model.List, List: values})
	}
	for i := range 90 {
		at := strconv.Itoa(i * 7919 % elements)
		words := [][]string{{"LINSERT", "l", "AFTER", at, "x"}, {"LREM", "l", "0", at}, {"LINSERT", "l", "BEFORE", at, "y"}}[i%3]
		a.call(t, 0, words)
		plain.do(t, words...)
	}
	want := plain.do(t, "LRANGE", "l", "0", "-1").Strings()
	exchange(t, nodes[:2])
	for _, n := range nodes[:2] {
		n.pick(t, 0)
		n.checkPlaces(t, "crdt:3{l}")
		if got := n.do(t, "LRANGE", "l", "0", "-1").Strings(); !slices.Equal(got, want) {
			t.Fatalf("region %d shows %q, Redis %q", n.id, got, want)
		}
		runs := 0
		for _, entry := range n.do(t, "LRANGE", "crdt:3{l}", "0", "-1").Strings() {
			if len(entry) == runBytes {
				runs++
			}
		}
		if runs != 32 {
			t.Errorf("region %d has %d runs", n.id, runs)
		}
	}
	// One region takes every third element of the middle, which leaves pieces of all sizes; the other shrinks the ends.
	var commands [][]string
	for i := 1000; i < 3000; i += 3 {
		commands = append(commands, []string{"LSET", "l", strconv.Itoa(i), "gone"})
	}
	b.call(t, 0, append(commands, []string{"LREM", "l", "0", "gone"})...)
	a.call(t, 0, []string{"LTRIM", "l", "100", "-100"}, []string{"LPOP", "l", "333"})
	exchange(t, nodes[:2])
	requireEqual(t, nodes[:2])
	for _, n := range nodes[:2] {
		n.pick(t, 0)
		n.checkPlaces(t, "crdt:3{l}")
		if got := n.do(t, "LLEN", "l").Int(); got != int64(len(want)-100-99-333-667) {
			t.Errorf("region %d has %d elements of %d", n.id, got, len(want))
		}
	}
}
