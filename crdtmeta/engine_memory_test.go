package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

// Without memory, writes are refused as a whole before anything changes; removals go on; a peer's effects wait.
func TestOutOfMemory(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s", "m"})
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Fatalf("%+v", answer)
	}
	a.call(t, 0, []string{"SET", "l", "v"})
	b.do(t, "CONFIG", "SET", "maxmemory", "1")
	defer b.do(t, "CONFIG", "SET", "maxmemory", "0")

	b.fails(t, "OOM", "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "w", "3", "SET", "m", "w")
	if k := b.get(t, "GET", "k"); k != `"v"` {
		t.Fatalf("k is %s after the refusal", k)
	}
	words := []string{"FCALL", crdtmeta.FuncApply, "0", a.origin.String(), "0"}
	for _, e := range a.log {
		words = append(words, e.id, e.body, "0")
	}
	b.fails(t, "OOM", words...)
	replies, entry := b.call(t, 0, []string{"DEL", "k"}, []string{"SREM", "s", "m"}, []string{"EXPIRE", "k", "100"})
	if entry == nil || replies[0].Int() != 1 || replies[1].Int() != 1 {
		t.Fatalf("removals without memory: %v, entry %v", replies, entry)
	}

	b.do(t, "CONFIG", "SET", "maxmemory", "0")
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := a.items(t); len(got) != 1 {
		t.Fatalf("after memory came back there is %v", got)
	}
}

// A mistake in one command of a call must not hide what the others did.
func TestUnknownAndMalformedCommands(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.pick(t, 0)
	reply := a.do(t, "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "v", "2", "BOGUS", "k", "3", "SET", "l", "v", "9", "SET", "m", "v")
	if len(reply.Items) != 4 || reply.Items[0].Text != "OK" || !reply.Items[1].IsError() || reply.Items[2].Text != "OK" || !reply.Items[3].IsError() {
		t.Fatalf("replies %v", reply)
	}
	a.fetch(t)
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := strings.Join([]string{b.get(t, "GET", "k"), b.get(t, "GET", "l"), b.get(t, "EXISTS", "m")}, " "); got != `"v" "v" (integer) 0` {
		t.Fatalf("the peer has %s", got)
	}
}

// evict makes keys vanish as Redis does when memory is short: without an effect. Redis must be told to evict only keys
// with a TTL, so they have one here.
func (n *node) evict(t *testing.T, keys ...string) {
	t.Helper()
	n.pick(t, 0)
	n.do(t, append([]string{"DEL"}, keys...)...)
}

func ttls(keys ...string) [][]string {
	var commands [][]string
	for _, key := range keys {
		commands = append(commands, []string{"PEXPIREAT", key, "9000000000000"})
	}
	return commands
}

// Eviction is a removal of all that this region has seen, and the next write to the key says so.
func TestWriteToEvictedKey(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s", "m", "n"}, []string{"HSET", "h", "f", "v"}, []string{"INCRBY", "c", "5"},
		[]string{"HINCRBY", "h2", "c", "5"}, []string{"ZADD", "z", "1", "m"}, []string{"RPUSH", "l", "x", "y"})
	keys := []string{"k", "s", "h", "c", "h2", "z", "l"}
	a.call(t, 0, ttls(keys...)...)
	exchange(t, nodes)
	a.evict(t, keys...)
	replies, _ := a.call(t, 0, []string{"APPEND", "k", "w"}, []string{"SADD", "s", "o"}, []string{"HSET", "h", "g", "w"}, []string{"INCR", "c"},
		[]string{"HINCRBY", "h2", "c", "1"}, []string{"ZINCRBY", "z", "2", "m"}, []string{"LPUSH", "l", "z"})
	for i, want := range []string{"(integer) 1", "(integer) 1", "(integer) 1", "(integer) 1", "(integer) 1", `"2"`, "(integer) 1"} {
		if replies[i].String() != want {
			t.Errorf("reply %d is %v, want %s", i, replies[i], want)
		}
	}
	b.call(t, 0, []string{"SADD", "s", "p"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	for command, want := range map[string]string{"GET k": `"w"`, "HGETALL h": `["g" "w"]`, "GET c": `"1"`, "SCARD s": "(integer) 2",
		"HGETALL h2": `["c" "1"]`, "ZSCORE z m": `"2"`, "LRANGE l 0 -1": `["z"]`, "TTL c": "(integer) -1"} {
		if got := b.get(t, strings.Fields(command)...); got != want {
			t.Errorf("%s is %s, want %s", command, got, want)
		}
	}
}

// A peer's effect on a key that was evicted here must not fail, and must end in equal regions: either the evicted part
// is removed everywhere, or it comes back.
func TestRemoteEffectOnEvictedKey(t *testing.T) {
	keys := []string{"k", "s", "h", "z", "h2", "c", "l"}
	effects := map[string][][]string{
		"write": {{"APPEND", "k", "w"}, {"SADD", "s", "o"}, {"HSET", "h", "n", "1"}, {"ZADD", "z", "5", "o"}, {"HSET", "h2", "x", "1"},
			{"APPEND", "c", "0"}, {"RPUSH", "l", "z"}},
		"change":    {{"LINSERT", "l", "AFTER", "x", "w"}, {"LSET", "l", "-1", "z"}},
		"increment": {{"HINCRBY", "h", "n", "1"}, {"ZINCRBY", "z", "1", "m"}, {"HINCRBY", "h2", "c", "2"}, {"INCR", "c"}},
		"remove":    {{"SREM", "s", "m"}, {"HDEL", "h", "f"}, {"ZREM", "z", "m"}, {"LPOP", "l"}},
		"delete":    {{"DEL", "k"}, {"DEL", "s"}, {"DEL", "h"}, {"DEL", "z"}, {"DEL", "h2"}, {"DEL", "c"}, {"DEL", "l"}},
		"expire":    ttls(keys...),
		"persist":   {{"PERSIST", "k"}, {"PERSIST", "s"}, {"PERSIST", "h"}, {"PERSIST", "z"}, {"PERSIST", "h2"}, {"PERSIST", "c"}, {"PERSIST", "l"}},
	}
	nodes := startNodes(t, 3)
	for name, commands := range effects {
		t.Run(name, func(t *testing.T) {
			for _, n := range nodes {
				n.reset(t)
			}
			a, b := nodes[0], nodes[1]
			a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s", "m", "n"}, []string{"HSET", "h", "f", "v", "g", "w"},
				[]string{"ZADD", "z", "1", "m", "2", "n"}, []string{"HINCRBY", "h2", "c", "5"}, []string{"INCRBY", "c", "5"}, []string{"RPUSH", "l", "x", "y"})
			a.call(t, 0, ttls(keys...)...)
			exchange(t, nodes)
			for _, command := range commands {
				a.evict(t, command[1]) // an eviction shows when the key is touched
			}
			b.call(t, 0, commands...)
			exchange(t, nodes)
			requireEqual(t, nodes)
			for _, key := range keys {
				a.call(t, 0, []string{"DEL", key}, []string{"SADD", key, "again"})
			}
			exchange(t, nodes)
			requireEqual(t, nodes)
		})
	}
}
