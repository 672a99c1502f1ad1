package model

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// side says where a node of the tree of places hangs on its parent.
type side byte

const (
	left  side = '@' // before the parent, the oldest first
	right side = 'R' // after the parent, the newest first
)

// step is one edge of the tree: the side, and the element of the effect that made the node.
type step struct {
	side  side
	stamp Stamp
	index int
}

// place is the identity of a list's element, and where it stands: a path in a tree whose nodes are all elements that the
// list has ever had. Three roots have no parent: the front (LPUSH makes right children of it), the end (RPUSH makes left
// children of it), and in between the elements from before Anabranch, by position. A place is made once and for all, so
// that all regions agree on the order whatever arrives when.
type place struct {
	root root
	cold int // position of a cold element
	path []step
}

type root int

const (
	front root = iota
	cold
	end
)

// base is where new elements are put: a place and the side of it.
type base struct {
	place
	side side
}

var (
	atFront = base{place{root: front}, right}
	atEnd   = base{place{root: end}, left}
)

// child is the place of element index of the effect with the given stamp.
func (b base) child(stamp Stamp, index int) place {
	child := b.place
	child.path = append(slices.Clone(b.path), step{b.side, stamp, index})
	return child
}

// made is the stamp of the effect that made the element; cold ones have none.
func (p place) made() Stamp {
	if len(p.path) == 0 {
		return Stamp{}
	}
	return p.path[len(p.path)-1].stamp
}

func (p place) compare(q place) int {
	if c := cmp.Or(cmp.Compare(p.root, q.root), cmp.Compare(p.cold, q.cold)); c != 0 {
		return c
	}
	for i := 0; ; i++ {
		switch {
		case i == len(p.path) && i == len(q.path):
			return 0
		case i == len(p.path):
			return -q.path[i].fromParent()
		case i == len(q.path):
			return p.path[i].fromParent()
		}
		if c := p.path[i].compare(q.path[i]); c != 0 {
			return c
		}
	}
}

// fromParent is -1 for what stands before its parent, 1 for what stands after it.
func (s step) fromParent() int {
	if s.side == left {
		return -1
	}
	return 1
}

// compare orders two children of one parent.
func (s step) compare(t step) int {
	if s.side != t.side {
		return cmp.Compare(s.fromParent(), t.fromParent())
	}
	age := cmp.Or(cmp.Compare(s.stamp.T, t.stamp.T), cmp.Compare(s.stamp.Op, t.stamp.Op), s.stamp.Origin.compare(t.stamp.Origin),
		cmp.Compare(s.index, t.index))
	if s.side == right {
		return -age
	}
	return age
}

// size is how long the engine's name of the place is, in bytes: new elements hang on the neighbour with the shorter one.
func (p place) size() int {
	size := 0
	if p.root == cold {
		size = 5
	}
	for _, s := range p.path {
		var counter int
		_, _ = fmt.Sscanf(s.stamp.Origin.Epoch, "%d-", &counter)
		size += 13 + ordinalSize(s.stamp.Op) + ordinalSize(counter) + ordinalSize(s.index)
	}
	return size
}

func ordinalSize(n int) int {
	switch {
	case n < 240:
		return 1
	case bits.Len(uint(n)) <= 16:
		return 3
	}
	return 5
}

// key is the place as a cell's name.
func (p place) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d.%d", p.root, p.cold)
	for _, s := range p.path {
		fmt.Fprintf(&b, " %c%v.%d.%d.%d", s.side, s.stamp.Origin, s.stamp.T, s.stamp.Op, s.index)
	}
	return b.String()
}
