package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"

	"pgregory.net/rapid"
)

// slot is Redis Cluster's: CRC16 (XMODEM) of the hash tag, or of the whole key where there is none.
func slot(key string) uint16 {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if length := strings.IndexByte(key[open+1:], '}'); length > 0 {
			key = key[open+1 : open+1+length]
		}
	}
	var crc uint16
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc & 16383
}

func TestSlotOfTheTestItself(t *testing.T) {
	// From the cluster specification: CRC16 of "123456789" is 0x31c3.
	if got := slot("123456789"); got != 0x31c3 {
		t.Fatalf("%#x", got)
	}
	if slot("{user1000}.following") != slot("user1000") || slot("foo{}{bar}") == slot("bar") || slot("foo{{bar}}zap") != slot("{bar") {
		t.Fatal("hash tags")
	}
}

// companions are the keys of ours that belong to one user key.
func companions(names []string) []string {
	var list []string
	for _, name := range names {
		if rest, ours := strings.CutPrefix(name, "crdt:"); ours && rest != "" && strings.ContainsAny(rest[:1], "012345") {
			list = append(list, name)
		}
	}
	return list
}

// A companion must be in the slot of its key, for every key, or the engine can never run on a cluster.
func TestCompanionsShareTheSlotOfTheirKey(t *testing.T) {
	n := regions(t, 1)[0]
	n.pick(t, 0)
	check := func(f failer, key string) {
		before := companions(n.do(f, "KEYS", "crdt:*").Strings())
		n.call(f, 0, []string{"SET", key, "v"})
		after := companions(n.do(f, "KEYS", "crdt:*").Strings())
		if len(after) == len(before) && len(after) > 0 {
			return // a key that was there before
		}
		known := map[string]bool{}
		for _, name := range before {
			known[name] = true
		}
		for _, name := range after {
			if known[name] {
				continue
			}
			if slot(name) != slot(key) {
				f.Fatalf("key %q is in slot %d, its companion %q in %d", key, slot(key), name, slot(name))
			}
			if ours := crdtmeta.AppendCompanion(nil, crdtmeta.DefaultPrefix, []byte(key)); len(ours) > 0 && string(ours) != name {
				f.Fatalf("key %q: the companion is %q, and %q in Go", key, name, ours)
			}
		}
		if len(after) != len(before)+1 {
			f.Fatalf("key %q: %d companions became %d", key, len(before), len(after))
		}
	}
	for _, key := range oddKeys {
		check(t, key)
	}
	checkHistories(t, 100, func(rt *rapid.T) {
		n.reset(rt)
		for range 10 {
			check(rt, string(rapid.SliceOfN(rapid.SampledFrom([]byte("{{{}}}ab\x00\xff")), 0, 8).Draw(rt, "key")))
		}
	})
}

// oddKeys are names that a careless mapping confuses with each other or with our own.
var oddKeys = []string{
	"", "abc", "{abc}", "{}abc", "{}{abc}", "a}b", "a{b", "}a{b}c", "{", "}", "{}", "}{", "{{}}", "{{a}}", "0", "1", "2", "0{abc}", "1abc",
	"{abc", "abc}", "crdt", "crdt;0{abc}", "xxabc", "aaabc", "{xx}abc", "2{xx}abc", "\x00", "\xff\xfe", "{\x00}", "a{b}\x00", "log", "self",
	strings.Repeat("long", 5000), strings.Repeat("{", 300), strings.Repeat("}", 300),
}

func TestCompanionsOfDifferentKeysDiffer(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for i, key := range oddKeys {
		a.call(t, 0, []string{"SET", key, strings.Repeat("v", i+1)})
	}
	a.pick(t, 0)
	if got := companions(a.do(t, "KEYS", "crdt:*").Strings()); len(got) != len(oddKeys) {
		t.Fatalf("%d keys have %d companions", len(oddKeys), len(got))
	}
	b.apply(t, a.origin, 0, a.log...)
	for i, key := range oddKeys {
		if got := b.get(t, "GET", key); got != `"`+strings.Repeat("v", i+1)+`"` {
			t.Errorf("key %.40q is %s at the peer", key, got)
		}
	}
	for _, n := range nodes {
		_, companions := n.visible(t)
		n.checkCount(t, companions)
	}
}

// A companion of one key must never be taken for the companion of another: the delete of one leaves the other alone.
func TestOddKeysAreDeletedOneByOne(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for _, key := range oddKeys {
		a.call(t, 0, []string{"SADD", key, "m"})
	}
	for i, key := range oddKeys {
		a.call(t, 0, []string{"DEL", key})
		if got, want := a.get(t, "EXISTS", key), "(integer) 0"; got != want {
			t.Fatalf("key %.40q still exists", key)
		}
		for _, later := range oddKeys[i+1:] {
			if got := a.get(t, "EXISTS", later); got != "(integer) 1" {
				t.Fatalf("the delete of %.40q took %.40q too", key, later)
			}
		}
	}
	b.apply(t, a.origin, 0, a.log...)
	data, _ := b.visible(t)
	if len(data) != 0 {
		t.Fatalf("the peer still has\n%s", describe(data))
	}
}
