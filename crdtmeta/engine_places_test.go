package crdtmeta_test

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// The entry of a list of places that stands for many elements in a row from before Anabranch.
const runBytes = 9

// checkPlaces reads a list of places by docs/engine.md, section 2: as many as the list beside it has elements, each after
// the one before it.
func (n *node) checkPlaces(f failer, name string) {
	f.Helper()
	companion := "crdt:" + string(name[5]-3) + name[6:]
	if kind := n.do(f, "TYPE", companion).Text; kind != "hash" {
		f.Fatalf("%q lies beside a companion of type %s", name, kind)
	}
	key := map[byte]func(string) string{
		'3': func(rest string) string { return strings.TrimSuffix(rest[1:], "}") },
		'4': func(rest string) string { return rest },
		'5': func(rest string) string { return rest[4:] },
	}[name[5]](name[6:])
	entries, elements, run := n.do(f, "LRANGE", name, "0", "-1").Strings(), 0, -1
	for i, entry := range entries {
		elements++
		if len(entry) == runBytes && entry[0] == '`' {
			if run >= 0 {
				f.Fatalf("%q has two runs", name)
			}
			run = i
			elements += int(binary.BigEndian.Uint32([]byte(entry[5:]))) - int(binary.BigEndian.Uint32([]byte(entry[1:])))
			if elements < i+2 {
				f.Fatalf("%q: the run %q has less than two elements", name, entry)
			}
		}
		if i > 0 && !placeBefore(entries[i-1], entry) {
			f.Fatalf("%q: entry %d, %q, does not come before %q", name, i-1, entries[i-1], entry)
		}
	}
	for i, entry := range entries {
		if run >= 0 && i != run && entry[0] == '`' {
			f.Fatalf("%q: %q stands beside a run", name, entry)
		}
	}
	if length := n.do(f, "LLEN", key).Int(); int(length) != elements {
		f.Fatalf("%q has the places of %d elements, the list %q has %d", name, elements, key, length)
	}
}

// placeBefore is the order of places: bytewise, an element's own place being the byte 0x60 after its path.
func placeBefore(a, b string) bool { return bytes.Compare([]byte(a+"`"), []byte(b+"`")) < 0 }
