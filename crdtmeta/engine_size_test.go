package crdtmeta_test

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// samePeers delivers everything from the first region to the second and compares what they show.
func samePeers(t *testing.T, a, b *node) {
	t.Helper()
	a.fetch(t)
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Fatalf("delivery answers %+v", answer)
	}
	here, ours := a.visible(t)
	there, theirs := b.visible(t)
	if !reflect.DeepEqual(here, there) {
		for db := range here {
			for key := range here[db] {
				if !reflect.DeepEqual(here[db][key], there[db][key]) {
					t.Errorf("db %d key %.40q differs: %d and %d elements", db, key, len(here[db][key].Elements), len(there[db][key].Elements))
				}
			}
		}
		t.Fatalf("%d and %d databases", len(here), len(there))
	}
	a.checkCount(t, ours)
	b.checkCount(t, theirs)
}

// Lua's unpack stops near 8000 values, and a client's command may have many more.
const many = 100_000

// list is a command with many arguments made from numbers.
func list(head []string, count int, each func(i int) []string) []string {
	words := head
	for i := range count {
		words = append(words, each(i)...)
	}
	return words
}

func TestCommandsWithManyArguments(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	name := func(i int) string { return "element" + strconv.Itoa(i) }
	single := func(i int) []string { return []string{name(i)} }
	pair := func(i int) []string { return []string{name(i), strconv.Itoa(i)} }
	scored := func(i int) []string { return []string{strconv.Itoa(i), name(i)} }
	for _, step := range []struct {
		words []string
		want  string
	}{
		{list([]string{"SADD", "set"}, many, single), "(integer) 100000"},
		{list([]string{"HSET", "hash"}, many, pair), "(integer) 100000"},
		{list([]string{"ZADD", "zset"}, many, scored), "(integer) 100000"},
		{list([]string{"SREM", "set"}, many/2, single), "(integer) 50000"},
		{list([]string{"HDEL", "hash"}, many/2, single), "(integer) 50000"},
		{list([]string{"ZREM", "zset"}, many/2, single), "(integer) 50000"},
		{[]string{"SUNIONSTORE", "copy", "set"}, "(integer) 50000"},
		{[]string{"ZRANGESTORE", "range", "zset", "0", "-1"}, "(integer) 50000"},
		{[]string{"ZUNIONSTORE", "union", "2", "zset", "set"}, "(integer) 50000"},
		{[]string{"COPY", "hash", "hash2"}, "(integer) 1"},
		{[]string{"RENAME", "set", "set2"}, "OK"},
		{[]string{"ZREMRANGEBYRANK", "zset", "0", "29999"}, "(integer) 30000"},
		{list([]string{"RPUSH", "list"}, many, single), "(integer) 100000"},
		{list([]string{"LPUSHX", "list"}, many, single), "(integer) 200000"},
		{[]string{"LTRIM", "list", "20000", "-20001"}, "OK"},
		{[]string{"RPOP", "list", "50000"}, ""},
		{[]string{"LREM", "list", "-1", "element79999"}, "(integer) 1"},
		{[]string{"COPY", "list", "list2"}, "(integer) 1"},
		{[]string{"RENAME", "list2", "list3"}, "OK"},
		{[]string{"LMPOP", "2", "nosuch", "list3", "LEFT", "COUNT", "30000"}, ""},
		{[]string{"SORT", "list", "ALPHA", "STORE", "sorted"}, "(integer) 109999"},
		{list([]string{"MSET"}, many/4, pair), "OK"},
		{list([]string{"UNLINK"}, many/8, single), "(integer) 12500"},
		{[]string{"ZPOPMIN", "range", "20000"}, ""},
		{[]string{"DEL", "union", "copy"}, "(integer) 2"},
	} {
		replies, _ := a.call(t, 0, step.words)
		if got := replies[0].String(); step.want != "" && got != step.want {
			t.Fatalf("%s with %d arguments replies %.200s, want %s", step.words[0], len(step.words)-1, got, step.want)
		}
	}
	samePeers(t, a, b)
	if got := b.get(t, "ZCARD", "range"); got != "(integer) 30000" {
		t.Fatalf("after ZPOPMIN the peer has %s members", got)
	}
}

// Removing a huge collection whose members other regions have written too must look at members, in every region.
func TestHugeCollectionWithConcurrentMembers(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	member := func(i int) []string { return []string{"m" + strconv.Itoa(i)} }
	a.call(t, 0, list([]string{"SADD", "s"}, 20_000, member))
	b.call(t, 0, list([]string{"SADD", "s"}, 15_000, func(i int) []string { return member(2 * i) }))
	a.call(t, 0, []string{"DEL", "s"})
	b.apply(t, a.origin, 0, a.log...)
	b.fetch(t)
	a.apply(t, b.origin, 0, b.log...)
	for _, n := range nodes {
		if got := n.get(t, "SCARD", "s"); got != "(integer) 15000" {
			t.Errorf("region %d has %s members, want the 15000 that the delete has not seen", n.id, got)
		}
	}
}

