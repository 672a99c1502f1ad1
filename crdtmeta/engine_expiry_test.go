package crdtmeta_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// exchange delivers everything between all regions until nothing is left, and answers `fetch` as a leader does.
func exchange(t *testing.T, nodes []*node) {
	t.Helper()
	for range 2 * len(nodes) {
		for _, from := range nodes {
			for _, to := range nodes {
				if from != to {
					from.fetch(t)
					to.take(t, from)
				}
			}
		}
	}
}

// take applies all of another region's log, fetching values that have expired here. It says how that went.
func (n *node) take(t *testing.T, from *node) (story string) {
	t.Helper()
	for range 100 {
		answer := n.apply(t, from.log[0].origin, 0, from.log...)
		switch answer.status {
		case "ok", "wait":
			return story + answer.status
		case "fetch":
			story += "fetch " + answer.detail + ", "

			db, key, _ := strings.Cut(answer.detail, " ")
			from.pick(t, 0)
			state := from.do(t, "FCALL", "anabranch_state_1", "0", db, key).Text
			waits := from.log[answer.done]
			n.pick(t, 0)
			n.do(t, "FCALL", "anabranch_refill_1", "0", db, key, state, waits.origin.String(), waits.t.String())
		default:
			t.Fatalf("region %d from %d: %+v", n.id, from.id, answer)
		}
	}
	t.Fatalf("region %d from %d: fetches for ever", n.id, from.id)
	return ""
}

func soon(millis int) string {
	return strconv.FormatInt(time.Now().Add(time.Duration(millis)*time.Millisecond).UnixMilli(), 10)
}

// expire runs what a leader calls at intervals.
func (n *node) expire(t *testing.T) int64 {
	t.Helper()
	n.pick(t, 0)
	return n.do(t, "FCALL", crdtmeta.FuncExpire, "0", "100").Int()
}

func (n *node) entries(t *testing.T, kind crdtmeta.Kind) int {
	t.Helper()
	n.fetch(t)
	count := 0
	for _, e := range n.log {
		if e.kind == kind {
			count++
		}
	}
	return count
}

func requireEqual(t *testing.T, nodes []*node) {
	t.Helper()
	for _, n := range nodes[1:] {
		requireSame(t, "region 1", nodes[0], "region "+strconv.Itoa(n.id), n, 0)
	}
	for _, n := range nodes {
		_, companions := n.visible(t)
		n.checkCount(t, companions)
	}
}

// Only the owner of a TTL turns it into a removal: otherwise every region would send one.
func TestOwnerExpires(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "v", "PXAT", soon(60)}, []string{"SADD", "s", "m"}, []string{"PEXPIREAT", "s", soon(60)})
	a.call(t, 1, []string{"SET", "k", "v", "PXAT", soon(60)})
	exchange(t, nodes)
	time.Sleep(80 * time.Millisecond)
	before := a.entries(t, crdtmeta.KindEffects)
	if due := b.expire(t); due != 0 {
		t.Errorf("region 2 owns no TTL, but %d are due", due)
	}
	if due := a.expire(t); due != 3 {
		t.Errorf("%d TTLs are due at the owner, want 3", due)
	}
	if due := a.expire(t); due != 0 {
		t.Errorf("%d TTLs are due a second time", due)
	}
	if after := a.entries(t, crdtmeta.KindEffects); after != before+1 {
		t.Errorf("the removals made %d entries", after-before)
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
	for _, n := range nodes {
		if size := n.get(t, "ZCARD", "crdt:ttl"); size != "(integer) 0" {
			t.Errorf("region %d still has %s in crdt:ttl", n.id, size)
		}
		// What is created anew has no TTL, and lives.
		n.call(t, 0, []string{"SADD", "s", "new"})
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := b.get(t, "TTL", "s"); got != "(integer) -1" {
		t.Errorf("the new key has a TTL of %s", got)
	}
}

// A region that does not own the TTL treats the key as gone, and says so before it writes.
func TestWriteToAnExpiredKeyStartsFresh(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SADD", "s", "old"}, []string{"PEXPIREAT", "s", soon(60)},
		[]string{"INCRBY", "c", "5"}, []string{"PEXPIREAT", "c", soon(60)},
		[]string{"HSET", "h", "f", "old"}, []string{"PEXPIREAT", "h", soon(60)},
		[]string{"ZADD", "z", "1", "old"}, []string{"PEXPIREAT", "z", soon(60)},
		[]string{"RPUSH", "l", "old"}, []string{"PEXPIREAT", "l", soon(60)})
	exchange(t, nodes)
	time.Sleep(80 * time.Millisecond)
	replies, _ := b.call(t, 0, []string{"SADD", "s", "new"}, []string{"INCR", "c"}, []string{"HSET", "h", "g", "new"},
		[]string{"ZADD", "z", "XX", "2", "old"}, []string{"SETNX", "k", "v"}, []string{"RPUSHX", "l", "new"}, []string{"LPUSH", "l", "new"})
	for i, want := range []string{"(integer) 1", "(integer) 1", "(integer) 1", "(integer) 0", "(integer) 1", "(integer) 0", "(integer) 1"} {
		if replies[i].String() != want {
			t.Errorf("reply %d is %v, want %s", i, replies[i], want)
		}
	}
	a.expire(t)
	exchange(t, nodes)
	requireEqual(t, nodes)
	for command, want := range map[string]string{
		"SMEMBERS s": `["new"]`, "GET c": `"1"`, "HGETALL h": `["g" "new"]`, "EXISTS z": "(integer) 0", "LRANGE l 0 -1": `["new"]`,
		"TTL s": "(integer) -1", "TTL c": "(integer) -1", "TTL h": "(integer) -1",
	} {
		if got := a.get(t, strings.Fields(command)...); got != want {
			t.Errorf("%s is %s, want %s", command, got, want)
		}
	}
}

