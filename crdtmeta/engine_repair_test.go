package crdtmeta_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"

	"pgregory.net/rapid"
)

// words are all texts of a reply.
func words(r redistest.Reply) string {
	if r.Kind != '*' {
		return r.Text
	}
	var list []string
	for _, item := range r.Items {
		list = append(list, words(item))
	}
	return strings.Join(list, " ")
}

func commands(t *testing.T, n *node, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if replies, _ := n.call(t, 0, strings.Fields(line)); replies[0].IsError() {
			t.Fatalf("%s: %s", line, replies[0])
		}
	}
}

// repairCases writes in region 1, changes it past the engine there, and repairs it in region 2. What region 3 does meanwhile
// has not arrived when the repair is made, and must be seen afterwards.
var repairCases = []struct {
	name, write, past, meanwhile string
	check, want                  string
}{
	{"string", "SET k v", "SET k w", "", "GET k", "v"},
	{"other type", "SET k v", "DEL k;RPUSH k a", "", "GET k", "v"},
	{"deleted", "SET k v", "DEL k", "", "GET k", "v"},
	{"deadline", "SET k v", "PEXPIREAT k 4102444800000", "", "PEXPIRETIME k", "-1"},
	{"lost deadline", "SET k v PXAT 4102444800000", "PERSIST k", "", "PEXPIRETIME k", "4102444800000"},
	{"counter", "INCR k;INCRBY k 4", "SET k 100", "INCRBY k 10", "GET k", "15"},
	{"field", "HSET k f v g w", "HSET k f x h y", "HSET k i z", "HMGET k f g h i", "v w  z"},
	{"field counter", "HINCRBY k f 5", "HSET k f 7", "HINCRBY k f 2", "HGETALL k", "f 7"},
	{"set", "SADD k a b", "SREM k a;SADD k x", "SADD k c", "SMISMEMBER k a b c x", "1 1 1 0"},
	{"lost set", "SADD k a b", "DEL k", "SADD k c", "SMISMEMBER k a b c", "1 1 1"},
	{"sorted set", "ZADD k 1 a 2 b", "ZADD k 5 a;ZREM k b", "ZADD k 3 c", "ZRANGE k 0 -1 WITHSCORES", "a 1 b 2 c 3"},
	{"list", "RPUSH k a b c", "LSET k 0 x;RPUSH k y", "", "LRANGE k 0 -1", "a b c"},
	{"list order", "RPUSH k a b c", "LMOVE k k LEFT RIGHT", "RPUSH k d", "LRANGE k 0 -1", "d a b c"},
	{"list length", "RPUSH k a b c", "LPOP k", "", "LRANGE k 0 -1", "a b c"},
	{"lost list", "RPUSH k a b c", "DEL k", "RPUSH k d", "LRANGE k 0 -1", "d a b c"},
	{"shorter list", "RPUSH k a b c", "LPOP k", "RPUSH k d", "LRANGE k 0 -1", "d a b c"},
	{"longer list", "RPUSH k a b c", "RPUSH k x", "RPUSH k d", "LRANGE k 0 -1", "d a b c"},
	{"longer list in front", "LPUSH k c b a", "LPUSH k x", "LPUSH k d", "LRANGE k 0 -1", "d a b c"},
	{"stream", "XADD k 1-1 f v;XADD k 2-1 f w;XADD k 3-1 f x", "XDEL k 2-1;XADD k 9-1 y z", "XADD k 5-1 f y", "XRANGE k - +", "1-1 f v 2-1 f w 3-1 f x 5-1 f y"},
	{"lost stream", "XADD k 1-1 f v;XGROUP CREATE k g 0", "DEL k", "", "XRANGE k - +", "1-1 f v"},
	{"lost group", "XADD k 1-1 f v;XGROUP CREATE k g 0", "XGROUP DESTROY k g", "", "XREADGROUP GROUP g me STREAMS k >", "k 1-1 f v"},
	{"registers", "PFADD k a b c", "PFADD k d e", "", "PFCOUNT k k", "3"},
	{"foreign", "", "SET k v", "", "EXISTS k", "0"},
}