func TestBinaryAndLargeValues(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	var all strings.Builder
	for i := range 256 {
		all.WriteByte(byte(i))
	}
	large := strings.Repeat(all.String(), 8<<20/256)
	for _, command := range [][]string{
		{"SET", all.String(), all.String()},
		{"SET", "", ""},
		{"SET", "large", large},
		{"APPEND", "large", "\x00\xff"},
		{"HSET", "hash", all.String(), large, "", "", "\x00", "\x00"},
		{"SADD", "set", all.String(), "", "\x00", "\xff\xfe", "\r\n"},
		{"ZADD", "zset", "1", all.String(), "2", "", "-1.5", "\x00"},
		{"HSET", "\x00hash", "f", "v"},
		{"SETRANGE", "sparse", "1000000", "x"},
	} {
		if replies, _ := a.call(t, 0, command); replies[0].IsError() {
			t.Fatalf("%s: %v", command[0], replies[0])
		}
	}
	samePeers(t, a, b)
	// A concurrent write that loses is kept in a companion, bytes and all.
	b.call(t, 0, []string{"SET", "clash", all.String()})
	awaitTick(nodes)
	a.call(t, 0, []string{"SET", "clash", "later"})
	b.apply(t, a.origin, a.log[len(a.log)-2].t, a.log...)
	b.fetch(t)
	if got := b.get(t, "GET", "clash"); got != `"later"` {
		t.Fatalf("the winner is %s", got)
	}
	// A has seen the winner alone, so its delete brings the loser back.
	a.call(t, 0, []string{"DEL", "clash"})
	a.apply(t, b.origin, 0, b.log...)
	b.apply(t, a.origin, a.log[len(a.log)-2].t, a.log...)
	a.pick(t, 0)
	b.pick(t, 0)
	for _, n := range nodes {
		if got := n.do(t, "GET", "clash").Text; got != all.String() {
			t.Errorf("region %d shows %q after the delete of the winner", n.id, got)
		}
	}
}

// Sixty-four bits do not fit into a Lua number: such replies come as digits.
func TestLargeIntegerReplies(t *testing.T) {
	n := regions(t, 1)[0]
	for _, step := range []struct{ command, want string }{
		{"SET c 9223372036854775806", "OK"},
		{"INCR c", "9223372036854775807"},
		{"INCR c", "(error) ERR increment or decrement would overflow"},
		{"SET c -9223372036854775807", "OK"},
		{"DECR c", "-9223372036854775808"},
		{"DECR c", "(error) ERR increment or decrement would overflow"},
		{"SET c 9007199254740991", "OK"},
		{"INCR c", "9007199254740992"},
		{"INCR c", "9007199254740993"},
		{"HINCRBY h f 9007199254740993", "9007199254740993"},
		{"HINCRBY h f -9007199254740994", "-1"},
		{"INCRBY d -9007199254740993", "-9007199254740993"},
	} {
		replies, _ := n.call(t, 0, strings.Fields(step.command))
		got := strings.Trim(replies[0].String(), `"`)
		if got = strings.TrimPrefix(got, "(integer) "); got != step.want {
			t.Errorf("%s replies %s, want %s", step.command, got, step.want)
		}
	}
	if got := fmt.Sprint(n.get(t, "GET", "c"), n.get(t, "HGET", "h", "f")); got != `"9007199254740993""-1"` {
		t.Errorf("Redis holds %s", got)
	}
}

// Emptying a database of many keys, some of which have counters that must be remembered, with writes elsewhere at the
// same time.
func TestFlushOfManyKeys(t *testing.T) {
	const keys = 6000
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	name := func(i int) string { return "key" + strconv.Itoa(i) }
	for db := range 2 {
		for i := 0; i < keys; i += 200 {
			var commands [][]string
			for j := i; j < i+200; j++ {
				commands = append(commands, [][]string{{"SET", name(j), "v"}, {"INCR", name(j)}, {"SADD", name(j), "m"}, {"HINCRBY", name(j), "f", "1"}}[j%4])
			}
			a.call(t, db, commands...)
		}
	}
	exchange(t, nodes)
	a.call(t, 0, []string{"FLUSHDB"})
	for i := range 8 {
		b.call(t, 0, []string{"SET", name(i * 400), "kept"}, []string{"INCR", name(i*400 + 1)}, []string{"HINCRBY", name(i*400 + 3), "f", "1"})
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
	if size := len(a.items(t)); size != 24+keys {
		t.Fatalf("%d keys are left, want the 24 of region 2 and the other database", size)
	}
	if c, h := a.get(t, "GET", name(401)), a.get(t, "HGET", name(403), "f"); c != `"1"` || h != `"1"` {
		t.Errorf("counters go on at %s and %s, want 1: the flush has seen the rest", c, h)
	}
	b.call(t, 1, []string{"FLUSHALL"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	if left := a.items(t); len(left) != 0 {
		t.Fatalf("%d keys are left", len(left))
	}
}
