package redistest

import (
	"slices"
	"strconv"
	"testing"
)

// fixedKeys are the keys that Anabranch has whatever the data.
var fixedKeys = []string{
	"crdt:log", "crdt:self", "crdt:epochs", "crdt:frontier", "crdt:context", "crdt:acks", "crdt:members", "crdt:lease", "crdt:status",
	"crdt:newest", "crdt:collected", "crdt:count", "crdt:conflicts", "crdt:paused", "crdt:alive", "crdt:cut", "crdt:flushed", "crdt:roster", "crdt:found",
	"crdt:reentry", "crdt:shipped", "crdt:heard", "crdt:merges", "crdt:plain",
}

// Leftovers lists the keys of the region's Redis that are not fixed, of all databases, in order: data and metadata.
func (r *Region) Leftovers(t testing.TB) []string {
	t.Helper()
	conn := Dial(t, r.Redis.Addr)
	defer conn.Close()
	var names []string
	for db := range databases {
		conn.Must("SELECT", strconv.Itoa(db))
		for _, name := range conn.Must("KEYS", "*").Strings() {
			if !slices.Contains(fixedKeys, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
