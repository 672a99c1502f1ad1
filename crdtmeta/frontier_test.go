package crdtmeta

import (
	"maps"
	"slices"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func drawFrontier(t *rapid.T) Frontier {
	f := Frontier{}
	for range rapid.IntRange(0, 20).Draw(t, "origins") {
		o := Origin{
			Region: rapid.IntRange(MinRegion, MaxRegion).Draw(t, "region"),
			Shard:  rapid.IntRange(0, 3).Draw(t, "shard"),
			Epoch:  rapid.StringMatching(`[1-9][0-9]{0,3}-[0-9a-f]{6}`).Draw(t, "epoch"),
		}
		f[o] = Time(rapid.Int64Range(0, maxTime).Draw(t, "t"))
	}
	return f
}

func TestFrontierSurvivesMsgpack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrontier(t)
		packed := f.AppendMsgpack([]byte("before"))
		back, err := DecodeFrontier(packed[len("before"):])
		if err != nil || !maps.Equal(f, back) {
			t.Fatalf("%v became %v (%v)", f, back, err)
		}
		origins := f.Origins()
		if len(origins) != len(f) || !slices.IsSortedFunc(origins, Origin.Compare) {
			t.Fatalf("origins %v", origins)
		}
	})
}

// TestFrontierInTheFormsOfLua: Lua packs an empty table as an array, and large integers as doubles or strings at times.
func TestFrontierInTheFormsOfLua(t *testing.T) {
	if f, err := DecodeFrontier([]byte{0x90}); err != nil || len(f) != 0 {
		t.Errorf("empty table: %v %v", f, err)
	}
	for _, value := range []any{1e15, "1000000000000000", int64(1e15), uint64(1e15)} {
		packed, err := msgpack.Marshal(map[string]any{"1.0.1-aaaaaa": value})
		if err != nil {
			t.Fatal(err)
		}
		if f, err := DecodeFrontier(packed); err != nil || f[Origin{1, 0, "1-aaaaaa"}] != 1e15 {
			t.Errorf("%T: %v %v", value, f, err)
		}
	}
	for name, value := range map[string]any{
		"list": []int{1}, "number": 7, "nil": nil, "text": "x", "fraction": map[string]any{"1.0.1-aaaaaa": 1.5},
		"negative": map[string]any{"1.0.1-aaaaaa": -1}, "name": map[string]any{"x": 1}, "nested": map[string]any{"1.0.1-aaaaaa": []int{}},
	} {
		packed, _ := msgpack.Marshal(value)
		if f, err := DecodeFrontier(packed); err == nil {
			t.Errorf("%s was read as %v", name, f)
		}
	}
	if _, err := DecodeFrontier([]byte{0xdf, 0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("four billion origins in five bytes")
	}
	if _, err := DecodeFrontier([]byte{0x80, 0x00}); err == nil {
		t.Error("took bytes after the end")
	}
}

func TestFrontierMoves(t *testing.T) {
	one, two := Origin{1, 0, "1-aaaaaa"}, Origin{2, 0, "1-bbbbbb"}
	f := Frontier{one: 5}
	if !f.Covers(one, 5) || f.Covers(one, 6) || f.Covers(two, 1) || !f.Covers(two, 0) {
		t.Error("Covers")
	}
	copied := f.Clone()
	if !f.Raise(one, 6) || f.Raise(one, 4) || f[one] != 6 || copied[one] != 5 {
		t.Errorf("Raise: %v, clone %v", f, copied)
	}
	if !f.CoversAll(copied) || copied.CoversAll(f) {
		t.Error("CoversAll")
	}
	f.Raise(two, 9)
	if part := f.Of(2, 0); len(part) != 1 || part[two] != 9 {
		t.Errorf("Of: %v", part)
	}
	parsed, err := ParseFrontier(map[string]string{one.String(): "6", two.String(): "9"})
	if err != nil || !maps.Equal(parsed, f) {
		t.Errorf("ParseFrontier: %v %v", parsed, err)
	}
	if _, err := ParseFrontier(map[string]string{"x": "6"}); err == nil {
		t.Error("ParseFrontier took a bad name")
	}
	if _, err := ParseFrontier(map[string]string{one.String(): "x"}); err == nil {
		t.Error("ParseFrontier took a bad time")
	}
}

func FuzzFrontier(f *testing.F) {
	f.Add(Frontier{Origin{1, 0, "1-aaaaaa"}: 77}.AppendMsgpack(nil))
	f.Add([]byte{0x90})
	f.Add([]byte{0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		decoded, err := DecodeFrontier(body)
		if err != nil {
			return
		}
		back, err := DecodeFrontier(decoded.AppendMsgpack(nil))
		if err != nil || !maps.Equal(decoded, back) {
			t.Fatalf("%v became %v (%v)", decoded, back, err)
		}
	})
}
