package model

import (
	"math/big"
	"slices"
)

// write is one live write of a cell.
type write struct {
	stamp Stamp
	value string
}

// share is the register of one origin's increments of one cell, which only that origin moves. The offset is the part
// of it that some write or removal has seen: the share's own sum at an instant, never a net value, so that two
// concurrent resets do not subtract twice.
type share struct {
	start, last instant
	sum         *big.Rat
	float       bool

	offsetLast instant
	offsetSum  *big.Rat
}

// live reports whether the share has moved after the last reset that saw it.
func (s *share) live() bool { return s.last.compare(s.offsetLast) > 0 }

func (s *share) net() *big.Rat { return new(big.Rat).Sub(s.sum, s.offsetSum) }

// Cell is the unit of merging: a string key, a hash field, a set member or a sorted-set member.
type Cell struct {
	writes []write
	shares map[Origin]*share
}

func newCell() *Cell { return &Cell{shares: map[Origin]*share{}} }

// removeSeen is the removing half of rules 1 and 2; the offsets travel apart, because only the effect's origin knows
// what it saw of each share.
func (c *Cell) removeSeen(ctx context) {
	c.writes = slices.DeleteFunc(c.writes, func(w write) bool { return ctx.seen(w.stamp) })
}

// add is the writing half of rule 1.
func (c *Cell) add(stamp Stamp, value string) { c.writes = append(c.writes, write{stamp, value}) }

// setShare is rule 3 for an increment: the origin's share is replaced. A new start voids the old offset.
func (c *Cell) setShare(origin Origin, start, last instant, sum *big.Rat, float bool) {
	old := c.shares[origin]
	if old == nil || old.start != start {
		c.shares[origin] = &share{start: start, last: last, sum: sum, float: float, offsetSum: new(big.Rat)}
		return
	}
	old.last, old.sum, old.float = last, sum, float
}

// offset is rule 3 for resets: of two offsets of one share the one with the later stamp counts, and one with another
// start is void.
func (c *Cell) offset(o Offset) {
	s := c.shares[o.Origin]
	if s == nil || s.start != o.start || o.last.compare(s.offsetLast) <= 0 {
		return
	}
	s.offsetLast, s.offsetSum = o.last, o.sum
}

// shown returns the live write with the highest stamp.
func (c *Cell) shown() (write, bool) {
	if len(c.writes) == 0 {
		return write{}, false
	}
	return slices.MaxFunc(c.writes, func(a, b write) int { return a.stamp.compare(b.stamp) }), true
}

// top returns the highest live stamp of writes and shares. Without one the cell is dead (rule 4).
func (c *Cell) top() (Stamp, bool) {
	w, live := c.shown()
	top := w.stamp
	for origin, s := range c.shares {
		if !s.live() {
			continue
		}
		if stamp := (Stamp{origin, s.last.T, s.last.Op}); !live || stamp.compare(top) > 0 {
			top, live = stamp, true
		}
	}
	return top, live
}

func (c *Cell) live() bool {
	_, live := c.top()
	return live
}

// value is rules 4 and 5: the shown write plus what the live shares add to it. Integers stop at the limits of 64 bits,
// after all have been added up. Text hides the shares, and so does infinity; a write to which nothing is added is shown
// as it was written.
func (c *Cell) value() string {
	w, written := c.shown()
	sum, integral := c.added()
	if !c.live() || written && !c.counted() {
		return w.value
	}
	if _, integer := parseInteger(w.value); written && integer && integral && sum.Sign() == 0 {
		return w.value
	}
	if written {
		base, number := parseNumber(w.value)
		if !number {
			return w.value
		}
		_, integer := parseInteger(w.value)
		sum, integral = new(big.Rat).Add(base, sum), integral && integer
	}
	if integral {
		sum = saturate(sum)
	}
	return formatNumber(sum)
}

// counted says whether a share is alive, whatever it comes to.
func (c *Cell) counted() bool {
	for _, s := range c.shares {
		if s.live() {
			return true
		}
	}
	return false
}

// added is the sum of what no reset has seen, and whether all of it are integers.
func (c *Cell) added() (sum *big.Rat, integral bool) {
	sum, integral = new(big.Rat), true
	for _, origin := range c.origins() {
		if s := c.shares[origin]; s.live() {
			sum, integral = new(big.Rat).Add(sum, s.net()), integral && !s.float
		}
	}
	return sum, integral
}

// origins lists the origins of all shares, in the one order in which all regions add them up.
func (c *Cell) origins() []Origin {
	list := make([]Origin, 0, len(c.shares))
	for origin := range c.shares {
		list = append(list, origin)
	}
	slices.SortFunc(list, Origin.compare)
	return list
}
