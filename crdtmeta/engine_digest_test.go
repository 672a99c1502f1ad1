package crdtmeta_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// digest is what a region answers about one key.
type digest struct{ state, head, sums, token, stamps, deadline, kind, remark string }

// value is the part that regions have in common.
func (d digest) value() string { return d.state + " " + d.head + d.sums }

func (n *node) digestCall(f failer, words ...string) redistest.Reply {
	f.Helper()
	replies, entry := n.call(f, 0, append([]string{"XCRDT.DIGEST"}, words...))
	if entry != nil || replies[0].IsError() {
		f.Fatalf("region %d: %q made an entry (%v) or answers %s", n.id, words, entry, replies[0])
	}
	return replies[0]
}

func (n *node) digest(f failer, key string) digest {
	f.Helper()
	reply := n.digestCall(f, "KEYS", key)
	w := reply.Items[2].Strings()
	return digest{w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]}
}

// parts adds up a large value as whoever compares does.
func (n *node) parts(f failer, key string) string {
	f.Helper()
	const modulus = 1 << 48
	var sum [3]uint64
	for cursor := "0"; ; {
		reply := n.digestCall(f, cursor, key).Strings()
		for i, text := range strings.Split(reply[1], ":") {
			part, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				f.Fatalf("%q: %v", reply, err)
			}
			sum[i] = (sum[i] + part) % modulus
		}
		if cursor = reply[0]; cursor == "0" {
			return fmt.Sprintf("%d:%d:%d", sum[0], sum[1], sum[2])
		}
	}
}

// digestCases writes a value in one region, and changes it in one way after the other.
var digestCases = []struct {
	name    string
	write   []string
	changes []string
}{
	{"string", []string{"SET k v"}, []string{"SET k w", "APPEND k v", "SETRANGE k 3 x", "DEL k", "EXPIRE k 1000"}},
	{"empty string", []string{"SET k x", "SETRANGE k 0 y"}, []string{"GETDEL k", "EXPIREAT k 4102444800"}},
	{"counter", []string{"INCR k"}, []string{"INCR k", "SET k 1.0"}},
	{"hash", []string{"HSET k f v g w"}, []string{"HSET k f w", "HSET k h v", "HDEL k g", "HSET k f vg"}},
	{"set", []string{"SADD k a b c"}, []string{"SADD k d", "SREM k a", "PEXPIRE k 100000"}},
	{"sorted set", []string{"ZADD k 1 a 2.5 b -inf c 0.1 d"}, []string{"ZADD k 1.5 a", "ZREM k b", "ZINCRBY k 0.1 d"}},
	{"list", []string{"RPUSH k a b c"}, []string{"LPUSH k d", "LSET k 1 x", "LMOVE k k LEFT RIGHT", "LREM k 1 a"}},
	{"stream", []string{"XADD k 1-1 f v", "XADD k 2-1 f w"}, []string{"XADD k 3-1 f v", "XDEL k 1-1", "XGROUP CREATE k g 0"}},
	{"groups", []string{"XGROUP CREATE k g 0 MKSTREAM"}, []string{"XGROUP DESTROY k g", "XGROUP CREATE k h 0"}},
	{"registers", []string{"PFADD k a b c"}, []string{"PFADD k d e f", "DEL k"}},
	{"deadline", []string{"SET k v PXAT 4102444800000"}, []string{"PERSIST k", "PEXPIREAT k 4102444800001"}},
}

func TestDigestsAreEqualForEqualValuesAlone(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	deliver := func() {
		t.Helper()
		a.fetch(t)
		if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
			t.Fatalf("delivery answers %+v", answer)
		}
	}
	same := func(label string) {
		t.Helper()
		here, there := a.digest(t, "k"), b.digest(t, "k")
		if here.value() != there.value() {
			t.Errorf("%s: %+v and %+v", label, here, there)
		}
		if one, other := a.digestCall(t, "PAGE", "k", "none"), b.digestCall(t, "PAGE", "k", "none"); one.String() != other.String() {
			t.Errorf("%s: pages %s and %s", label, one, other)
		}
		if here.state == "whole" && a.parts(t, "k") != here.sums {
			t.Errorf("%s: in parts %s, whole %s", label, a.parts(t, "k"), here.sums)
		}
	}
	for _, c := range digestCases {
		for _, change := range c.changes {
			label := c.name + ", " + change
			for _, n := range nodes {
				n.reset(t)
			}
			for _, command := range c.write {
				a.call(t, 0, strings.Fields(command))
			}
			deliver()
			same(label + ": written")
			before, page := a.digest(t, "k"), a.digestCall(t, "PAGE", "k", "none").String()
			if again := a.digest(t, "k"); again != before || before.state != "whole" || before.remark != "" {
				t.Errorf("%s: %+v, asked again %+v", label, before, again)
			}
			a.call(t, 0, strings.Fields(change))
			after := a.digest(t, "k")
			if after.value() == before.value() || a.digestCall(t, "PAGE", "k", "none").String() == page {
				t.Errorf("%s makes no difference: %+v", label, after)
			}
			if after.token == before.token {
				t.Errorf("%s leaves the token as it was: %+v", label, after)
			}
			deliver()
			same(label + ": changed")
		}
	}
}

