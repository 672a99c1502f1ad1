package crdtmeta_test

import (
	"fmt"
	"strconv"
	"testing"
)

// Elements that every region knows are most of a large key. In a state they take little more than their bytes, and merging them makes no metadata.
func TestElementsThatEveryRegionKnowsAreMergedWithoutCells(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	const count = 2000
	name := func(i int) string { return "element" + strconv.Itoa(i) }
	for _, c := range []struct {
		key                string
		each               func(i int) []string // adds one from before
		add, remove, again []string
		length, element    string // commands
		limit              int    // bytes of a state for each element
	}{
		{"set", func(i int) []string { return []string{"SADD", "set", name(i)} }, []string{"SADD", "set", "new"}, []string{"SREM", "set", name(1)},
			[]string{"SADD", "set", name(2)}, "SCARD", "SISMEMBER", 14},
		{"hash", func(i int) []string { return []string{"HSET", "hash", name(i), "v"} }, []string{"HSET", "hash", "new", "w"}, []string{"HDEL", "hash", name(1)},
			[]string{"HSET", "hash", name(2), "w"}, "HLEN", "HEXISTS", 17},
		{"zset", func(i int) []string { return []string{"ZADD", "zset", strconv.Itoa(i), name(i)} }, []string{"ZADD", "zset", "7", "new"}, []string{"ZREM", "zset", name(1)},
			[]string{"ZADD", "zset", "8", name(2)}, "ZCARD", "ZSCORE", 20},
	} {
		a.pick(t, 0)
		for i := range count {
			a.do(t, c.each(i)...)
		}
		a.call(t, 0, c.add, c.remove, c.again)
		upto, s := a.position(t), a.states(t, 0, []string{c.key})
		if n := len(s.each[0]); n > c.limit*count {
			t.Errorf("%s: a state of %d bytes", c.key, n)
		}
		b.merge(t, a.id, "whole", upto, s)
		if got := b.get(t, c.length, c.key); got != fmt.Sprintf("(integer) %d", count) {
			t.Errorf("%s: %s", c.key, got)
		}
		b.pick(t, 0)
		// The record, what was added, what was written again, and the newest stamp.
		if fields := b.do(t, "HKEYS", companionOf(c.key)).Strings(); len(fields) > 4 {
			t.Errorf("%s: metadata of %q", c.key, fields)
		}
		// Merged once more, with something else on each side, it is as when all of it had cells.
		a.call(t, 0, append(c.remove[:2:2], name(3)))
		b.call(t, 0, append(c.remove[:2:2], name(4)), c.each(5), c.each(count+1))
		b.merge(t, a.id, "changes", "", a.states(t, 0, []string{c.key}))
		want := map[int]bool{3: false, 4: false, 5: true, 6: true, count + 1: true}
		for i, there := range want {
			if got := b.get(t, c.element, c.key, name(i)); (got != "(integer) 0" && got != "(nil)") != there {
				t.Errorf("%s %s %s is %s", c.element, c.key, name(i), got)
			}
		}
	}
}

// So is a list, where there is none yet.
func TestAListThatEveryRegionKnowsIsMergedWithoutCells(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.pick(t, 0)
	for i := range 500 {
		a.do(t, "RPUSH", "list", strconv.Itoa(i), "x")
	}
	// Every region knows the ends that it has now, too, and its elements are not in one row any more.
	a.call(t, 0, []string{"LREM", "list", "1", "7"}, []string{"LPOP", "list"}, []string{"LTRIM", "list", "0", "-3"})
	upto, s := a.position(t), a.states(t, 0, []string{"list"})
	if n := len(s.each[0]); n > 6*996 {
		t.Errorf("a state of %d bytes", n)
	}
	b.merge(t, a.id, "whole", upto, s)
	c.adopt(t, 0, "list", parseWords(t, "list list a b"))
	c.merge(t, a.id, "whole", upto, s)
	for _, n := range []*node{b, c} {
		if got, want := n.get(t, "LRANGE", "list", "0", "-1"), a.get(t, "LRANGE", "list", "0", "-1"); got != want {
			t.Errorf("region %d: %s, want %s", n.id, got, want)
		}
	}
	// What is said of elements later finds them.
	a.call(t, 0, []string{"LREM", "list", "1", "9"}, []string{"LINSERT", "list", "BEFORE", "20", "new"}, []string{"LSET", "list", "0", "first"})
	b.call(t, 0, []string{"LREM", "list", "1", "11"}, []string{"LINSERT", "list", "AFTER", "20", "other"}, []string{"RPUSH", "list", "last"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := b.get(t, "LPOS", "list", "new"); got == "(nil)" {
		t.Error("an element is missing")
	}
}

// A time to live from before that the other region has not got goes, although nothing else of the key differs.
func TestATimeToLiveGoesFromAKeyThatIsElseTheSame(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.adopt(t, 0, "s", parseWords(t, "s set x y"))
	}
	a.call(t, 0, []string{"SET", "k", "v"})
	exchange(t, nodes) // so that nothing of the state is new
	b.pick(t, 0)
	b.do(t, "PEXPIREAT", "s", "9999999999999")
	b.merge(t, a.id, "whole", a.position(t), a.states(t, 0, []string{"s"}))
	if got := b.get(t, "TTL", "s"); got != "(integer) -1" {
		t.Errorf("TTL is %s", got)
	}
}
