package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

func TestPeekRunReadsWhatIsThere(t *testing.T) {
	var run crdtmeta.Run
	value := strings.Repeat("v", 300)
	run.Add("crdt:", []byte("key"), []byte(value))
	run.Add("crdt:", []byte("other"), []byte("x"))
	head, list := run.Parts()
	whole := append(head[:], list...)
	for size := range len(whole) + 1 {
		count, first := crdtmeta.PeekRun(whole[:size])
		if size >= 3 && count != 2 {
			t.Fatalf("%d bytes: count %d", size, count)
		}
		for i, want := range []string{"key", value} {
			if i >= len(first) {
				break
			}
			if first[i].Bytes != len(want) || !strings.HasPrefix(want, string(first[i].Kept)) {
				t.Fatalf("%d bytes: text %d is %+v", size, i, first[i])
			}
		}
		if size == len(whole) && len(first) != 2 {
			t.Fatalf("all bytes: %v", first)
		}
	}
	if count, first := crdtmeta.PeekRun([]byte("no run")); count != 0 || first != nil {
		t.Errorf("no run: %d, %v", count, first)
	}
}
