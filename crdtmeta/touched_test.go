package crdtmeta

import (
	"reflect"
	"testing"
)

func TestKeyOfRefusesOtherNames(t *testing.T) {
	for _, name := range []string{"crdt:", "crdt:log", "crdt:self", "other", "crdt:0x", "crdt:2{x}k", ""} {
		if key, ok := KeyOf(DefaultPrefix, name); ok {
			t.Errorf("%q is taken for a companion of %q", name, key)
		}
	}
}

func TestTouchedRefusesWhatIsNoEntry(t *testing.T) {
	for _, fields := range [][]string{
		nil, {"b"}, {"x", "y"}, {"b", "\x94\xa1e\xa71.0.1-a\xa0\xa1?"}, {"b", "\x95\xa1e\xa71.0.1-a\xa0\xa1M\x01"},
	} {
		var list [][]byte
		for _, field := range fields {
			list = append(list, []byte(field))
		}
		if err := Touched(list, func(int, string) {}); err == nil {
			t.Errorf("%q is taken", fields)
		}
	}
}

func FuzzTouched(f *testing.F) {
	f.Add([]byte("\x96\xa1e\xa71.0.1-a\x03\xa1S\xa1k\xa1v"), []byte("s"), []byte("\xdc\x00\x04\xa1k\xa1v\xa0\xa0"))
	f.Add([]byte("\x97\xa1e\xa71.0.1-a\x02\xa1D\x01\xa1M\x01"), []byte("s"), []byte("\xdc\x00\x04\xa1k\xa1v\xa0\xa0"))
	f.Add([]byte("\x93\xa1f\xa71.0.1-a\x90"), []byte("k"), []byte("\x92\x00\x91\xa1k"))
	f.Fuzz(func(t *testing.T, body, name, value []byte) {
		_ = Touched([][]byte{[]byte("b"), body, name, value}, func(int, string) {})
	})
}

func TestTouchedNamesKeysAndDatabases(t *testing.T) {
	var got []string
	note := func(db int, key string) { got = append(got, string(rune('0'+db))+key) }
	for _, entry := range [][]string{
		{"b", "\x97\xa1e\xa71.0.1-a\x02\xa1D\x01\xa1M\x01", "s", "\xdc\x00\x08\xa1k\xa1v\xa0\xa0\xa1m\xa1v\xa0\xa0"},
		{"b", "\x96\xa1e\xa71.0.1-a\x03\xa1S\xa1x\xa1v"},
		{"b", "\x93\xa1f\xa71.0.1-a\x90", "k", "\x94\x00\x91\xa1y\x01\x92\xa1z\xa0"},
	} {
		var list [][]byte
		for _, field := range entry {
			list = append(list, []byte(field))
		}
		if err := Touched(list, note); err != nil {
			t.Errorf("%q: %v", entry, err)
		}
	}
	if want := []string{"1k", "1m", "0x", "0y", "1z", "1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
