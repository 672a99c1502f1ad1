package crdtmeta_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta"

	"github.com/vmihailenco/msgpack/v5"
)

const (
	lastWins    = "the last write wins"
	writeWins   = "a write wins over a removal"
	removalWins = "a removal wins over a write"
	destroyed   = "destroying a group wins"
	saturated   = "a sum stays within 64 bits"
	undefined   = "an undefined sum is 0"
)

// Each rule that decides between effects that did not know of each other reports what it did, where they meet.
func TestEachRuleReportsConflicts(t *testing.T) {
	stream := []string{"XADD k 1-1 f v", "XADD k 2-1 f v", "XGROUP CREATE k g 0"}
	for _, test := range []struct {
		name         string
		before, a, b []string // commands; b's are later
		atA, atB     string   // type, element, rule, winner and loser, reported by each
	}{
		{"strings", nil, []string{"SET k 1"}, []string{"SET k 2"},
			"string: " + lastWins + ": 2 over 1", "string: " + lastWins + ": 2 over 1"},
		{"fields", nil, []string{"HSET k f 1"}, []string{"HSET k f 2"},
			"hash f: " + lastWins + ": 2 over 1", "hash f: " + lastWins + ": 2 over 1"},
		{"a removal of a string", []string{"SET k 0"}, []string{"DEL k"}, []string{"SET k 2"},
			"string: " + writeWins + ":  over ", "string: " + writeWins + ": 2 over "},
		{"a removal of a set", []string{"SADD k 0"}, []string{"DEL k"}, []string{"SADD k 2"},
			"set: " + writeWins + ":  over ", "set: " + writeWins + ":  over "},
		{"a removal of a member", []string{"SADD k m"}, []string{"SREM k m"}, []string{"SADD k m"},
			"", "set m: " + writeWins + ":  over "},
		{"types", nil, []string{"SET k 1"}, []string{"SADD k m"},
			"type: the type of the last write is shown: set over string", "type: the type of the last write is shown: set over string"},
		{"times to live", []string{"SET k v"}, []string{"PEXPIREAT k 9000000000000"}, []string{"PEXPIREAT k 9000000001000"},
			"ttl: the longest time to live wins: 9000000001000 over 9000000000000", "ttl: the longest time to live wins: 9000000001000 over 9000000000000"},
		{"no conflict", []string{"SADD k 0"}, []string{"SADD k 1"}, []string{"SADD k 2"}, "", ""},

		{"a sum past 64 bits", []string{"SET k 9223372036854775800"}, []string{"INCRBY k 5"}, []string{"INCRBY k 6"},
			"counter: " + saturated + ": 9223372036854775807 over 5", "counter: " + saturated + ": 9223372036854775807 over 5"},
		{"a sum below 64 bits", []string{"HSET k f -9223372036854775800"}, []string{"HINCRBY k f -6"}, []string{"HINCRBY k f -5"},
			"counter f: " + saturated + ": -9223372036854775808 over -6", "counter f: " + saturated + ": -9223372036854775808 over -6"},
		{"a sum past 64 bits over a new base", nil, []string{"INCRBY k 8"}, []string{"SET k 9223372036854775800"},
			"counter: " + saturated + ": 9223372036854775807 over 8", "counter: " + saturated + ": 9223372036854775807 over 8"},
		{"an undefined score", []string{"ZADD k 0 m"}, []string{"ZINCRBY k -inf m"}, []string{"ZINCRBY k inf m"},
			"counter m: " + undefined + ": 0 over -Inf", "counter m: " + undefined + ": 0 over -Inf"},
		{"an undefined score over a new base", nil, []string{"ZINCRBY k -inf m"}, []string{"ZADD k inf m"},
			"counter m: " + undefined + ": 0 over -Inf", "counter m: " + undefined + ": 0 over -Inf"},
		{"no conflict: a sum within 64 bits", []string{"SET k 9223372036854775800"}, []string{"INCRBY k 3"}, []string{"INCRBY k 4"}, "", ""},

		{"a removal of a HyperLogLog", []string{"PFADD k a"}, []string{"DEL k"}, []string{"PFADD k b"},
			"hyperloglog: " + removalWins + ":  over ", "hyperloglog: " + removalWins + ":  over "},
		{"an earlier addition", []string{"PFADD k a"}, []string{"PFADD k b"}, []string{"DEL k"},
			"hyperloglog: " + removalWins + ":  over ", "hyperloglog: " + removalWins + ":  over "},
		{"a HyperLogLog that is overwritten", []string{"PFADD k a"}, []string{"PFADD k b"}, []string{"SET k v"},
			"hyperloglog: " + removalWins + ":  over ", "hyperloglog: " + removalWins + ":  over "},
		{"a flush of a HyperLogLog", []string{"PFADD k a"}, []string{"PFADD k b"}, []string{"FLUSHDB"},
			"hyperloglog: " + removalWins + ":  over ", "hyperloglog: " + removalWins + ":  over "},
		{"no conflict: a HyperLogLog", []string{"PFADD k a"}, []string{"PFADD k b"}, []string{"PFADD k c"}, "", ""},

		{"a group in use", stream, []string{"XREADGROUP GROUP g c COUNT 2 STREAMS k >"}, []string{"XGROUP DESTROY k g"},
			"group g: " + destroyed + ":  over 2 pending", ""},
		{"a group of a stream that is removed", stream, []string{"XREADGROUP GROUP g c COUNT 2 STREAMS k >"}, []string{"DEL k"},
			"group g: " + destroyed + ":  over 2 pending", ""},
		{"a group of a stream that is removed and lives on", stream, []string{"XADD k 3-1 f v", "XREADGROUP GROUP g c COUNT 3 STREAMS k >"}, []string{"DEL k"},
			"stream: " + writeWins + ":  over ; group g: " + destroyed + ":  over 3 pending", "stream: " + writeWins + ":  over "},
		{"an acknowledgement", stream, []string{"XREADGROUP GROUP g c COUNT 2 STREAMS k >", "XACK k g 1-1 2-1"}, []string{"XGROUP DESTROY k g"},
			"", "group g: " + destroyed + ":  over acknowledged up to 2-1"},
		{"a group that is created again", stream, []string{"XGROUP DESTROY k g", "XGROUP CREATE k g 1"}, []string{"XGROUP DESTROY k g"},
			"group g: " + destroyed + ":  over created after 1-0", "group g: " + destroyed + ":  over created after 1-0"},
		{"a group of a stream that is removed, created again", stream, []string{"XGROUP DESTROY k g", "XGROUP CREATE k g 1-1"}, []string{"DEL k"},
			"group g: " + destroyed + ":  over created after 1-1", "group g: " + destroyed + ":  over created after 1-1"},
		{"no conflict: a group at rest", stream, []string{"XADD k 3-1 f v"}, []string{"XGROUP DESTROY k g"}, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			nodes := regions(t, 2)
			for _, command := range test.before {
				nodes[0].run(t, strings.Fields(command)...)
			}
			exchange(t, nodes)
			for i, commands := range [][]string{test.a, test.b} {
				awaitTick(nodes)
				for _, command := range commands {
					nodes[i].run(t, strings.Fields(command)...)
				}
			}
			exchange(t, nodes)
			for i, want := range []string{test.atA, test.atB} {
				if got := reported(t, nodes[i]); got != want {
					t.Errorf("region %d reports %q, want %q", i+1, got, want)
				}
			}
			requireEqual(t, nodes)
		})
	}
}

