package history

import "pgregory.net/rapid"

// Regions is how many regions take part in a history.
const Regions = 3

// Links are the ordered pairs of different regions, as 3*from + to.
var Links = []int{1, 2, 3, 5, 6, 7}

// Action is one step of a history.
type Action struct {
	Kind     ActionKind
	At       int        // Write, Epoch, Reload: the region
	DB       int        // Write: the selected database
	Commands [][]string // Write: executed in one call
	Link     int        // Deliver, Again
	Count    int        // Deliver, Again: the most entries at a time
	Back     int        // Again: how many entries before the first one that was not taken
	Cut      int        // Cut: a bit for each link that lets nothing through
}

// ActionKind says what an Action does.
type ActionKind int

const (
	Rest ActionKind = iota // nothing happens; what shrinking turns actions into
	Write
	Deliver // the next entries of one log go to another region
	Again   // entries that were delivered before are delivered again
	Cut     // a partition begins or changes; 0 heals everything
	Epoch   // the region restarts and goes on in a new epoch
	Reload  // the engine loses what it had in memory, and goes on in the same epoch
)

// Script is a whole history. It is data, drawn before anything runs, so that shrinking can leave out any action.
type Script struct {
	Actions []Action
	Order   []int // the order of links in which the regions come to rest
}

// Script draws a history.
func (g Generator) Script(t *rapid.T) Script {
	// Rapid keeps close to the least length, so that has to vary.
	least := rapid.SampledFrom([]int{1, 10, 30, 60}).Draw(t, "length")
	return Script{
		Actions: rapid.SliceOfN(rapid.Custom(g.action), least, 150).Draw(t, "actions"),
		Order:   rapid.Permutation(Links).Draw(t, "order of links"),
	}
}

// cuts are the partitions: nothing, one region alone, one link in both directions, one direction.
var cuts = []int{0, 0, 1<<1 | 1<<2 | 1<<3 | 1<<6, 1<<1 | 1<<3, 1<<2 | 1<<6, 1<<5 | 1<<7, 1 << 1, 1 << 6}

// kinds is a table because rapid draws small numbers more often: kinds take turns in it.
var kinds = []ActionKind{
	Rest, Write, Deliver, Write, Cut, Deliver, Write, Again, Deliver, Write, Deliver, Write, Deliver, Write, Deliver, Write,
	Write, Deliver, Write, Deliver, Write, Deliver, Write, Deliver, Epoch, Write, Deliver, Write, Reload, Write, Deliver, Write,
}

func (g Generator) action(t *rapid.T) Action {
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case Write:
		a := Action{Kind: kind, At: rapid.IntRange(0, Regions-1).Draw(t, "region")}
		if rapid.IntRange(0, 4).Draw(t, "database") == 4 {
			a.DB = 1
		}
		count := max(1, rapid.IntRange(-8, 4).Draw(t, "commands"))
		a.Commands = rapid.SliceOfN(rapid.Custom(g.Command), count, count).Draw(t, "commands")
		return a
	case Epoch, Reload:
		return Action{Kind: kind, At: rapid.IntRange(0, Regions-1).Draw(t, "region")}
	case Deliver:
		return Action{Kind: kind, Link: rapid.SampledFrom(Links).Draw(t, "link"), Count: rapid.IntRange(1, 6).Draw(t, "entries")}
	case Again:
		return Action{
			Kind: kind, Link: rapid.SampledFrom(Links).Draw(t, "link"), Count: rapid.IntRange(1, 6).Draw(t, "entries"),
			Back: rapid.IntRange(1, 10).Draw(t, "back"),
		}
	case Cut:
		return Action{Kind: kind, Cut: rapid.SampledFrom(cuts).Draw(t, "cut")}
	default:
		return Action{}
	}
}
