package crdtmeta_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// junk is what a region that went bad may put in the place of anything.
var junk = []any{
	nil, true, -1, 0, 1 << 40, 1<<53 + 2, 0.5, "", "a", "b", "{t}c", "crdt:log", "crdt:self", "crdt:0{a}", "crdt:", "k", "s", "h", "z", "l", "x", "p", "n", "o",
	"n1.0.1-000001", " ", "\xa0", "`", "`\x00\x00\x00\x01", "`\x00\x00\x00\x00\xff\xff\xff\xff", "+", "-", "1-1", "nan", "0x10", "1e5000", "9999999999999999999999",
	"2.0.1-000002", "2.0.1", "99.0.1-000002", []any{}, []any{"a"}, []any{"", ""}, []any{nil}, []any{[]any{[]any{}}}, []any{"", "2.0.1-000002", 1, 1, 1, 1, "x"},
	map[string]any{"w": 1}, map[string]any{"2.0.1-000002": 1}, map[string]any{"x": "y"}, map[string]any{"w": []any{[]any{"", 0, 0, "v", true}}},
}

// spoil changes something in a value, somewhere.
func spoil(t *rapid.T, value any) any {
	list, isList := value.([]any)
	keyed, isMap := value.(map[string]any)
	size := len(list) + len(keyed)
	if size == 0 || rapid.IntRange(0, 9).Draw(t, "depth") == 0 {
		return rapid.SampledFrom(junk).Draw(t, "junk")
	}
	at := rapid.IntRange(0, size-1).Draw(t, "at")
	switch {
	case isList:
		list = slices.Clone(list)
		switch rapid.IntRange(0, 9).Draw(t, "how") {
		case 0:
			return append(list[:at], list[at+1:]...)
		case 1:
			return slices.Insert(list, at, rapid.SampledFrom(junk).Draw(t, "junk"))
		}
		list[at] = spoil(t, list[at])
		return list
	case isMap:
		names := make([]string, 0, size)
		for name := range keyed {
			names = append(names, name)
		}
		slices.Sort(names)
		changed := map[string]any{}
		for i, name := range names {
			switch {
			case i != at:
				changed[name] = keyed[name]
			case rapid.IntRange(0, 4).Draw(t, "name") == 0:
				changed[fmt.Sprint(rapid.SampledFrom(junk).Draw(t, "junk"))] = keyed[name]
			default:
				changed[name] = spoil(t, keyed[name])
			}
		}
		return changed
	}
	return rapid.SampledFrom(junk).Draw(t, "junk")
}

// spoiled does so to all msgpack values that stand in a row.
func spoiled(t *rapid.T, packed string) string {
	var values []any
	dec := msgpack.NewDecoder(strings.NewReader(packed))
	for {
		value, err := dec.DecodeInterfaceLoose()
		if err != nil {
			break
		}
		values = append(values, loosened(value))
	}
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		if len(values) > 0 {
			at := rapid.IntRange(0, len(values)-1).Draw(t, "value")
			values[at] = spoil(t, values[at])
		}
	}
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	for _, value := range values {
		if err := enc.Encode(value); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return buf.String()
}

// loosened makes []byte strings and maps with any keys maps with strings.
func loosened(value any) any {
	switch value := value.(type) {
	case []byte:
		return string(value)
	case []any:
		for i := range value {
			value[i] = loosened(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = loosened(value[name])
		}
	}
	return value
}

// reservedKeys are those that the engine itself may write when it takes something from elsewhere.
var reservedKeys = []string{"log", "self", "epochs", "frontier", "context", "newest", "ttl", "count", "conflicts", "gc", "ahead", "merges", "flushed"}

// checkReserved makes sure that nothing has written to keys of Anabranch's own but the engine, and nothing to companions of such.
func (n *node) checkReserved(f failer, self string) {
	f.Helper()
	for _, db := range databases {
		n.pick(f, db)
		for _, name := range n.do(f, "KEYS", crdtmeta.DefaultPrefix+"*").Strings() {
			key, companion := crdtmeta.KeyOf(crdtmeta.DefaultPrefix, name)
			switch fixed := strings.TrimPrefix(name, crdtmeta.DefaultPrefix); {
			case companion && !strings.HasPrefix(key, crdtmeta.DefaultPrefix):
			case db == 0 && slices.Contains(reservedKeys, fixed):
			default:
				f.Fatalf("region %d has key %q in database %d", n.id, name, db)
			}
		}
	}
	n.pick(f, 0)
	if got := n.do(f, "GET", "crdt:self").Text; got != self {
		f.Fatalf("region %d: crdt:self was %q, and is %q", n.id, self, got)
	}
}

// checkWorks makes sure that what was taken does not make later calls fail: each key can be looked at, given away, written to by
// commands of all types, and removed.
func (n *node) checkWorks(f failer) {
	f.Helper()
	for _, db := range databases {
		for _, key := range history.Keys {
			for _, command := range [][]string{
				{"XCRDT.EXPLAIN", key}, {"APPEND", key, "1"}, {"INCR", key}, {"HINCRBY", key, "m", "1"}, {"SADD", key, "m"}, {"ZINCRBY", key, "1", "m"},
				{"LPUSH", key, "v"}, {"LINSERT", key, "BEFORE", "v", "w"}, {"LPOP", key}, {"XADD", key, "*", "f", "v"}, {"PFADD", key, "m"}, {"PEXPIREAT", key, "9000000000001"}, {"DEL", key}, {"SET", key, "v"},
			} {
				n.pick(f, 0)
				words := []string{"FCALL", crdtmeta.FuncStates, "0", n.origin.String(), "1000000", strconv.Itoa(db), key}
				n.checkNoFailure(f, words)
				n.pick(f, db)
				words = append([]string{"FCALL", crdtmeta.FuncWrite, "0", strconv.Itoa(db), strconv.Itoa(len(command))}, command...)
				n.checkNoFailure(f, words)
			}
		}
	}
}

// checkNoFailure runs a call of the engine, which may refuse, but not fail.
func (n *node) checkNoFailure(f failer, words []string) redistest.Reply {
	f.Helper()
	reply, err := n.conn.Try(words...)
	if err != nil {
		f.Fatalf("region %d: %.300q: %v", n.id, words, err)
	}
	for _, part := range append([]redistest.Reply{reply}, reply.Items...) {
		if part.IsError() && strings.Contains(part.Text, "user_function") {
			f.Fatalf("region %d: %.1000q: %s", n.id, words, part.Text)
		}
	}
	return reply
}

// A region that went bad can write what it likes to users' keys. It cannot write to keys of Anabranch's own, and leaves nothing
// behind on which commands fail.
func TestSpoiledEntriesDoNoHarm(t *testing.T) {
	nodes := startNodes(t, 2)
	checkHistories(t, 100, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		a, b := nodes[0], nodes[1]
		g := history.Generator{Numbers: history.Anything, Deadline: deadlines, Clash: true}
		self := a.do(rt, "GET", "crdt:self").Text
		for range rapid.IntRange(1, 6).Draw(rt, "before") {
			p.write(0, rapid.SampledFrom(databases).Draw(rt, "db"), g.Command(rt))
		}
		for range rapid.IntRange(1, 12).Draw(rt, "writes") {
			p.write(1, rapid.SampledFrom(databases).Draw(rt, "db"), g.Command(rt))
		}
		for _, e := range b.log {
			bad := e
			if e.kind == crdtmeta.KindEffects {
				bad.body = spoiled(rt, e.body)
			}
			for _, e := range []logged{bad, e} {
				if _, err := crdtmeta.DecodeHeader([]byte(e.body)); err != nil {
					continue
				}
				a.pick(rt, 0)
				words := []string{"FCALL", crdtmeta.FuncApply, "0", b.origin.String(), "0", e.id, e.body, strconv.Itoa(len(e.runs))}
				reply := a.checkNoFailure(rt, append(words, e.runs...))
				rt.Logf("%.300q: %v", words, reply)
				a.checkReserved(rt, self)
			}
		}
		a.checkWorks(rt)
		a.checkReserved(rt, self)
	})
}