func TestRepairMakesRegionsEqual(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	for _, test := range repairCases {
		for order, first := range map[string]*node{"": nil, ", the write first": c, ", the repair first": b} {
			if first != nil && test.meanwhile == "" {
				continue
			}
			t.Run(test.name+order, func(t *testing.T) {
				for _, n := range nodes {
					n.reset(t)
				}
				if test.write != "" {
					commands(t, a, strings.Split(test.write, ";")...)
				}
				exchange(t, nodes)
				a.pick(t, 0)
				for line := range strings.SplitSeq(test.past, ";") {
					a.do(t, strings.Fields(line)...)
				}
				if a.digest(t, "k").value() == b.digest(t, "k").value() {
					t.Fatal("no difference was made")
				}
				if test.meanwhile != "" {
					commands(t, c, test.meanwhile)
				}
				commands(t, b, "XCRDT.REPAIR k")
				if first != nil {
					a.take(t, first)
				}
				exchange(t, nodes)
				requireOneDigest(t, nodes)
				for _, n := range nodes {
					_, companions := n.visible(t)
					n.checkCount(t, companions)
				}
				a.pick(t, 0)
				if got := words(a.do(t, strings.Fields(test.check)...)); got != test.want {
					t.Errorf("%s answers %q, want %q", test.check, got, test.want)
				}
			})
		}
	}
}

// A list that was changed past the engine may have an element that the region which repairs it has not got yet. That one may be missing there
// until it is repaired again, and nothing is lost anywhere else.
func TestRepairOfAListTakesNothingFromOthers(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	for _, past := range []string{"LPOP k", "RPUSH k x"} {
		for _, n := range nodes {
			n.reset(t)
		}
		commands(t, a, "RPUSH k a b c")
		exchange(t, nodes)
		commands(t, c, "RPUSH k d")
		a.take(t, c)
		a.pick(t, 0)
		a.do(t, strings.Fields(past)...)
		for _, healer := range []*node{b, c} {
			commands(t, healer, "XCRDT.REPAIR k")
			exchange(t, nodes)
			for _, n := range []*node{b, c} {
				n.pick(t, 0)
				if got := words(n.do(t, "LRANGE", "k", "0", "-1")); got != "d a b c" {
					t.Errorf("%s: region %d shows %q", past, n.id, got)
				}
			}
		}
		requireOneDigest(t, nodes)
	}
}

// Groups stay with what they have delivered, where they are and where they have been lost.
func TestRepairOfAStreamLeavesGroupsAlone(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	commands(t, a, "XADD k 1-1 f v", "XADD k 2-1 f v", "XADD k 3-1 f v", "XGROUP CREATE k g 0", "XGROUP CREATE k h 0", "XGROUP CREATE k i 0", "EXPIREAT k 4102444800")
	exchange(t, nodes)
	for _, n := range nodes {
		commands(t, n, "XREADGROUP GROUP g me COUNT 2 STREAMS k >")
	}
	a.pick(t, 0)
	for _, line := range []string{"XDEL k 3-1", "XADD k 7-1 f v", "XGROUP DESTROY k h", "XGROUP CREATE k other 0"} {
		a.do(t, strings.Fields(line)...)
	}
	commands(t, c, "XGROUP DESTROY k i", "XGROUP CREATE k new 0") // not known to b
	commands(t, b, "XCRDT.REPAIR k")
	exchange(t, nodes)
	requireOneDigest(t, nodes)
	for _, n := range nodes {
		n.pick(t, 0)
		groups := n.do(t, "XINFO", "GROUPS", "k")
		var names []string
		for _, g := range groups.Items {
			names = append(names, g.Items[1].Text)
		}
		if got := strings.Join(names, " "); got != "g h new" {
			t.Errorf("region %d has the groups %s", n.id, got)
		}
		if pending := n.do(t, "XPENDING", "k", "g").Items[0].Text; pending != "2" {
			t.Errorf("region %d: %s are pending", n.id, pending)
		}
		if n == a {
			continue
		}
		if got := words(n.do(t, "XREADGROUP", "GROUP", "g", "me", "STREAMS", "k", ">")); got != "k 3-1 f v" {
			t.Errorf("region %d: the group goes on with %q", n.id, got)
		}
	}
	// The entry that was lost in region 1 is not lost for its group.
	replies, _ := a.call(t, 0, strings.Fields("XREADGROUP GROUP g me STREAMS k >"))
	if got := words(replies[0]); got != "k 3-1 f v" {
		t.Errorf("region 1: the group goes on with %q", got)
	}
}

