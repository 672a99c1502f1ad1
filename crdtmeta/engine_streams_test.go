package crdtmeta_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// run executes one command at a region, which must succeed, and returns its reply.
func (n *node) run(t *testing.T, words ...string) redistest.Reply {
	t.Helper()
	replies, _ := n.call(t, 0, words)
	if replies[0].IsError() {
		t.Fatalf("region %d: %q: %s", n.id, words, replies[0].Text)
	}
	return replies[0]
}

// ids are those of the entries in a reply of XRANGE.
func ids(r redistest.Reply) string {
	var list []string
	for _, entry := range r.Items {
		list = append(list, entry.Items[0].Text)
	}
	return strings.Join(list, " ")
}

// delivered are the ids in a reply of XREADGROUP for one stream.
func delivered(r redistest.Reply) string {
	if r.Null {
		return ""
	}
	return ids(r.Items[0].Items[1])
}

func (n *node) stream(t *testing.T) string {
	t.Helper()
	n.pick(t, 0)
	return ids(n.do(t, "XRANGE", "x", "-", "+"))
}

// info is XINFO STREAM as a map.
func (n *node) info(t *testing.T, key string) map[string]string {
	t.Helper()
	n.pick(t, 0)
	return flat(n.do(t, "XINFO", "STREAM", key))
}

func flat(r redistest.Reply) map[string]string {
	fields := map[string]string{}
	for i := 0; i+1 < len(r.Items); i += 2 {
		fields[r.Items[i].Text] = r.Items[i+1].Text
	}
	return fields
}

// group is one of XINFO GROUPS as a map.
func (n *node) group(t *testing.T, key, name string) map[string]string {
	t.Helper()
	n.pick(t, 0)
	for _, g := range n.do(t, "XINFO", "GROUPS", key).Items {
		if fields := flat(g); fields["name"] == name {
			return fields
		}
	}
	t.Fatalf("region %d: %s has no group %s", n.id, key, name)
	return nil
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// waysBack are the two ways in which entries get below the last one: that of Redis 7.0, and that of servers whose XSETID does
// not go below what XDEL has removed.
func waysBack(t *testing.T, test func(t *testing.T, library string)) {
	const way = "      back = not try('XSETID', SCRATCH, '1-1').err\n"
	if strings.Count(library, way) != 1 {
		t.Fatalf("the library has no single line %q", way)
	}
	t.Run("XSETID goes back", func(t *testing.T) { test(t, library) })
	t.Run("XSETID does not go back", func(t *testing.T) {
		test(t, strings.Replace(library, way, "      back = false\n", 1))
	})
}

func streamRegions(t *testing.T, count int, library string) []*node {
	t.Helper()
	nodes := regions(t, count)
	for _, n := range nodes {
		n.do(t, "FUNCTION", "LOAD", "REPLACE", library)
		n.arm(t, runID(n), "repl")
	}
	return nodes
}

func TestLateEntriesFindTheirPlace(t *testing.T) {
	waysBack(t, func(t *testing.T, library string) {
		nodes := streamRegions(t, 2, library)
		a, b := nodes[0], nodes[1]
		for _, ms := range []string{"10", "20", "30"} {
			a.run(t, "XADD", "x", ms, "f", "a"+ms)
		}
		a.run(t, "XGROUP", "CREATE", "x", "g", "0")
		a.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "x", ">")
		for _, ms := range []string{"5", "15", "20", "25", "40"} {
			b.run(t, "XADD", "x", ms, "f", "b"+ms)
		}
		before := a.info(t, "x")
		exchange(t, nodes)
		for _, n := range nodes {
			want(t, "entries", n.stream(t), "5-2 10-1 15-2 20-1 20-2 25-2 30-1 40-2")
		}
		after := a.info(t, "x")
		want(t, "entries ever added", after["entries-added"], "8")
		want(t, "last id", after["last-generated-id"], "40-2")
		want(t, "highest deleted id", before["max-deleted-entry-id"]+" "+after["max-deleted-entry-id"], "0-0 0-1")
		pending := a.do(t, "XPENDING", "x", "g", "-", "+", "10")
		if len(pending.Items) != 2 || pending.Items[0].Items[0].Text != "10-1" || pending.Items[1].Items[0].Text != "20-1" ||
			pending.Items[0].Items[3].Int() != 1 {
			t.Errorf("pending: %v", pending)
		}
		requireEqual(t, nodes)
	})
}

