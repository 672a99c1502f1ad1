package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// fails sends a command that Redis must refuse with an error of the given code.
func (n *node) fails(t *testing.T, code string, words ...string) {
	t.Helper()
	reply, err := n.conn.Try(words...)
	if err != nil {
		t.Fatal(err)
	}
	if !reply.IsError() || !strings.HasPrefix(reply.Text, code+" ") {
		t.Fatalf("%.100q answers %v, want an error %s", words, reply, code)
	}
}

func (n *node) get(t *testing.T, words ...string) string {
	t.Helper()
	n.pick(t, 0)
	return n.do(t, words...).String()
}

func regions(t *testing.T, count int, opts ...redistest.Option) []*node {
	t.Helper()
	nodes := startNodes(t, count, opts...)
	for _, n := range nodes {
		n.reset(t)
	}
	return nodes
}

func TestUnarmedCallIsRefusedBeforeItChangesAnything(t *testing.T) {
	n := startNodes(t, 1)[0]
	n.do(t, "FUNCTION", "LOAD", library)
	n.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "v")
	n.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncFree, "0", "0", "2", "DEL", "k")
	n.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncApply, "0", "2.0.1-abcdef", "0")
	n.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncExpire, "0", "10")
	if size := n.get(t, "DBSIZE"); size != "(integer) 0" {
		t.Fatalf("there are %s keys", size)
	}
}

// A library that was loaded again has forgotten that it was armed: a replica that was promoted is in the same state.
func TestLoadingTheLibraryAgainDisarms(t *testing.T) {
	n := regions(t, 1)[0]
	n.do(t, "FUNCTION", "LOAD", "REPLACE", library)
	n.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "v")
	n.arm(t, runID(n), "repl")
	n.call(t, 0, []string{"SET", "k", "v"})
}

func TestEpochs(t *testing.T) {
	n := regions(t, 1)[0]
	first := n.origin
	n.call(t, 0, []string{"SET", "k", "v"})
	n.arm(t, runID(n), "repl")
	if n.origin != first {
		t.Fatalf("armed again in the same life: %v, then %v", first, n.origin)
	}
	n.arm(t, "another", "repl")
	second := n.origin
	if second == first || second.Counter() <= first.Counter() {
		t.Fatalf("another run id: %v, then %v", first, second)
	}
	n.arm(t, "another", "another")
	if n.origin == second {
		t.Fatalf("another replication id: still %v", second)
	}
}

func TestDataOfAnotherRegionIsRefused(t *testing.T) {
	n := regions(t, 1)[0]
	n.fails(t, "CRDTREGION", "FCALL", crdtmeta.FuncArm, "0", "2", "other", "0", "abcdef", "run1", "repl")
	n.call(t, 0, []string{"SET", "k", "v"}) // the refusal did not disarm what was armed
}

// One command's error must not touch the others of its call, and what changed before it must be logged.
func TestErrorsStayWithTheirCommand(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	replies, entry := a.call(t, 0, []string{"SET", "k", "v"}, []string{"INCR", "k"}, []string{"SADD", "k", "m"},
		[]string{"SET", "l", "w"})
	for i, want := range []string{"OK", "(error) ERR value is not an integer or out of range",
		"(error) WRONGTYPE Operation against a key holding the wrong kind of value", "OK"} {
		if replies[i].String() != want {
			t.Errorf("reply %d is %v, want %s", i, replies[i], want)
		}
	}
	if entry == nil {
		t.Fatal("nothing was logged")
	}
	b.apply(t, a.origin, 0, a.log...)
	if k, l := b.get(t, "GET", "k"), b.get(t, "GET", "l"); k != `"v"` || l != `"w"` {
		t.Errorf("the peer has k=%s l=%s", k, l)
	}
}

func TestDeliveryTwice(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"INCRBY", "c", "5"})
	first := b.apply(t, a.origin, 0, a.log...)
	second := b.apply(t, a.origin, first.frontier, a.log...)
	if first.status != "ok" || second.status != "ok" || second.frontier != first.frontier {
		t.Fatalf("answers %+v and %+v", first, second)
	}
	if c := b.get(t, "GET", "c"); c != `"5"` {
		t.Fatalf("c is %s", c)
	}
}

// A caller that believes in a frontier that the region does not have would leave a hole.
func TestGapIsRefused(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "1"})
	a.call(t, 0, []string{"SET", "l", "2"})
	last := len(a.log) - 1
	answer := b.apply(t, a.origin, a.log[last-1].t, a.log[last])
	if answer.status != "gap" || answer.detail != "0" && answer.detail != "" || answer.done != 0 {
		t.Fatalf("answer %+v", answer)
	}
	if l := b.get(t, "EXISTS", "l"); l != "(integer) 0" {
		t.Fatal("the entry after the gap was applied")
	}
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Fatalf("without the gap: %+v", answer)
	}
}

func TestPausedRegionIsNotTaken(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "1"})
	b.pick(t, 0)
	b.do(t, "SADD", "crdt:paused", "1")
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "paused" || answer.done != 0 {
		t.Fatalf("answer %+v", answer)
	}
	b.do(t, "SREM", "crdt:paused", "1")
	if answer := b.apply(t, a.origin, 0, a.log...); answer.status != "ok" {
		t.Fatalf("resumed: %+v", answer)
	}
	if k := b.get(t, "GET", "k"); k != `"1"` {
		t.Fatalf("k is %s", k)
	}
}

// What B wrote after it had seen A must wait at C for A, and C must say for what.
func TestEntryWaitsForItsContext(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	b.call(t, 0, []string{"SET", "before", "1"})
	_, written := a.call(t, 0, []string{"SET", "k", "1"})
	b.apply(t, a.origin, 0, a.log...)
	b.call(t, 0, []string{"SET", "k", "2"})

	answer := c.apply(t, b.origin, 0, b.log...)
	if answer.status != "wait" || !strings.HasPrefix(answer.detail, a.origin.String()+" ") {
		t.Fatalf("answer %+v", answer)
	}
	if before, k := c.get(t, "GET", "before"), c.get(t, "GET", "k"); before != `"1"` || k != "(nil)" {
		t.Fatalf("while waiting: before=%s k=%s", before, k)
	}
	if t2, err := crdtmeta.ParseTime(strings.Fields(answer.detail)[1]); err != nil || t2 < written.t {
		t.Fatalf("waits for %s, which does not cover %v", answer.detail, written.t)
	}
	c.apply(t, a.origin, 0, a.log...)
	if again := c.apply(t, b.origin, answer.frontier, b.log...); again.status != "ok" {
		t.Fatalf("after the context has come: %+v", again)
	}
	if k := c.get(t, "GET", "k"); k != `"2"` {
		t.Fatalf("k is %s", k)
	}
}
