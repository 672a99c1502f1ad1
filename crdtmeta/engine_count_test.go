package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

// counted is how many effects of an origin's epoch a region has, as it keeps it for other regions' epochs and for its own that ended.
func (n *node) counted(t *testing.T, origin crdtmeta.Origin) string {
	t.Helper()
	n.pick(t, 0)
	_, count, _ := strings.Cut(n.do(t, "HGET", "crdt:newest", origin.String()).Text, " ")
	return count
}

// written is what the engine says of the epoch in force.
func (n *node) written(t *testing.T) string {
	t.Helper()
	n.pick(t, 0)
	return pairs(n.do(t, "FCALL", crdtmeta.FuncInfo, "0").Strings())["written"]
}

// Every log entry says how many effects its epoch has had. So whoever has an entry knows how much is missing behind it: a peer that has
// applied it or merged up to it, and the region itself after its server or its library was started anew.
func TestEntriesCountTheEffectsOfTheirEpoch(t *testing.T) {
	nodes := regions(t, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.call(t, 0, []string{"SET", "x", "1"}, []string{"SET", "y", "2"}, []string{"SET", "z", "3"}) // a run: 3
	a.call(t, 0, []string{"SADD", "s", "m", "n"})                                                 // 1
	a.call(t, 0, []string{"SET", "x", "1", "EX", "1000"}, []string{"GET", "x"})                   // 2
	if got := a.written(t); got != "6" {
		t.Fatalf("written %s, want 6", got)
	}
	b.apply(t, a.origin, 0, a.log[:len(a.log)-1]...)
	if got := b.counted(t, a.origin); got != "4" {
		t.Errorf("b counts %q without the last entry, want 4", got)
	}
	b.apply(t, a.origin, a.log[len(a.log)-2].t, a.log[len(a.log)-1])
	if got := b.counted(t, a.origin); got != "6" {
		t.Errorf("b counts %q, want 6", got)
	}

	// A frontier record is no effect, but carries the number: it may be all that is left of the log.
	b.call(t, 0, []string{"SET", "mine", "1"})
	a.apply(t, b.origin, 0, b.log...)
	a.do(t, "XTRIM", "crdt:log", "MAXLEN", "1")
	a.do(t, "FUNCTION", "LOAD", "REPLACE", library)
	a.arm(t, runID(a), "repl")
	if got := a.written(t); got != "6" {
		t.Errorf("written %s after the library was loaded anew, want 6", got)
	}

	c.merge(t, b.id, "changes", b.position(t), b.states(t, 0, []string{"x", "y", "z", "s", "mine"}))
	if got := c.counted(t, a.origin); got != "6" {
		t.Errorf("c, which has merged, counts %q, want 6", got)
	}
	if got := c.counted(t, b.origin); got != "1" {
		t.Errorf("c counts %q of b, want 1", got)
	}

	first := a.origin
	a.lives++
	a.arm(t, runID(a), "repl")
	if got := a.counted(t, first); a.origin == first || got != "6" || a.written(t) != "0" {
		t.Errorf("in epoch %s, a counts %q of %s and %s of the new one", a.origin, got, first, a.written(t))
	}
}
