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
	elements, before := 0, ""
	for i, entry := range n.do(f, "LRANGE", name, "0", "-1").Strings() {
		first, last := entry, entry
		elements++
		if len(entry) == runBytes && entry[0] == '`' {
			first, last = entry[:5], entry[:1]+entry[5:]
			more := int(binary.BigEndian.Uint32([]byte(entry[5:]))) - int(binary.BigEndian.Uint32([]byte(entry[1:])))
			if more < 1 {
				f.Fatalf("%q: the run %q has less than two elements", name, entry)
			}
			elements += more
		}
		if i > 0 && !placeBefore(before, first) {
			f.Fatalf("%q: entry %d, %q, does not come after %q", name, i, entry, before)
		}
		before = last
	}
	if length := n.do(f, "LLEN", key).Int(); int(length) != elements {
		f.Fatalf("%q has the places of %d elements, the list %q has %d", name, elements, key, length)
	}
}

// placeBefore is the order of places: bytewise, an element's own place being the byte 0x60 after its path.
func placeBefore(a, b string) bool { return bytes.Compare([]byte(a+"`"), []byte(b+"`")) < 0 }
