package crdtmeta_test

import (
	"fmt"
	"strings"
	"testing"
)

// Two writes of the same time: the log, whichever comes first, a merge of states, and a repair show the same one.
func TestATieIsBrokenTheSameByLogMergeAndRepair(t *testing.T) {
	nodes := startNodes(t, 5)
	nodes[0].id, nodes[1].id = 9, 10 // the order of numbers is not the order of their texts
	for _, n := range nodes {
		n.reset(t)
	}
	a, b := nodes[0], nodes[1]
	var keys []string
	for round := 0; len(keys) < 40; round++ {
		if round > 20_000 {
			t.Fatalf("in %d rounds only %d writes had the same time", round, len(keys)/4)
		}
		names := []string{fmt.Sprint("string", round), fmt.Sprint("hash", round), fmt.Sprint("zset", round), fmt.Sprint("clash", round)}
		commands := func(value string) (list [][]string) {
			for _, command := range []string{"SET string# v", "HSET hash# f v", "ZADD zset# v m", "SET clash# v"} {
				list = append(list, strings.Fields(strings.NewReplacer("#", fmt.Sprint(round), " v", " "+value).Replace(command)))
			}
			return list
		}
		ofB := commands("2")
		ofB[3] = []string{"SADD", names[3], "m"}
		_, one := a.call(t, 0, commands("1")...)
		_, two := b.call(t, 0, ofB...)
		if one.t == two.t {
			keys = append(keys, names...)
		}
	}
	c, d, e := nodes[2], nodes[3], nodes[4]
	for _, way := range []struct {
		to     *node
		first  *node
		second *node
	}{{c, a, b}, {d, b, a}} {
		way.to.take(t, way.first)
		way.to.take(t, way.second)
	}
	for _, from := range []*node{a, b} {
		e.merge(t, from.id, "changes", from.position(t), from.states(t, 0, from.userKeys(t)))
	}
	shown := map[string]string{}
	for _, n := range nodes[2:] {
		for _, key := range keys {
			got := n.show(t, key)
			if shown[key] == "" {
				shown[key] = got
			}
			if got != shown[key] {
				t.Errorf("%s is %s in region %d, and %s in region %d", key, got, n.id, shown[key], c.id)
			}
			if !strings.Contains(got, "2") && !strings.Contains(got, "set") {
				t.Errorf("%s is %s: the region with the higher id does not win", key, got)
			}
		}
	}
	c.call(t, 0, append([]string{"XCRDT.REPAIR"}, keys...))
	for _, n := range []*node{d, e} {
		if story := n.take(t, c); story != "ok" {
			t.Errorf("region %d takes the repair so: %s", n.id, story)
		}
	}
	for _, n := range nodes[2:] {
		for _, key := range keys {
			if got := n.show(t, key); got != shown[key] {
				t.Errorf("%s is %s in region %d after a repair, it was %s", key, got, n.id, shown[key])
			}
		}
	}
}

// userKeys are those of database 0 that clients see.
func (n *node) userKeys(t *testing.T) (keys []string) {
	t.Helper()
	n.pick(t, 0)
	for _, name := range n.do(t, "KEYS", "*").Strings() {
		if !strings.HasPrefix(name, "crdt:") {
			keys = append(keys, name)
		}
	}
	return keys
}

// show prints what a key holds.
func (n *node) show(t *testing.T, key string) string {
	t.Helper()
	n.pick(t, 0)
	switch kind := n.do(t, "TYPE", key).Text; kind {
	case "string":
		return n.do(t, "GET", key).String()
	case "hash":
		return n.do(t, "HGETALL", key).String()
	case "zset":
		return n.do(t, "ZRANGE", key, "0", "-1", "WITHSCORES").String()
	default:
		return kind
	}
}
