package model

import (
	"errors"
	"maps"
	"slices"
)

// Why Apply takes nothing.
var (
	ErrWait = errors.New("the entry's context is not covered yet")
	ErrGap  = errors.New("an entry of the origin is missing in between")
)

// Region is one region's data, and what it knows of the others.
type Region struct {
	origin    Origin
	databases map[int]map[string]*Key
	frontier  Frontier // of the other origins
	own       Time     // the last own entry
	clock     Time     // above every stamp seen
	log       []Entry
}

// NewRegion returns an empty region whose effects carry the given origin.
func NewRegion(origin Origin) *Region {
	return &Region{origin: origin, databases: map[int]map[string]*Key{}, frontier: Frontier{}}
}

// Log returns the region's own entries. The slice belongs to the region.
func (r *Region) Log() []Entry { return r.log }

// Frontier returns a copy of what the region has applied of the others.
func (r *Region) Frontier() Frontier { return r.frontier.clone() }

// Begin starts a new epoch, as after a restart. What the region holds of its old epoch it has seen, but the counter
// shares of that epoch are no longer its own.
func (r *Region) Begin(origin Origin) {
	r.frontier[r.origin] = r.own
	r.origin, r.own = origin, 0
}

// Origin returns what the region's effects carry now.
func (r *Region) Origin() Origin { return r.origin }

// Next returns the stamp that a call at the given time takes: the clock never goes back, and stays above all it has seen.
func (r *Region) Next(unixMillis int64) Time { return max(At(unixMillis), r.clock+1) }

// Do executes one command in database 0, as a call of its own. The entry is nil when nothing changed.
func (r *Region) Do(command []string, unixMillis int64) (any, *Entry) {
	replies, entry := r.Call(r.Next(unixMillis), 0, [][]string{command})
	return replies[0], entry
}

// Call executes commands as one entry with time t, which must be above every stamp that the region has seen.
func (r *Region) Call(t Time, db int, commands [][]string) ([]any, *Entry) {
	c := &call{region: r, db: db, entry: &Entry{Origin: r.origin, T: t, Prev: r.own, Context: r.frontier.clone()}}
	replies := make([]any, len(commands))
	for i, command := range commands {
		replies[i] = c.execute(command)
	}
	if len(c.entry.Effects) == 0 {
		return replies, nil
	}
	r.own, r.clock = t, max(r.clock, t)
	r.log = append(r.log, *c.entry)
	return replies, c.entry
}

// Apply takes an entry of another region. An entry that is known already changes nothing.
func (r *Region) Apply(e Entry) error {
	known := r.frontier[e.Origin]
	if e.Origin == r.origin || e.T <= known {
		return nil
	}
	if e.Prev > known {
		return ErrGap
	}
	mine := r.frontier.clone()
	mine[r.origin] = r.own
	if !mine.covers(e.Context) {
		return ErrWait
	}
	for i, effect := range e.Effects {
		r.merge(context{Stamp{e.Origin, e.T, i + 1}, e.Context}, effect)
	}
	r.frontier[e.Origin] = e.T
	r.clock = max(r.clock, e.T)
	return nil
}

func (r *Region) key(db int, name string) *Key {
	if r.databases[db] == nil {
		r.databases[db] = map[string]*Key{}
	}
	k := r.databases[db][name]
	if k == nil {
		k = newKey()
		r.databases[db][name] = k
	}
	return k
}

// Adopt puts data into the region that every region has always had: it has no stamps, so everything has seen it.
func (r *Region) Adopt(db int, name string, v Value) {
	k := r.key(db, name)
	if v.Type == String {
		k.cell(String, "").add(Stamp{}, v.String)
	}
	for element, value := range v.Elements {
		k.cell(v.Type, element).add(Stamp{}, value)
	}
	for position, value := range v.List {
		k.element(place{root: cold, cold: position}).add(Stamp{}, value)
	}
	if v.Deadline != 0 {
		k.candidates = append(k.candidates, candidate{Stamp{}, v.Deadline})
	}
}

// Value is what a key shows to clients. String is for strings, List for lists, Elements for all else (members of sets have
// the value ""). Deadline is in Unix milliseconds, 0 for none.
type Value struct {
	Type     Type
	String   string
	Elements map[string]string
	List     []string
	Deadline int64
}

// Dump returns all that clients can see: database → key → value. Equal dumps are equal regions.
func (r *Region) Dump() map[int]map[string]Value {
	dump := map[int]map[string]Value{}
	for db, keys := range r.databases {
		for name, k := range keys {
			t := k.shown()
			if t == None {
				continue
			}
			if dump[db] == nil {
				dump[db] = map[string]Value{}
			}
			dump[db][name] = k.value(t)
		}
	}
	return dump
}

// value is what a key of type t shows.
func (k *Key) value(t Type) Value {
	v := Value{Type: t, Deadline: k.deadline()}
	switch t {
	case String:
		v.String = k.cell(String, "").value()
	case List:
		v.List = k.values()
	default:
		v.Elements = k.elements(t)
	}
	return v
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