// Repairs at any time leave a region's data as it was, and whatever they meet on their way the regions agree.
func TestHistoriesWithRepairsConverge(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 80, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		p.after = func() {
			at := rapid.IntRange(0, 3*len(nodes)).Draw(rt, "repair")
			if at >= len(nodes) {
				return
			}
			db := rapid.SampledFrom(databases).Draw(rt, "database")
			key := rapid.SampledFrom(history.Keys).Draw(rt, "key")
			before, _ := p.nodes[at].visible(rt)
			p.call(at, db, []string{"XCRDT.REPAIR", key})
			if after, _ := p.nodes[at].visible(rt); !reflect.DeepEqual(before, after) {
				rt.Fatalf("repairing db%d %q in %c changed\n%s\nto\n%s", db, key, 'A'+at, describe(before), describe(after))
			}
		}
		randomHistory(p, history.Integers, history.Fractions)
	})
}

// A key whose data is found to be lost while a batch is applied is not removed when the batch itself has written it anew.
func TestWhatABatchWritesAnewIsNotLost(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	commands(t, a, "SET k 5", "HSET h f v", "SET gone 5")
	exchange(t, nodes)
	a.pick(t, 0)
	a.do(t, "DEL", "k", "h", "gone")
	commands(t, b, "INCR k", "XCRDT.REPAIR k", "SET h v", "XCRDT.REPAIR h", "INCR gone")
	exchange(t, nodes)
	for _, n := range nodes {
		n.pick(t, 0)
		if got := words(n.do(t, "MGET", "k", "h", "gone")); got != "6 v " {
			t.Errorf("region %d shows %q", n.id, got)
		}
	}
}

// pastTheEngine are changes of one Redis alone.
var pastTheEngine = []string{
	"DEL k", "SET k past", "SADD k past", "SREM k m", "HSET k m past", "HDEL k n", "ZADD k 77 m", "ZREM k m", "RPUSH k past", "LPOP k",
	"LSET k 0 past", "XADD k * f past", "XTRIM k MAXLEN 0", "XGROUP DESTROY k g", "PFADD k past", "PEXPIREAT k 9100000000000", "PERSIST k",
}

// After any history, whatever was done to one Redis, and whatever a region that was left alone writes meanwhile: a repair by any region
// makes all regions equal.
func TestRepairsAfterAnyHistory(t *testing.T) {
	nodes := startNodes(t, 3)
	links := []int{1, 2, 3, 5, 6, 7}
	checkHistories(t, 80, func(rt *rapid.T) {
		p := newPlay(rt, nodes, false)
		randomHistory(p, history.Integers)
		victim := rapid.IntRange(0, 2).Draw(rt, "victim")
		healer := rapid.IntRange(0, 2).Draw(rt, "healer")
		ways := pastTheEngine
		if rapid.Bool().Draw(rt, "settled") {
			p.settle(links)
		} else { // TestRepairOfAListTakesNothingFromOthers has why
			ways = slices.DeleteFunc(slices.Clone(ways), func(way string) bool { return way == "RPUSH k past" || way == "LPOP k" })
		}
		other := (healer + 1) % 3
		if other == victim {
			other = (other + 1) % 3 // what is written onto changed data may come out wrong until it is repaired, too
		}
		for _, key := range history.Keys {
			past := strings.Fields(rapid.SampledFrom(ways).Draw(rt, "past"))
			past[1+strings.Count(past[0], "XGROUP")] = key
			nodes[victim].pick(rt, 0)
			reply, err := nodes[victim].conn.Try(past...)
			if err != nil {
				rt.Fatal(err)
			}
			rt.Logf("%c: past the engine %q -> %s", 'A'+victim, past, reply)
			meanwhile := rapid.SampledFrom([]string{"", "SADD k m q", "HINCRBY k m 3", "ZADD k 1 q", "RPUSH k q", "INCR k", "XADD k * f q"}).Draw(rt, "meanwhile")
			if words := strings.Fields(meanwhile); len(words) > 0 {
				words[1] = key
				p.call(other, 0, words)
			}
			p.call(healer, 0, []string{"XCRDT.REPAIR", key})
		}
		p.finish(links)
	})
}

// requireOneDigest says whether all regions show the same of the key k, and nothing odd of it.
func requireOneDigest(t *testing.T, nodes []*node) {
	t.Helper()
	one := nodes[0].digest(t, "k")
	for _, n := range nodes {
		if d := n.digest(t, "k"); d.value() != one.value() || d.remark != "" {
			t.Errorf("region %d shows %+v, region 1 %+v", n.id, d, one)
		}
		n.checkFormats(t)
	}
}