// A client that has deleted a higher id makes XSETID useless on some servers: the stream is built anew with all that belongs
// to it.
func TestLateEntriesBelowADeletedOne(t *testing.T) {
	waysBack(t, func(t *testing.T, library string) {
		nodes := streamRegions(t, 2, library)
		a, b := nodes[0], nodes[1]
		for _, ms := range []string{"10", "20", "30"} {
			a.run(t, "XADD", "x", ms, "f", "v")
		}
		a.run(t, "PEXPIREAT", "x", "9000000000000")
		a.run(t, "XGROUP", "CREATE", "x", "g", "0")
		a.run(t, "XGROUP", "CREATE", "x", "h", "10-1")
		a.run(t, "XGROUP", "CREATECONSUMER", "x", "h", "idle")
		a.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "x", ">")
		a.run(t, "XCLAIM", "x", "g", "d", "0", "20-1", "RETRYCOUNT", "7", "TIME", "1000")
		a.run(t, "XDEL", "x", "30-1")
		b.run(t, "XADD", "x", "15", "f", "v")
		exchange(t, nodes)
		for _, n := range nodes {
			want(t, "entries", n.stream(t), "10-1 15-2 20-1")
		}
		info := a.info(t, "x")
		want(t, "last id", info["last-generated-id"], "30-1")
		want(t, "highest deleted id", info["max-deleted-entry-id"], "30-1")
		want(t, "groups", info["groups"], "2")
		if n := a.do(t, "XINFO", "CONSUMERS", "x", "h"); len(n.Items) != 1 {
			t.Errorf("consumers of h: %v", n)
		}
		pending := a.do(t, "XPENDING", "x", "g", "-", "+", "10").Items
		if len(pending) != 2 || pending[0].Items[1].Text != "c" || pending[1].Items[1].Text != "d" || pending[1].Items[3].Int() != 7 {
			t.Errorf("pending: %v", pending)
		}
		want(t, "TTL", a.do(t, "PEXPIRETIME", "x").Text, "9000000000000")
		want(t, "what g reads then", delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")), "15-2")
		requireEqual(t, nodes)
	})
}

// However many entries of a batch are late, what is above them is taken out once.
func TestLateEntriesOfABatchGoInAtOnce(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for i := range 50 {
		b.run(t, "XADD", "x", strconv.Itoa(10+2*i), "f", "v")
		a.run(t, "XADD", "x", strconv.Itoa(11+2*i), "f", "v")
		a.run(t, "INCR", "another key")
	}
	b.do(t, "CONFIG", "RESETSTAT")
	exchange(t, nodes)
	stats := b.do(t, "INFO", "commandstats").Text
	if !strings.Contains(stats, "cmdstat_xdel:calls=1,") && !strings.Contains(stats, "cmdstat_xdel:calls=2,") { // one is the trial
		t.Errorf("entries were taken out more than once: %s", stats)
	}
	if got := len(strings.Fields(b.stream(t))); got != 100 {
		t.Errorf("%d entries", got)
	}
	requireEqual(t, nodes)
}

// A plain append must not look at what is there.
func TestAppendsStayCheap(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")
	for range 50 {
		a.run(t, "XADD", "x", "*", "f", "v")
	}
	b.do(t, "CONFIG", "RESETSTAT")
	exchange(t, nodes)
	stats := b.do(t, "INFO", "commandstats").Text
	for _, name := range []string{"xrange", "xrevrange", "xinfo|stream", "xdel", "xlen"} {
		if strings.Contains(stats, "cmdstat_"+name+":") && name != "xrange" { // the test reads the log by XRANGE
			t.Errorf("an append used %s", name)
		}
	}
	requireEqual(t, nodes)
}