// So it is with the states of merges.
func TestSpoiledStatesDoNoHarm(t *testing.T) {
	nodes := startNodes(t, 2)
	checkHistories(t, 100, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		a, b := nodes[0], nodes[1]
		g := history.Generator{Numbers: history.Anything, Deadline: deadlines, Clash: true}
		self := a.do(rt, "GET", "crdt:self").Text
		p.adoptSome(g)
		for range rapid.IntRange(1, 6).Draw(rt, "before") {
			p.write(0, rapid.SampledFrom(databases).Draw(rt, "db"), g.Command(rt))
		}
		for range rapid.IntRange(1, 12).Draw(rt, "writes") {
			p.write(1, rapid.SampledFrom(databases).Draw(rt, "db"), g.Command(rt))
		}
		for _, db := range databases {
			s := b.states(rt, db, history.Keys)
			a.tryMerge(rt, b.id, "changes", "some", "", states{vector: "\x80"})
			for i, state := range s.each {
				name := s.keys[i]
				if rapid.IntRange(0, 9).Draw(rt, "name") == 0 {
					name = rapid.SampledFrom([]string{"crdt:log", "crdt:0{a}", "crdt:x"}).Draw(rt, "key")
				}
				mode := rapid.SampledFrom([]string{"changes", "whole", "joining"}).Draw(rt, "mode")
				a.pick(rt, 0)
				words := []string{"FCALL", crdtmeta.FuncMerge, "0", a.origin.String(), strconv.Itoa(b.id), mode, "some", "", s.vector, strconv.Itoa(db), name, spoiled(rt, state)}
				reply := a.checkNoFailure(rt, words)
				rt.Logf("%.500q: %v", words, reply)
				a.checkReserved(rt, self)
			}
		}
		a.checkWorks(rt)
	})
}

// A region that begins one epoch after the other cannot make the frontier grow until nobody can be told it any more.
func TestEpochsWithoutEndAreRefused(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	body := func(origin string) string {
		packed, err := msgpack.Marshal([]any{"t", origin, "", 0})
		if err != nil {
			t.Fatal(err)
		}
		return string(packed)
	}
	words, at := []string{"FCALL", crdtmeta.FuncApply, "0", b.origin.String(), "0"}, crdtmeta.TimeAt(1000)
	for i := range 5000 {
		words = append(words, (at + crdtmeta.Time(i)).ID(), body(fmt.Sprintf("2.0.%d-000002", i+2)), "0")
	}
	if reply := a.checkNoFailure(t, words); reply.IsError() {
		t.Fatal(reply)
	}
	before := a.do(t, "HLEN", "crdt:frontier").Int()
	if reply := a.checkNoFailure(t, []string{"FCALL", crdtmeta.FuncApply, "0", "2.0.9000-000002", "0", at.ID(), body("2.0.9000-000002"), "0"}); reply.IsError() {
		t.Fatal(reply)
	}
	words = words[:5]
	for i := range 5000 {
		words = append(words, (at + crdtmeta.Time(i)).ID(), body(fmt.Sprintf("2.0.%d-000002", i+10000)), "0")
	}
	if reply := a.checkNoFailure(t, words); !reply.IsError() {
		t.Error("5,000 more epochs are taken")
	}
	if after := a.do(t, "HLEN", "crdt:frontier").Int(); after > before+1 {
		t.Errorf("the frontier had %d origins, and has %d", before, after)
	}
}