// A merge of states finds the same conflicts as the log, but for what the groups have delivered.
func TestMergesReportConflicts(t *testing.T) {
	for _, test := range []struct {
		name         string
		before, a, b []string
		want         string // at b, which merges a's state
	}{
		{"strings", nil, []string{"SET k 1"}, []string{"SET k 2"}, "string: " + lastWins + ": 2 over 1"},
		{"a sum past 64 bits", []string{"SET k 9223372036854775800"}, []string{"INCRBY k 5"}, []string{"INCRBY k 6"},
			"counter: " + saturated + ": 9223372036854775807 over 5"},
		{"an undefined score", []string{"ZADD k 0 m"}, []string{"ZINCRBY k -inf m"}, []string{"ZINCRBY k inf m"},
			"counter m: " + undefined + ": 0 over -Inf"},
		{"a removal of a HyperLogLog there", []string{"PFADD k a"}, []string{"DEL k"}, []string{"PFADD k b"}, "hyperloglog: " + removalWins + ":  over "},
		{"a removal of a HyperLogLog here", []string{"PFADD k a"}, []string{"PFADD k b"}, []string{"DEL k"}, "hyperloglog: " + removalWins + ":  over "},
		{"a group that is destroyed there", []string{"XADD k 1-1 f v"}, []string{"XGROUP CREATE k g 0", "XGROUP DESTROY k g"}, []string{"XGROUP CREATE k g 1"},
			"group g: " + destroyed + ":  over created after 1-0"},
		{"a group that is destroyed here", []string{"XADD k 1-1 f v"}, []string{"XGROUP CREATE k g 1"}, []string{"XGROUP CREATE k g 0", "XGROUP DESTROY k g"},
			"group g: " + destroyed + ":  over created after 1-0"},
		{"no conflict", []string{"PFADD k a", "INCR n"}, []string{"DEL k"}, []string{"INCR n"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			nodes := regions(t, 2)
			a, b := nodes[0], nodes[1]
			for _, command := range test.before {
				a.run(t, strings.Fields(command)...)
			}
			exchange(t, nodes)
			for i, commands := range [][]string{test.a, test.b} {
				awaitTick(nodes)
				for _, command := range commands {
					nodes[i].run(t, strings.Fields(command)...)
				}
			}
			b.merge(t, a.id, "changes", a.position(t), a.states(t, 0, []string{"k", "n"}))
			if got := reported(t, b); got != test.want {
				t.Errorf("the merge reports %q, want %q", got, test.want)
			}
			b.merge(t, a.id, "changes", a.position(t), a.states(t, 0, []string{"k", "n"}))
			if got := reported(t, b); got != test.want {
				t.Errorf("the same merge once more reports %q", got)
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