func TestLateEntriesAreDeliveredFirst(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XADD", "x", "10", "f", "v")
	a.run(t, "XADD", "x", "50", "f", "v")
	a.run(t, "XGROUP", "CREATE", "x", "g", "0")
	a.run(t, "XGROUP", "CREATE", "x", "quick", "0")
	a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")
	for _, ms := range []string{"20", "30", "35", "40", "45"} {
		b.run(t, "XADD", "x", ms, "f", "v")
	}
	exchange(t, nodes)
	a.run(t, "XADD", "x", "60", "f", "v")
	a.run(t, "XADD", "other", "5", "f", "v")
	a.run(t, "XGROUP", "CREATE", "other", "g", "0")
	b.run(t, "XDEL", "x", "30-2")
	exchange(t, nodes)
	a.run(t, "XCLAIM", "x", "g", "thief", "0", "35-2", "FORCE")

	want(t, "a group that has read nothing", delivered(a.run(t, "XREADGROUP", "GROUP", "quick", "c", "STREAMS", "x", ">")),
		"10-1 20-2 35-2 40-2 45-2 50-1 60-1")
	want(t, "an error delivers nothing", a.mustFail(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", "none", ">", ">"),
		"NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option")
	want(t, "the first", delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "x", ">")), "20-2")
	want(t, "times it was delivered", a.do(t, "XPENDING", "x", "g", "20-2", "20-2", "1").Items[0].Items[3].Text, "1")
	want(t, "without acknowledgement", delivered(a.run(t, "XREADGROUP", "COUNT", "1", "NOACK", "GROUP", "g", "c", "STREAMS", "x", ">")), "40-2")
	if pending := a.do(t, "XPENDING", "x", "g", "40-2", "40-2", "1"); len(pending.Items) != 0 {
		t.Errorf("pending without acknowledgement: %v", pending)
	}
	reply := a.run(t, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "5", "COUNT", "2", "STREAMS", "x", "other", ">", ">")
	if len(reply.Items) != 2 || ids(reply.Items[0].Items[1]) != "45-2 60-1" || ids(reply.Items[1].Items[1]) != "5-1" {
		t.Errorf("late and new ones of two streams: %v", reply)
	}
	if reply := a.run(t, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "x", ">"); !reply.Null {
		t.Errorf("more: %v", reply)
	}
	want(t, "lag", a.group(t, "x", "g")["lag"], "0")
	want(t, "a wait that is no number", a.mustFail(t, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "x", "STREAMS", "x", ">"),
		"ERR timeout is not an integer or out of range")
	want(t, "a wait below zero", a.mustFail(t, "XREADGROUP", "GROUP", "g", "c", "BLOCK", "-1", "STREAMS", "x", ">"),
		"ERR timeout is negative")
}

// After a long partition many entries are late: they are handed out bit by bit, and the cell that is read for it stays short.
func TestManyLateEntriesAreDelivered(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	const count = 2000
	var commands [][]string
	for i := range count {
		commands = append(commands, []string{"XADD", "x", strconv.Itoa(10 + i), "f", "v"})
	}
	b.call(t, 0, commands...)
	a.run(t, "XADD", "x", "9000000", "f", "v")
	a.run(t, "XGROUP", "CREATE", "x", "g", "$")
	a.run(t, "XGROUP", "CREATE", "x", "acknowledged", "$")
	a.run(t, "XGROUP", "CREATE", "x", "destroyed", "$")
	exchange(t, nodes)
	if size := len(a.do(t, "HGET", companionOf("x"), "xgg").Text); size > 10000 {
		t.Errorf("the cell of the group has %d bytes", size)
	}
	seen := 0
	for _, step := range []int{1, 300, 3, 700} {
		ids := strings.Fields(delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", strconv.Itoa(step), "STREAMS", "x", ">")))
		for _, id := range ids {
			want(t, "the next late entry", id, strconv.Itoa(10+seen)+"-2")
			seen++
		}
	}
	want(t, "late entries", strconv.Itoa(seen), "1004")
	c.run(t, "XREADGROUP", "GROUP", "acknowledged", "c", "COUNT", "1500", "STREAMS", "x", ">")
	pending := c.do(t, "XPENDING", "x", "acknowledged", "-", "+", "1500")
	words := []string{"XACK", "x", "acknowledged"}
	for _, p := range pending.Items {
		words = append(words, p.Items[0].Text)
	}
	c.run(t, words...)
	c.run(t, "XGROUP", "DESTROY", "x", "destroyed")
	exchange(t, nodes)
	want(t, "what is left of an acknowledged group", strconv.Itoa(len(strings.Fields(delivered(a.run(t,
		"XREADGROUP", "GROUP", "acknowledged", "c", "STREAMS", "x", ">"))))), "500")
	want(t, "the rest", strconv.Itoa(len(strings.Fields(delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">"))))), "996")
	for _, field := range a.do(t, "HKEYS", companionOf("x")).Strings() {
		if strings.HasPrefix(field, "xl") {
			t.Errorf("field %q is left", field)
		}
	}
	requireEqual(t, nodes)
}