// The values expire here an instant before a longer TTL arrives from elsewhere. They must come back.
func TestLongerTTLArrivesTooLate(t *testing.T) {
	nodes := regions(t, 3)
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.adopt(t, 0, "adopted", parseWords(t, "adopted hash f 1 g 2"))
		n.adopt(t, 0, "old list", parseWords(t, "list list a b c d"))
	}
	keys := []string{"string", "counter", "set", "hash", "zset", "adopted", "b{}\x00", "list", "old list"}
	setup := [][]string{{"SET", "string", "v"}, {"INCRBY", "counter", "5"}, {"SADD", "set", "m", "n"}, {"HSET", "hash", "f", "v", "g", "w"},
		{"ZADD", "zset", "1.5", "m", "2", "n"}, {"HSET", "adopted", "f", "3"}, {"SET", "b{}\x00", "\x00\xff"},
		{"RPUSH", "list", "x", "y", "z"}, {"LSET", "list", "1", "set"}, {"LINSERT", "old list", "AFTER", "b", "x"}, {"LSET", "old list", "0", "set"}}
	a.call(t, 0, setup...)
	exchange(t, nodes)
	b.call(t, 0, []string{"INCRBY", "counter", "2"}, []string{"HINCRBY", "hash", "n", "1"}, []string{"SADD", "set", "o"}, []string{"LPUSH", "list", "w"})
	exchange(t, nodes)
	want := a.items(t)
	for _, key := range keys {
		a.call(t, 0, []string{"PEXPIREAT", key, soon(3000)})
	}
	exchange(t, nodes)
	for _, key := range keys {
		b.call(t, 0, []string{"PEXPIREAT", key, "9000000000000"})
	}
	time.Sleep(3100 * time.Millisecond) // gone at A and C, not at B
	if got := a.get(t, "EXISTS", "string"); got != "(integer) 0" {
		t.Fatal("the key has not expired")
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
	for key, had := range want {
		if got := a.items(t)[key]; got.value != had.value || got.deadline != 9000000000000 {
			t.Errorf("%s is %+v, want %+v with the longer TTL", key, got, had)
		}
	}
}

// Writes that the expiry has not seen: an overwrite has no TTL and survives. What was added to a key whose TTL runs out
// may go with it, but then in every region.
func TestExpiryAgainstConcurrentWrites(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.call(t, 0, []string{"INCRBY", "c", "5"}, []string{"SADD", "s", "old"}, []string{"SET", "k", "v"}, []string{"HSET", "h", "f", "v"})
	exchange(t, nodes)
	for _, key := range []string{"c", "s", "k", "h"} {
		a.call(t, 0, []string{"PEXPIREAT", key, soon(100)})
	}
	b.call(t, 0, []string{"INCRBY", "c", "2"}, []string{"SADD", "s", "new"}, []string{"SET", "k", "w"}, []string{"HSET", "h", "g", "new"})
	time.Sleep(120 * time.Millisecond)
	a.expire(t)
	c.take(t, a)
	c.fetch(t)
	exchange(t, nodes)
	requireEqual(t, nodes)
	for _, n := range nodes {
		if got := n.get(t, "GET", "k"); got != `"w"` {
			t.Errorf("region %d has k=%s, want the overwrite", n.id, got)
		}
	}
}

// As before, but the region whose values expired has written something that the longer TTL has not seen: its value is
// nowhere else yet.
func TestLongerTTLMeetsAnUnseenWrite(t *testing.T) {
	nodes := regions(t, 3)
	a, b := nodes[0], nodes[1]
	keys := []string{"k", "s", "h", "z", "c", "l"}
	a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s", "old"}, []string{"HSET", "h", "f", "old"}, []string{"ZADD", "z", "1", "old"},
		[]string{"INCRBY", "c", "5"}, []string{"RPUSH", "l", "old", "older"})
	for _, key := range keys {
		a.call(t, 0, []string{"PEXPIREAT", key, soon(3000)})
	}
	exchange(t, nodes)
	for _, key := range keys {
		b.call(t, 0, []string{"PEXPIREAT", key, "9000000000000"})
	}
	a.call(t, 0, []string{"APPEND", "k", "w"}, []string{"SADD", "s", "new"}, []string{"HSET", "h", "f", "new"}, []string{"ZADD", "z", "2", "new"},
		[]string{"INCRBY", "c", "2"}, []string{"LPUSH", "l", "new", "newest"}, []string{"LSET", "l", "-1", "set"})
	time.Sleep(3100 * time.Millisecond) // gone at A and C, not at B
	exchange(t, nodes)
	requireEqual(t, nodes)
	for command, want := range map[string]string{"GET k": `"vw"`, "SCARD s": "(integer) 2", "HGETALL h": `["f" "new"]`,
		"ZRANGE z 0 -1": `["old" "new"]`, "GET c": `"7"`, "LRANGE l 0 -1": `["newest" "new" "old" "set"]`} {
		if got := a.get(t, strings.Fields(command)...); got != want {
			t.Errorf("%s is %s, want %s", command, got, want)
		}
	}
	for _, key := range keys {
		if got := a.get(t, "PEXPIRETIME", key); got != "(integer) 9000000000000" {
			t.Errorf("%s expires at %s", key, got)
		}
	}
}
