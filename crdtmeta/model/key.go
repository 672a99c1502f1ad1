package model

import "slices"

// Type is a Redis type with merge rules of its own. The letters are those of docs/engine.md.
type Type byte

const (
	None   Type = 0
	String Type = 'k'
	Hash   Type = 'h'
	Set    Type = 's'
	ZSet   Type = 'z'
	List   Type = 'l'
)

func (t Type) String() string {
	return map[Type]string{None: "none", String: "string", Hash: "hash", Set: "set", ZSet: "zset", List: "list"}[t]
}

var types = []Type{String, Hash, Set, ZSet, List}

// candidate is one opinion about the key's TTL. Deadline 0 is the opinion that there is none.
type candidate struct {
	stamp    Stamp
	deadline int64
}

// Key holds the cells of all types under one name, and the TTL candidates. The cell of a string has the element "", those
// of a list are named after their places.
type Key struct {
	cells      map[Type]map[string]*Cell
	places     map[string]place
	candidates []candidate
}

func newKey() *Key {
	k := &Key{cells: map[Type]map[string]*Cell{}, places: map[string]place{}}
	for _, t := range types {
		k.cells[t] = map[string]*Cell{}
	}
	return k
}

func (k *Key) cell(t Type, element string) *Cell {
	c := k.cells[t][element]
	if c == nil {
		c = newCell()
		k.cells[t][element] = c
	}
	return c
}

// shown is rule 7: the type of the highest live stamp, None when nothing lives.
func (k *Key) shown() Type {
	shown, best := None, Stamp{}
	for _, t := range types {
		for _, c := range k.cells[t] {
			if top, live := c.top(); live && (shown == None || top.compare(best) > 0) {
				shown, best = t, top
			}
		}
	}
	return shown
}

// elements returns the live cells of a type with their values.
func (k *Key) elements(t Type) map[string]string {
	live := map[string]string{}
	for name, c := range k.cells[t] {
		if c.live() {
			live[name] = c.value()
		}
	}
	return live
}

// removeSeen removes what ctx has seen of the given types.
func (k *Key) removeSeen(ctx context, of []Type) {
	for _, t := range of {
		if t == List {
			k.removeSeenElements(ctx)
			continue
		}
		for _, c := range k.cells[t] {
			c.removeSeen(ctx)
		}
	}
}

// otherTypes are those that a write of type t clears of what it has seen (rule 7).
func otherTypes(t Type) []Type {
	return slices.DeleteFunc(slices.Clone(types), func(o Type) bool { return o == t })
}

func (k *Key) removeSeenTTL(ctx context) {
	k.candidates = slices.DeleteFunc(k.candidates, func(c candidate) bool { return ctx.seen(c.stamp) })
}

// deadline is rule 6: "no TTL" beats all, then the longest deadline. 0 means that the key does not expire.
func (k *Key) deadline() int64 {
	longest := int64(0)
	for _, c := range k.candidates {
		if c.deadline == 0 {
			return 0
		}
		longest = max(longest, c.deadline)
	}
	return longest
}
