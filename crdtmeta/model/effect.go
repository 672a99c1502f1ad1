package model

import "math/big"

// Kind is the kind of an effect; the letters are those of docs/engine.md, section 5. What the engine spells "A", an
// addition with offsets, is an Add here, since every effect has offsets.
type Kind byte

const (
	Overwrite Kind = 'S' // string write that overwrites the whole key and its TTL
	Edit      Kind = 'W' // string write that leaves the TTL alone
	Add       Kind = 'a' // elements written
	Remove    Kind = 'r' // elements removed
	Increment Kind = 'i' // the origin's share of one cell
	Delete    Kind = 'R' // the whole key removed, with its TTL
	Expire    Kind = 'E' // TTL set, removed or void
	Flush     Kind = 'F' // a database, or all of them, emptied

	Insert     Kind = 'l' // elements put into a list
	TakeOut    Kind = 'd' // elements of a list removed
	SetElement Kind = 'L' // the value of one element of a list
)

// Deadlines of Expire that are no time.
const (
	Persist = 0  // the key shall not expire
	Void    = -1 // the TTLs seen belong to an earlier life of the key
)

// AllDatabases is the DB of a Flush of everything.
const AllDatabases = -1

// Element is one written or removed element of a collection; Value is a hash field's value or a score.
type Element struct{ Name, Value string }

// Offset is the part of one share that an effect has seen and takes out.
type Offset struct {
	DB      int
	Key     string
	Type    Type
	Element string
	Origin  Origin

	start, last instant
	sum         *big.Rat
}

// Effect is what a command did, in a form that every region can merge. Which fields count depends on Kind.
type Effect struct {
	Kind     Kind
	DB       int
	Key      string
	Type     Type
	Value    string
	Elements []Element
	Deadline int64
	Offsets  []Offset

	Values []string // of the elements that an Insert puts behind each other
	base   base     // of an Insert
	places []place  // of a TakeOut or SetElement

	start instant // of the share, for an Increment; the zero instant means that the share starts here
	sum   *big.Rat
	float bool
}

// Entry is the log entry of one call: one atomic step, at its origin and everywhere else.
type Entry struct {
	Origin  Origin
	T       Time
	Prev    Time     // the origin's entry before this one, 0 for the first
	Context Frontier // what its region had applied of the others
	Effects []Effect
}