// What is a region's own makes no difference.
func TestDigestsLeaveOutWhatIsARegionsOwn(t *testing.T) {
	nodes := regions(t, 1)
	a := nodes[0]
	run := func(commands ...string) {
		t.Helper()
		for _, command := range commands {
			if replies, _ := a.call(t, 0, strings.Fields(command)); replies[0].IsError() {
				t.Fatalf("%s: %s", command, replies[0])
			}
		}
	}
	run("XADD k 1-1 f v", "XGROUP CREATE k g 0")
	before := a.digest(t, "k").value()
	run("XREADGROUP GROUP g me STREAMS k >", "XGROUP CREATECONSUMER k g you", "XSETID k 9-9", "XACK k g 1-1")
	if after := a.digest(t, "k").value(); after != before {
		t.Errorf("a stream: %s, then %s", before, after)
	}
	run("PFADD p a b c d")
	before = a.digest(t, "p").value()
	page := a.digestCall(t, "PAGE", "p").String()
	a.do(t, "PFCOUNT", "p")            // leaves a cardinality
	a.do(t, "PFDEBUG", "TODENSE", "p") // lays it out anew
	if after := a.digest(t, "p").value(); after != before || a.digestCall(t, "PAGE", "p").String() != page {
		t.Errorf("registers: %s, then %s", before, after)
	}
	for i := range 2000 {
		run(fmt.Sprintf("PFADD p %d", i))
	}
	if after := a.digest(t, "p").value(); after == before {
		t.Errorf("2000 more registers make no difference: %s", after)
	}
}

// Large values are read in parts, which add up to the same whatever their order and size.
func TestDigestsOfLargeValues(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	const count = 20_000
	name := func(i int) string { return "element" + strconv.Itoa(i) }
	fill := func(n *node, backwards bool) {
		for j := range count {
			i := j
			if backwards {
				i = count - 1 - j
			}
			n.conn.Must("SADD", "s", name(i))
			n.conn.Must("HSET", "h", name(i), name(i))
			n.conn.Must("ZADD", "z", strconv.Itoa(i), name(i))
			n.conn.Must("RPUSH", "l", name(j))
			n.conn.Must("XADD", "x", fmt.Sprintf("%d-1", j+1), "f", name(j))
		}
		n.conn.Must("SET", "k", strings.Repeat("0123456789", 300_000))
		n.conn.Must("HSET", "fat", "a", strings.Repeat("x", 300_000), "b", "y")
	}
	a.pick(t, 0)
	b.pick(t, 0)
	fill(a, false)
	fill(b, true)
	keys := []string{"s", "h", "z", "l", "x", "k", "fat"}
	if page := a.digestCall(t, append([]string{"PAGE"}, keys...)...).Strings(); page[2] != "1 2 3 4 5 6 7" || page[1] != "7" {
		t.Errorf("a page of large values answers %q", page)
	}
	for _, key := range keys {
		if got := a.digest(t, key); got.state != "large" {
			t.Errorf("%s: %+v", key, got)
		}
		if here, there := a.parts(t, key), b.parts(t, key); here != there || strings.HasPrefix(here, "0:") {
			t.Errorf("%s: %s and %s", key, here, there)
		}
	}
	a.do(t, "SREM", "s", name(7))
	a.do(t, "HSET", "h", name(7), "other")
	a.do(t, "ZADD", "z", "7.5", name(7))
	a.do(t, "LSET", "l", "10000", "other")
	a.do(t, "XDEL", "x", "77-1")
	a.do(t, "SETRANGE", "k", "2999999", "x")
	a.do(t, "HSET", "fat", "b", "z")
	for _, key := range keys {
		if here, there := a.parts(t, key), b.parts(t, key); here == there {
			t.Errorf("%s: a change makes no difference", key)
		}
	}
}

// A call that has much to do says how far it got.
func TestDigestsOfAPageStopInTime(t *testing.T) {
	a := regions(t, 1)[0]
	words := []string{"PAGE"}
	for i := range 100 {
		key := "h" + strconv.Itoa(i)
		words = append(words, key)
		command := []string{"HSET", key}
		for j := range 100 {
			command = append(command, strconv.Itoa(j), "v")
		}
		a.call(t, 0, command)
	}
	page := a.digestCall(t, words...).Strings()
	if done, err := strconv.Atoi(page[1]); err != nil || done < 10 || done > 60 || page[2] != "" {
		t.Errorf("a page of 100 hashes with 100 fields each: %q", page)
	}
	words[0] = "KEYS"
	if answered := len(a.digestCall(t, words...).Items) - 2; answered < 10 || answered > 60 {
		t.Errorf("of 100 hashes with 100 fields each %d are answered", answered)
	}
}

// What metadata and data say of each other.
func TestDigestsRemarkWhatDoesNotFit(t *testing.T) {
	a := regions(t, 1)[0]
	for _, command := range []string{
		"SET lost v", "SADD lostset a", "SET retyped v", "SET gone v", "SET timed v", "DEL gone", "SET short v PX 1", "RPUSH lostlist a", "SET fine v",
	} {
		a.call(t, 0, strings.Fields(command))
	}
	for _, command := range []string{"DEL lost lostset lostlist retyped", "SADD retyped m", "SET gone back", "PEXPIREAT timed 4102444800000", "SET foreign v"} {
		a.do(t, strings.Fields(command)...)
	}
	awaitTick([]*node{a})
	for key, want := range map[string]string{
		"lost": "evicted", "lostset": "evicted", "lostlist": "evicted", "retyped": "stranger", "gone": "stranger", "timed": "deadline",
		"short": "expired", "fine": "", "foreign": "", "none": "",
	} {
		if got := a.digest(t, key); got.remark != want {
			t.Errorf("%s: %+v, want remark %q", key, got, want)
		}
	}
	if got := a.digest(t, "foreign"); got.stamps != "-" || got.kind != "string" {
		t.Errorf("data without metadata: %+v", got)
	}
}
