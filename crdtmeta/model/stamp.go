package model

import (
	"cmp"
	"fmt"
	"strings"
)

// Origin names one uninterrupted history of one region's shard. Its text form is "<region>.<shard>.<epoch>".
type Origin struct {
	Region, Shard int
	Epoch         string
}

func (o Origin) String() string { return fmt.Sprintf("%d.%d.%s", o.Region, o.Shard, o.Epoch) }

func (o Origin) compare(p Origin) int {
	return cmp.Or(cmp.Compare(o.Region, p.Region), cmp.Compare(o.Shard, p.Shard), strings.Compare(o.Epoch, p.Epoch))
}

// Time is ms*2048 + seq, which is how one integer carries the id of a log entry.
type Time int64

// At returns the first time of a millisecond.
func At(unixMillis int64) Time { return Time(unixMillis * 2048) }

// Stamp is the identity and the time of one effect. The zero Stamp belongs to data that every region has always known.
type Stamp struct {
	Origin Origin
	T      Time
	Op     int
}

// compare orders concurrent stamps; the highest wins. It says nothing about who has seen what.
func (s Stamp) compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.T, o.T), cmp.Compare(s.Op, o.Op), s.Origin.compare(o.Origin))
}

// instant is a place in the history of one origin: a stamp whose origin is known from elsewhere.
type instant struct {
	T  Time
	Op int
}

func (s Stamp) instant() instant { return instant{s.T, s.Op} }

func (i instant) compare(j instant) int {
	return cmp.Or(cmp.Compare(i.T, j.T), cmp.Compare(i.Op, j.Op))
}

// Frontier is a version vector: the time of the last whole entry known from each origin.
type Frontier map[Origin]Time

// covers reports whether all that o names is known to f.
func (f Frontier) covers(o Frontier) bool {
	for origin, t := range o {
		if f[origin] < t {
			return false
		}
	}
	return true
}

func (f Frontier) clone() Frontier {
	c := make(Frontier, len(f))
	for origin, t := range f {
		c[origin] = t
	}
	return c
}

// context is what one effect has seen: the frontier of its region, and all of its own origin before itself.
type context struct {
	self     Stamp
	frontier Frontier
}

func (c context) seen(s Stamp) bool {
	switch s.Origin {
	case Origin{}:
		return true
	case c.self.Origin:
		return s.instant().compare(c.self.instant()) < 0
	}
	return s.T <= c.frontier[s.Origin]
}
