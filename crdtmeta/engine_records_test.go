package crdtmeta_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta"

	"github.com/vmihailenco/msgpack/v5"
)

// checkFormats reads every companion by docs/engine.md, section 2, and asks the engine to explain every key, which must
// change nothing.
func (n *node) checkFormats(f failer) {
	f.Helper()
	for _, db := range databases {
		n.pick(f, db)
		var keys []string
		for _, name := range n.do(f, "KEYS", "*").Strings() {
			rest, ours := strings.CutPrefix(name, "crdt:")
			if !ours {
				keys = append(keys, name)
				continue
			}
			if rest == "" || !strings.ContainsAny(rest[:1], "012345") {
				continue
			}
			switch kind := n.do(f, "TYPE", name).Text; kind {
			case "string":
				checkRecord(f, name, n.do(f, "GET", name).Text)
			case "hash":
				checkCompanionHash(f, name, pairs(n.do(f, "HGETALL", name).Strings()))
			case "list":
				n.checkPlaces(f, name)
			default:
				f.Fatalf("companion %q has type %s", name, kind)
			}
		}
		before := n.do(f, "DEBUG", "DIGEST").Text
		for _, key := range append(keys, "a key that is not there") {
			replies, entry := n.call(f, db, []string{"XCRDT.EXPLAIN", key})
			if replies[0].Kind != '$' || entry != nil {
				f.Fatalf("EXPLAIN %q answers %v and logs %v", key, replies[0], entry)
			}
		}
		if n.do(f, "DEBUG", "DIGEST").Text != before {
			f.Fatalf("region %d: EXPLAIN changed something", n.id)
		}
	}
}

func checkCompanionHash(f failer, name string, fields map[string]string) {
	f.Helper()
	if _, found := fields[""]; !found {
		f.Fatalf("companion %q has no record", name)
	}
	for field, value := range fields {
		switch {
		case field == "":
			if value != "" {
				checkRecord(f, name, value)
			}
		case field[0] == 'n':
			if _, err := crdtmeta.ParseOrigin(field[1:]); err != nil {
				f.Fatalf("companion %q, field %q: %v", name, field, err)
			}
			if _, err := crdtmeta.ParseTime(value); err != nil {
				f.Fatalf("companion %q, field %q: %v", name, field, err)
			}
		case strings.ContainsAny(field[:1], "shzloxp"):
			checkRecord(f, name+" "+field, value)
		default:
			f.Fatalf("companion %q has field %q", name, field)
		}
	}
}

