package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

// The end of quarantine is one step: what the log said before is gone, everybody can see that it is, and clients write. Said once more,
// by a leader that comes late, it takes no entry of theirs.
func TestQuarantineEndsInOneStep(t *testing.T) {
	a := regions(t, 1)[0]
	hold := func(words ...string) {
		a.pick(t, 0)
		a.do(t, append([]string{"FCALL", crdtmeta.FuncHold, "0", a.origin.String()}, words...)...)
	}
	ends := func() string { return a.do(t, "XINFO", "STREAM", "crdt:log").Items[7].Text }
	a.call(t, 0, []string{"SET", "before", "1"})
	a.call(t, 0, []string{"SET", "before", "2"})
	hold("merged everything")
	last, err := crdtmeta.ParseID(ends())
	if err != nil {
		t.Fatal(err)
	}
	held := a.do(t, "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "v").Items[0]
	if !held.IsError() || !strings.HasPrefix(held.Text, "CRDTHELD merged everything") {
		t.Fatalf("a write in quarantine: %v", held)
	}
	for range 2 {
		hold("", last.String())
		for _, name := range []string{"crdt:cut", "crdt:reentry"} {
			if at := a.do(t, "GET", name).Text; at != last.String() {
				t.Errorf("%s is %q, want %s", name, at, last)
			}
		}
		if n := a.do(t, "EXISTS", "crdt:held").Int(); n != 0 {
			t.Error("clients are still held")
		}
		if n := a.do(t, "XLEN", "crdt:log").Int(); n != 1 {
			t.Errorf("the log has %d entries, want the last one alone", n)
		}
	}
	a.call(t, 0, []string{"SET", "after", "1"})
	later, _ := crdtmeta.ParseID(ends())
	hold("", (later + 1).String())
	if n := a.do(t, "XLEN", "crdt:log").Int(); n != 2 {
		t.Errorf("%d entries are left of 2 after a leader came late", n)
	}
}

// What somebody has found out of an epoch does not let clients of the next one write: its server may have come back old.
func TestAnotherEpochIsNotLetGo(t *testing.T) {
	a := regions(t, 1)[0]
	a.do(t, "FCALL", crdtmeta.FuncHold, "0", a.origin.String(), "this region was away for 9 s")
	for _, words := range [][]string{{""}, {"", "123"}, {"other"}} {
		if answer := a.do(t, append([]string{"FCALL", crdtmeta.FuncHold, "0", "1.0.7-abcdef"}, words...)...).Text; answer != "epoch" {
			t.Errorf("%q is answered %q", words, answer)
		}
	}
	if why := a.do(t, "GET", "crdt:held").Text; why != "this region was away for 9 s" {
		t.Errorf("clients are held because %q", why)
	}
}
