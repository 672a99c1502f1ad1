package migration

// Outcome is what becomes of two writes of two regions to one key that do not know of each other.
type Outcome string

// The outcomes, the gravest first.
const (
	TakenTwice Outcome = "lock taken twice"     // both SET NX succeed
	PopTwice   Outcome = "popped twice"         // both regions get the same element
	OneLost    Outcome = "last write wins"      // of two values one is lost
	TypeClash  Outcome = "type clash"           // the type of the later one is shown
	Unsure     Outcome = "depends on a script"  // what scripts write is not known
	Survives   Outcome = "write over removal"   // what one region removes, the other one's write brings back
	Longest    Outcome = "longest time to live" // of two times to live the longer one holds
	Merged     Outcome = "merged"               // nothing is lost
)

var gravity = map[Outcome]int{TakenTwice: 7, PopTwice: 6, OneLost: 5, TypeClash: 4, Unsure: 3, Survives: 2, Longest: 1, Merged: 0}

// lossy are those after which the application should be looked at.
var lossy = map[Outcome]bool{TakenTwice: true, PopTwice: true, OneLost: true, TypeClash: true}

// Judge says what active mode would make of two writes to one key. docs/engine.md, section 6, has the rules that this sums up.
func Judge(a, b Footprint) Outcome {
	if a.Kind > b.Kind {
		a, b = b, a
	}
	same := a.Element == b.Element || a.Element == 0 || b.Element == 0
	switch {
	case b.Kind == Run:
		return Unsure
	case b.Kind == Live && a.Kind == Live:
		return Longest
	case b.Kind == Live:
		return Merged
	case b.Kind == Remove && (a.Kind == Remove || a.Kind == Drop || a.Kind == Take):
		return Merged
	case b.Kind == Remove:
		return Survives
	case a.Type != 0 && b.Type != 0 && a.Type != b.Type && !(a.Type == 's' && b.Type == 'p' || a.Type == 'p' && b.Type == 's'):
		return TypeClash
	case !same:
		return Merged
	case a.Kind == Lock && b.Kind == Lock:
		return TakenTwice
	case a.Kind == Take && b.Kind == Take:
		return PopTwice
	case (a.Kind == Overwrite || a.Kind == Lock) && (b.Kind == Overwrite || b.Kind == Lock):
		return OneLost
	case b.Kind == Drop && a.Kind != Take && a.Kind != Drop && a.Element == b.Element:
		return Survives
	}
	return Merged
}
