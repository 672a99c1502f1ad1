package crdtmeta

import (
	"encoding/binary"
	"strings"
)

// IsFunction knows the names of the engine's functions.
func IsFunction(name string) bool { return strings.HasPrefix(name, "anabranch_") }

// PeekedText is a string of a run of which only the beginning is known.
type PeekedText struct {
	Kept  []byte // a span of what was peeked at
	Bytes int    // its whole length
}

// PeekRun reads how many strings a run has, and the first one's key and value, from no more than the beginning of the run.
// What has not been kept is left out.
func PeekRun(beginning []byte) (count int, first []PeekedText) {
	if len(beginning) < 3 || beginning[0] != 0xdc {
		return 0, nil
	}
	count = int(binary.BigEndian.Uint16(beginning[1:])) / 4
	rest := beginning[3:]
	for range 2 {
		size, head := textHead(rest)
		if head == 0 {
			break
		}
		kept := rest[head:min(head+size, len(rest))]
		first = append(first, PeekedText{Kept: kept, Bytes: size})
		rest = rest[head+len(kept):]
	}
	return count, first
}