// checkRecord reads a record or a cell.
func checkRecord(f failer, name, value string) {
	f.Helper()
	d := msgpack.NewDecoder(bytes.NewReader([]byte(value)))
	var values []any
	for {
		v, err := d.DecodeInterface()
		if err != nil {
			break
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		f.Fatalf("record %q of %q is no msgpack", value, name)
	}
	switch kind := fmt.Sprint(values[0]); {
	case (kind == "1" || kind == "3") && len(values) == 4:
		origin, isText := values[1].(string)
		if _, err := crdtmeta.ParseOrigin(origin); !isText || err != nil && origin != "" {
			f.Fatalf("record %v of %q: %v", values, name, err)
		}
	case kind == "2" && len(values) == 2:
		fields, isMap := values[1].(map[string]any)
		if empty, isList := values[1].([]any); isList && len(empty) == 0 {
			return // how Lua packs an empty table
		}
		if !isMap {
			f.Fatalf("record %v of %q", values, name)
		}
		for field := range fields {
			if !slices.Contains([]string{"w", "s", "x", "T", "y", "c", "b", "r", "q", "d", "g", "l", "m", "k", "p", "e", "j", "z", "v"}, field) {
				f.Fatalf("record %v of %q has %q", values, name, field)
			}
		}
	default:
		f.Fatalf("record %v of %q", values, name)
	}
}

// What an applied batch touched is named in its record, so that a peer can be served from it and garbage can be found.
func TestFrontierRecordsNameTheirKeys(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s\x00{}", "m"}, []string{"DEL", "k"})
	a.call(t, 1, []string{"HSET", "h", "f", "v"})
	b.apply(t, a.origin, 0, a.log...)
	b.pick(t, 0)
	newest := b.do(t, "XREVRANGE", "crdt:log", "+", "-", "COUNT", "1").Items[0].Items[1].Strings()
	fields := pairs(newest)
	header, err := crdtmeta.DecodeHeader([]byte(fields["b"]))
	if err != nil || header.Kind != crdtmeta.KindRecord {
		t.Fatalf("the newest entry is %q: %v", newest, err)
	}
	frontier, err := crdtmeta.ParseFrontier(pairs(b.do(t, "HGETALL", "crdt:frontier").Strings()))
	if err != nil || !header.Frontier.CoversAll(frontier) || !frontier.CoversAll(header.Frontier) {
		t.Errorf("the record says %v, the region %v (%v)", header.Frontier, frontier, err)
	}
	var list []any
	if err := msgpack.Unmarshal([]byte(fields["k"]), &list); err != nil {
		t.Fatal(err)
	}
	var touched []string
	for i := 0; i < len(list); i += 2 {
		for _, name := range list[i+1].([]any) {
			touched = append(touched, fmt.Sprintf("%v:%v", list[i], name))
		}
	}
	slices.Sort(touched)
	if want := []string{"0:k", "0:s\x00{}", "1:h"}; !slices.Equal(touched, want) {
		t.Errorf("touched %q, want %q", touched, want)
	}
}

// Each rule that decides between effects that did not know of each other reports what it did, where they meet.
func TestEachRuleReportsConflicts(t *testing.T) {
	for _, test := range []struct {
		name         string
		before, a, b []string // b's is later
		atA, atB     string   // type, rule, winner and loser, reported by each
	}{
		{"strings", nil, []string{"SET", "k", "1"}, []string{"SET", "k", "2"},
			"string: the last write wins: 2 over 1", "string: the last write wins: 2 over 1"},
		{"fields", nil, []string{"HSET", "k", "f", "1"}, []string{"HSET", "k", "f", "2"},
			"hash f: the last write wins: 2 over 1", "hash f: the last write wins: 2 over 1"},
		{"a removal of a string", []string{"SET", "k", "0"}, []string{"DEL", "k"}, []string{"SET", "k", "2"},
			"string: a write wins over a removal:  over ", "string: a write wins over a removal: 2 over "},
		{"a removal of a set", []string{"SADD", "k", "0"}, []string{"DEL", "k"}, []string{"SADD", "k", "2"},
			"set: a write wins over a removal:  over ", "set: a write wins over a removal:  over "},
		{"a removal of a member", []string{"SADD", "k", "m"}, []string{"SREM", "k", "m"}, []string{"SADD", "k", "m"},
			"", "set m: a write wins over a removal:  over "},
		{"types", nil, []string{"SET", "k", "1"}, []string{"SADD", "k", "m"},
			"type: the type of the last write is shown: set over string", "type: the type of the last write is shown: set over string"},
		{"times to live", []string{"SET", "k", "v"}, []string{"PEXPIREAT", "k", "9000000000000"}, []string{"PEXPIREAT", "k", "9000000001000"},
			"ttl: the longest time to live wins: 9000000001000 over 9000000000000", "ttl: the longest time to live wins: 9000000001000 over 9000000000000"},
		{"no conflict", []string{"SADD", "k", "0"}, []string{"SADD", "k", "1"}, []string{"SADD", "k", "2"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			nodes := regions(t, 2)
			if test.before != nil {
				nodes[0].run(t, test.before...)
				exchange(t, nodes)
				awaitTick(nodes)
			}
			nodes[0].run(t, test.a...)
			awaitTick(nodes)
			nodes[1].run(t, test.b...)
			exchange(t, nodes)
			for i, want := range []string{test.atA, test.atB} {
				if got := reported(t, nodes[i]); got != want {
					t.Errorf("region %d reports %q, want %q", i+1, got, want)
				}
			}
		})
	}
}

func TestLedgerWithoutValues(t *testing.T) {
	nodes := regions(t, 2)
	for _, n := range nodes {
		n.pick(t, 0)
		n.do(t, "FCALL", crdtmeta.FuncArm, "0", strconv.Itoa(n.id), "region"+strconv.Itoa(n.id), "0", fmt.Sprintf("%06x", n.id), runID(n), "repl",
			"semi-strict", "hidden")
	}
	nodes[0].run(t, "SET", "k", "secret")
	awaitTick(nodes)
	nodes[1].run(t, "SET", "k", "secret, too")
	exchange(t, nodes)
	for _, n := range nodes {
		if got := reported(t, n); got != "string: the last write wins:  over " {
			t.Errorf("region %d reports %q", n.id, got)
		}
	}
}

// reported prints a region's ledger.
func reported(t *testing.T, n *node) string {
	t.Helper()
	n.pick(t, 0)
	var lines []string
	for _, item := range n.do(t, "XRANGE", "crdt:conflicts", "-", "+").Items {
		var report map[string]any
		if err := msgpack.Unmarshal([]byte(pairs(item.Items[1].Strings())["b"]), &report); err != nil {
			t.Fatal(err)
		}
		value := func(side string) any { return report[side].(map[string]any)["v"] }
		what := strings.TrimSpace(fmt.Sprintf("%v %v", report["type"], report["element"]))
		lines = append(lines, fmt.Sprintf("%s: %v: %v over %v", what, report["rule"], value("winner"), value("loser")))
	}
	return strings.Join(lines, "; ")
}

// A conflict is reported once in each region that sees it, with both values, cut to a length that fits a report.
func TestConflictsAreReported(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", strings.Repeat("lost", 1000)}, []string{"SET", "quiet", "v"})
	awaitTick(nodes)
	b.call(t, 0, []string{"SET", "k", "won"}, []string{"HSET", "h", "f", "v"})
	exchange(t, nodes)
	for _, n := range nodes {
		n.pick(t, 0)
		reply := n.do(t, "XRANGE", "crdt:conflicts", "-", "+")
		if len(reply.Items) != 1 {
			t.Fatalf("region %d reports %v", n.id, reply)
		}
		var report map[string]any
		if err := msgpack.Unmarshal([]byte(pairs(reply.Items[0].Items[1].Strings())["b"]), &report); err != nil {
			t.Fatal(err)
		}
		winner, _ := report["winner"].(map[string]any)
		loser, _ := report["loser"].(map[string]any)
		if report["key"] != "k" || fmt.Sprint(report["db"]) != "0" || report["type"] != "string" || report["rule"] == "" {
			t.Errorf("region %d reports %v", n.id, report)
		}
		if winner["o"] != b.origin.String() || loser["o"] != a.origin.String() {
			t.Errorf("region %d: winner %v, loser %v", n.id, winner["o"], loser["o"])
		}
		if text, _ := loser["v"].(string); !strings.HasPrefix(text, "lostlost") || len(text) > 256 {
			t.Errorf("region %d: the lost value is %q", n.id, text)
		}
	}
}