func companionOf(key string) string {
	return string(crdtmeta.AppendCompanion(nil, crdtmeta.DefaultPrefix, []byte(key)))
}

// mustFail returns the error of a command.
func (n *node) mustFail(t *testing.T, words ...string) string {
	t.Helper()
	replies, _ := n.call(t, 0, words)
	if !replies[0].IsError() {
		t.Fatalf("region %d: %q answers %v", n.id, words, replies[0])
	}
	return replies[0].Text
}

// SETID says anew what is delivered, so nothing is late after it.
func TestSetIDForgetsLateEntries(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XADD", "x", "50", "f", "v")
	a.run(t, "XGROUP", "CREATE", "x", "g", "$")
	b.run(t, "XADD", "x", "20", "f", "v")
	b.run(t, "XADD", "x", "30", "f", "v")
	exchange(t, nodes)
	a.run(t, "XGROUP", "SETID", "x", "g", "20-2")
	want(t, "what is behind the new place", delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")), "30-2 50-1")
}

// A group that comes from a region to another delivers there what the first region had not seen when it made the group.
func TestCreatedGroupSkipsNothingUnseen(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XADD", "x", "10", "f", "v")
	a.run(t, "XADD", "x", "50", "f", "v")
	b.run(t, "XADD", "x", "20", "f", "v")
	a.run(t, "XGROUP", "CREATE", "x", "g", "$")
	exchange(t, nodes)
	for _, n := range nodes {
		want(t, "what the group delivers", delivered(n.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")), "20-2")
	}
}

func TestAcknowledgementsTravel(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for _, ms := range []string{"10", "20", "30"} {
		a.run(t, "XADD", "x", ms, "f", "v")
	}
	a.run(t, "XGROUP", "CREATE", "x", "g", "0")
	exchange(t, nodes)
	b.run(t, "XADD", "x", "40", "f", "v")
	a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")
	b.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "x", ">")
	a.run(t, "XACK", "x", "g", "30-1")
	if _, entry := a.call(t, 0, []string{"XACK", "x", "g", "20-1"}); entry != nil {
		t.Errorf("an acknowledgement with something pending before it travels: %s", entry.effects())
	}
	exchange(t, nodes)
	want(t, "pending in the other region", b.group(t, "x", "g")["pending"], "2")
	a.run(t, "XACK", "x", "g", "10-1")
	exchange(t, nodes)
	state := b.group(t, "x", "g")
	want(t, "pending in the other region", state["pending"], "0")
	want(t, "last delivered in the other region", state["last-delivered-id"], "30-1")
	want(t, "what it delivers then", delivered(b.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")), "40-2")
}

// What the acknowledging region had not seen is still to be delivered, also below what it acknowledged.
func TestAcknowledgementKeepsWhatItHasNotSeen(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XADD", "x", "10", "f", "v")
	a.run(t, "XGROUP", "CREATE", "x", "g", "0")
	exchange(t, nodes)
	for _, ms := range []string{"20", "30", "40"} {
		b.run(t, "XADD", "x", ms, "f", "v")
	}
	want(t, "delivered before", delivered(b.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", "x", ">")), "10-1 20-2")
	a.run(t, "XADD", "x", "50", "f", "v")
	a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")
	a.run(t, "XACK", "x", "g", "10-1", "50-1")
	exchange(t, nodes)
	state := b.group(t, "x", "g")
	want(t, "last delivered", state["last-delivered-id"], "50-1")
	want(t, "pending", b.do(t, "XPENDING", "x", "g").Items[1].Text, "20-2")
	want(t, "delivered then", delivered(b.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")), "30-2 40-2")
	// The acknowledging region has them late, and acknowledges no further before they are delivered there too.
	a.run(t, "XADD", "x", "60", "f", "v")
	want(t, "late ones first", delivered(a.run(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "3", "STREAMS", "x", ">")), "20-2 30-2 40-2")
	a.run(t, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "x", ">")
	if _, entry := a.call(t, 0, []string{"XACK", "x", "g", "60-1"}); entry != nil {
		t.Errorf("acknowledged although late entries are pending: %s", entry.effects())
	}
}

func TestGeneratedIDs(t *testing.T) {
	nodes := startNodes(t, 1)
	n := nodes[0]
	n.id = 63
	n.reset(t)
	for range 3 {
		replies, _ := n.call(t, 0, []string{"XADD", "x", "*", "f", "v"}, []string{"XADD", "x", "*", "f", "v"}, []string{"XADD", "y", "*", "f", "v"})
		for _, r := range replies {
			if _, seq, _ := strings.Cut(r.Text, "-"); mod64(t, seq) != 63 {
				t.Errorf("id %q is not one of region 63", r.Text)
			}
		}
	}
	for _, test := range []struct{ last, word, id string }{
		{"9999999999999-7", "*", "9999999999999-63"},
		{"9999999999999-63", "*", "9999999999999-32831"},
		{"9999999999999-9007199254740993", "*", "9999999999999-9007199254741055"},
		{"9999999999999-999999999999999", "*", "9999999999999-1000000000000063"},
		{"9999999999999-18446744073709551614", "*", "10000000000000-63"},
		{"9999999999999-18446744073709551615", "*", "10000000000000-63"},
		{"18446744073709551614-18446744073709551615", "*", "18446744073709551615-63"},
		{"18446744073709551615-18446744073709551600", "*", "18446744073709551615-18446744073709551601"},
		{"5-7", "5-*", "5-63"},
		{"5-7", "5", "5-63"},
		{"5-63", "5", "5-32831"},
		{"5-7", "0007", "7-63"},
		{"5-7", "18446744073709551615-*", "18446744073709551615-63"},
		{"5-7", "5-8", "5-8"},
	} {
		n.run(t, "DEL", "x")
		n.run(t, "XADD", "x", test.last, "f", "v")
		want(t, test.word+" after "+test.last, n.run(t, "XADD", "x", test.word, "f", "v").Text, test.id)
	}
	n.run(t, "XADD", "full", "18446744073709551615-18446744073709551615", "f", "v")
	want(t, "no id is left", n.mustFail(t, "XADD", "full", "*", "f", "v"),
		"ERR The stream has exhausted the last possible ID, unable to add more items")
	n.run(t, "DEL", "x")
	n.run(t, "XADD", "x", "5-18446744073709551615", "f", "v")
	for _, word := range []string{"5", "5-*", "4", "4-*"} {
		want(t, word, n.mustFail(t, "XADD", "x", word, "f", "v"),
			"ERR The ID specified in XADD is equal or smaller than the target stream top item")
	}
}

func mod64(t *testing.T, digits string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n % 64
}

func TestXAddIDModes(t *testing.T) {
	n := startNodes(t, 1)[0]
	n.id = 5
	n.reset(t)
	const refused = "ERR XADD takes no complete ID in strict mode, it may be used in another region: use * or milliseconds"
	for _, test := range []struct{ mode, word, id string }{
		{"strict", "100", "100-5"}, {"strict", "100-*", "100-5"}, {"strict", "100-1", refused},
		{"semi-strict", "100", "100-5"}, {"semi-strict", "100-*", "100-5"}, {"semi-strict", "100-1", "100-1"},
		{"liberal", "100", "100-0"}, {"liberal", "100-*", "100-0"}, {"liberal", "100-1", "100-1"},
		{"strict", "x", "ERR Invalid stream ID specified as stream command argument"},
	} {
		n.pick(t, 0)
		n.do(t, "FCALL", crdtmeta.FuncArm, "0", "5", "region5", "0", "000005", runID(n), "repl", test.mode)
		n.run(t, "DEL", "x")
		replies, _ := n.call(t, 0, []string{"XADD", "x", test.word, "f", "v"})
		want(t, test.mode+" "+test.word, replies[0].Text, test.id)
		if exists := n.do(t, "EXISTS", "x").Int() == 1; exists == replies[0].IsError() {
			t.Errorf("%s %s: the key exists: %v", test.mode, test.word, exists)
		}
	}
}

// Rough trimming must not read the stream each time, and removes what Redis would.
func TestRoughTrimmingLooksSeldom(t *testing.T) {
	nodes := regions(t, 2)
	a := nodes[0]
	a.do(t, "CONFIG", "RESETSTAT")
	for range 1200 {
		a.run(t, "XADD", "x", "MAXLEN", "~", "500", "*", "f", "v")
	}
	length := a.do(t, "XLEN", "x").Int()
	if length < 500 || length > 600 {
		t.Errorf("%d entries", length)
	}
	_, after, _ := strings.Cut(a.do(t, "INFO", "commandstats").Text, "cmdstat_xlen:calls=")
	calls, _, _ := strings.Cut(after, ",")
	if reads, err := strconv.Atoi(calls); err != nil || reads > 300 {
		t.Errorf("%s reads of the length", calls)
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
}

// Two regions can give one id twice where the mode lets them. Redis cannot hold both.
func TestOneIDOfTwoRegions(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	c.run(t, "XADD", "x", "9-9", "f", "last")
	a.run(t, "XADD", "x", "5-5", "f", "first")
	awaitTick(nodes)
	b.run(t, "XADD", "x", "5-5", "f", "second")
	exchange(t, nodes)
	for _, n := range nodes {
		want(t, "the entry", n.get(t, "XRANGE", "x", "5-5", "5-5"), `[["5-5" ["f" "second"]]]`)
		want(t, "all", n.stream(t), "5-5 9-9")
	}
	if reports := a.get(t, "XLEN", "crdt:conflicts"); reports != "(integer) 1" {
		t.Errorf("%s conflicts reported", reports)
	}
	a.run(t, "XDEL", "x", "5-5")
	exchange(t, nodes)
	for _, n := range nodes {
		want(t, "after its removal", n.stream(t), "9-9")
	}
	requireEqual(t, nodes)
}

// The last id grows in all regions and never falls back.
func TestLastIDs(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.run(t, "XADD", "x", "10", "f", "v")
	a.run(t, "XDEL", "x", "10-1")
	a.run(t, "XSETID", "x", "50-0")
	exchange(t, nodes)
	want(t, "last id of the other region", b.info(t, "x")["last-generated-id"], "50-0")
	want(t, "going back", b.mustFail(t, "XSETID", "x", "20-0"), "ERR The ID specified in XSETID is smaller than the target stream top item")
	want(t, "last id after that", b.info(t, "x")["last-generated-id"], "50-0")
	a.run(t, "RENAME", "x", "{x}y")
	exchange(t, nodes)
	for _, n := range nodes {
		want(t, "last id of the copy", n.info(t, "{x}y")["last-generated-id"], "50-0")
	}
}

// A stream with many entries and groups goes whole through everything that rewrites it.
func TestManyEntries(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	const count = 3500
	for first := 1; first <= count; first += 500 {
		var commands [][]string
		for i := first; i < first+500; i++ {
			commands = append(commands, []string{"XADD", "x", fmt.Sprintf("%d-1", 2*i), "f", strconv.Itoa(i)})
		}
		a.call(t, 0, commands...)
	}
	a.run(t, "COPY", "x", "y")
	b.run(t, "XADD", "x", "5", "f", "late")
	b.run(t, "SADD", "y", "clash")
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := len(strings.Fields(b.stream(t))); got != count+1 {
		t.Errorf("%d entries", got)
	}
	a.run(t, "DEL", "x")
	a.run(t, "XADD", "x", "5", "f", "again")
	exchange(t, nodes)
	requireEqual(t, nodes)
}

// A server that lost entries, which other regions may still have, gives none of their ids to others: sequences differ by epoch.
func TestSequencesOfEpochsDiffer(t *testing.T) {
	n := startNodes(t, 1)[0]
	n.reset(t)
	met := map[uint64]bool{}
	for _, server := range []string{"one", "two", "three"} {
		n.arm(t, server, server)
		for range 2 {
			replies, _ := n.call(t, 0, []string{"XADD", "x", "*", "f", "v"})
			_, seq, _ := strings.Cut(replies[0].Text, "-")
			if mod64(t, seq) != uint64(n.id) {
				t.Errorf("id %s is not one of region %d", replies[0].Text, n.id)
			}
			number, _ := strconv.ParseUint(seq, 10, 64)
			met[number%32768] = true
		}
	}
	if len(met) != 3 {
		t.Errorf("sequences of three epochs are %v", met)
	}
}
