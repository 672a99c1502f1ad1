package translate

import (
	"bytes"
	"strings"
	"testing"
)

// TestClassifyDoesNotAllocate covers every line of testdata/plans that is no error: the hot path pays for none of them.
func TestClassifyDoesNotAllocate(t *testing.T) {
	classifier := New("crdt:")
	for _, path := range planFiles(t) {
		for _, c := range readPlans(t, path) {
			if classifier.Classify(Lookup(c.args[0]), c.args).Err != "" {
				continue
			}
			positions := make([]int, 0, len(c.args))
			allocs := testing.AllocsPerRun(100, func() {
				plan := classifier.Classify(Lookup(c.args[0]), c.args)
				positions = plan.Command.Keys(positions[:0], c.args)
			})
			if allocs != 0 {
				t.Errorf("%s: %v allocations", c.line, allocs)
			}
		}
	}
}

func TestPrefixIsChosen(t *testing.T) {
	classifier := New("meta.")
	for line, want := range map[string]string{
		"SET meta.x v":  "ERR key names starting with 'meta.' are reserved",
		"SET meta v":    "",
		"SET crdt:x v":  "",
		"GET META.x":    "",
		"MGET a meta.x": "ERR key names starting with 'meta.' are reserved",

		"SPUBLISH meta.x m":   "ERR shard channel names starting with 'meta.' are reserved",
		"SSUBSCRIBE a meta.x": "ERR shard channel names starting with 'meta.' are reserved",
		"SUNSUBSCRIBE meta.x": "",
		"PUBLISH meta.x m":    "",
		"PSUBSCRIBE meta.x a": "",
		"SSUBSCRIBE meta a b": "",
	} {
		args := splitLine(t, line)
		if got := classifier.Classify(Lookup(args[0]), args).Err; got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got := New("").prefix; got != DefaultPrefix {
		t.Errorf("no prefix became %q", got)
	}
}

func TestClassifyTakesAResolvedSubcommand(t *testing.T) {
	args := splitLine(t, "OBJECT ENCODING k")
	sub := Lookup(args[0]).Sub(args[1])
	if plan := Classify(sub, args); plan.Command != sub || plan.Class != Read {
		t.Errorf("plan %+v", plan)
	}
}

func TestParseCountIsAsStrictAsRedis(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "1": 1, "12": 12, "999999999": 999999999} {
		if got, ok := parseCount([]byte(text)); !ok || got != want {
			t.Errorf("parseCount(%q) = %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "01", "+1", "-1", " 1", "1 ", "x", "9999999999", "18446744073709551617"} {
		if got, ok := parseCount([]byte(text)); ok {
			t.Errorf("parseCount(%q) = %d", text, got)
		}
	}
}

// FuzzClassify feeds arbitrary arguments. Whatever they are, a plan must be safe to act on.
func FuzzClassify(f *testing.F) {
	for _, path := range planFiles(f) {
		for _, c := range readPlans(f, path) {
			f.Add(bytes.Join(c.args, []byte("\n")))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		args := bytes.Split(line, []byte("\n"))
		cmd := Lookup(args[0])
		plan := Classify(cmd, args)
		if plan.Class == Unclassified || plan.Class == ReadOrWrite || (plan.Class == Refused) != (plan.Err != "") {
			t.Fatalf("%q: class %v with error %q", args, plan.Class, plan.Err)
		}
		if strings.ContainsAny(plan.Err, "\r\n") {
			t.Fatalf("%q: the error %q ends too early", args, plan.Err)
		}
		if plan.Command == nil {
			return
		}
		plan.Command.EachKey(args, func(position int, _ Access) bool {
			if position < 1 || position >= len(args) {
				t.Fatalf("%q: key at %d", args, position)
			}
			if plan.Err == "" && bytes.HasPrefix(args[position], []byte(DefaultPrefix)) {
				t.Fatalf("%q: a reserved name passes", args)
			}
			return true
		})
		if folded := Classify(Lookup(bytes.ToLower(args[0])), args); folded.Class != plan.Class || folded.Shape != plan.Shape {
			t.Fatalf("%q: the case of the name matters", args)
		}
	})
}

var planSink Plan

func BenchmarkClassify(b *testing.B) {
	for _, line := range []string{"GET key", "SET key value", "MGET a b c d e f g h", "ZADD z INCR 1 a", "OBJECT ENCODING k"} {
		args := splitLine(b, line)
		b.Run(string(args[0]), func(b *testing.B) {
			for b.Loop() {
				planSink = Classify(Lookup(args[0]), args)
			}
		})
	}
}
