package crdtmeta

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func packed(r *Run) []byte {
	head, list := r.Parts()
	return append(head[:], list...)
}

func TestRunIsMsgpack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var run Run
		var want []string
		for range rapid.IntRange(1, 20).Draw(t, "sets") {
			key := rapid.SliceOfN(rapid.SampledFrom([]byte("ab{}\x00\xff")), 0, 40).Draw(t, "key")
			value := bytes.Repeat([]byte("v"), rapid.SampledFrom([]int{0, 1, 31, 32, 255, 256, 65535, 65536}).Draw(t, "size"))
			run.Add("p:", key, value)
			want = append(want, string(key), string(value), string(AppendCompanion(nil, "p:", key)), "")
		}
		raw := packed(&run)
		var got []string
		if err := msgpack.Unmarshal(raw, &got); err != nil || len(got) != len(want) {
			t.Fatalf("%d elements of %d: %v", len(got), len(want), err)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("element %d is %.50q, want %.50q", i, got[i], want[i])
			}
		}
		if err := CheckRun("p:", raw); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCheckRun(f *testing.F) {
	var run Run
	run.Add("p:", []byte("key"), []byte("value"))
	run.Add("p:", []byte("{a}b"), bytes.Repeat([]byte("v"), 300))
	f.Add(packed(&run))
	f.Add([]byte("\xdc\x00\x04\xa1k\xa1v\xa6p:0{x}\xa0"))
	f.Add([]byte("\xdc\x00\x04\xa5p:log\xa1v\xaap:0{p:log}\xa0"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if CheckRun("p:", raw) != nil {
			return
		}
		var list []string
		if err := msgpack.Unmarshal(raw, &list); err != nil {
			t.Fatalf("%q is taken: %v", raw, err)
		}
		for i := 0; i < len(list); i += 4 {
			if strings.HasPrefix(list[i], "p:") || list[i+2] != string(AppendCompanion(nil, "p:", []byte(list[i]))) || list[i+3] != "" {
				t.Fatalf("%q is taken", raw)
			}
		}
	})
}
