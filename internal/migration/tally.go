package migration

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"anabranch/translate"
)

// Tally counts commands by name, and those that active mode refuses with the reason. Its methods may be called from any goroutine.
type Tally struct {
	classifier *translate.Classifier
	refuses    func(plan *translate.Plan, args [][]byte) string
	counts     sync.Map // *translate.Command → *atomic.Int64
	writes     atomic.Int64
	all        atomic.Int64

	mu      sync.Mutex
	refused map[string]*Refused // by command and reason
}

// Refused is a command that active mode does not take.
type Refused struct {
	Command string `json:"command"`
	Reason  string `json:"reason"` // the error that a client gets
	Count   int64  `json:"count"`
}

// maxRefused bounds how many are told apart; there are some sixty in the command table.
const maxRefused = 200

// NewTally counts nothing yet. refuses says what else than the command table would refuse a command, and why; "" for nothing.
func NewTally(classifier *translate.Classifier, refuses func(plan *translate.Plan, args [][]byte) string) *Tally {
	return &Tally{classifier: classifier, refuses: refuses, refused: map[string]*Refused{}}
}

// Passed counts a command that has only been looked at.
func (t *Tally) Passed(args [][]byte) {
	plan := t.classifier.Classify(translate.Lookup(args[0]), args)
	t.Saw(&plan, args)
}

// Saw counts a command.
func (t *Tally) Saw(plan *translate.Plan, args [][]byte) {
	t.all.Add(1)
	if plan.Malformed || plan.Command == nil {
		if plan.Command == nil {
			t.refuse(strings.ToUpper(string(args[0][:min(len(args[0]), 40)])), "unknown command")
		}
		return // Redis refuses it, too, or does not know it
	}
	if plan.Class == translate.Refused {
		t.refuse(plan.Command.Name, plan.Err)
		return
	}
	if why := t.refuses(plan, args); why != "" {
		t.refuse(plan.Command.Name, why)
		return
	}
	count, known := t.counts.Load(plan.Command)
	if !known {
		count, _ = t.counts.LoadOrStore(plan.Command, new(atomic.Int64))
	}
	count.(*atomic.Int64).Add(1)
	if plan.Command.Flags&translate.FlagWrite != 0 && plan.Class != translate.Read {
		t.writes.Add(1)
	}
}

func (t *Tally) refuse(command, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := command + "\x00" + reason
	if r := t.refused[key]; r != nil {
		r.Count++
	} else if len(t.refused) < maxRefused {
		t.refused[key] = &Refused{Command: command, Reason: reason, Count: 1}
	}
}

// Refused lists them, the most frequent first.
func (t *Tally) Refused() []Refused {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []Refused{}
	for _, r := range t.refused {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b Refused) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Command, b.Command), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

// Totals is how many commands there were, and how many of them write.
func (t *Tally) Totals() (all, writes int64) { return t.all.Load(), t.writes.Load() }

// different says what an application should know of commands that work, but not quite as with one Redis.
var different = map[string]string{
	"lock":   "no lock spans regions: SET NX and SETNX can succeed in two of them at once",
	"pop":    "pops are at-least-once across regions: two that pop at the same time can get the same element",
	"id":     "ids that XADD completes have a sequence of the region's own; complete ids can be given twice",
	"group":  "RENAME, MOVE and COPY of a stream take no consumer groups along",
	"script": "functions and scripts belong to their region: load them in each",
	"wait":   "WAIT is about the replicas of this region; CRDT WAIT is about other regions",
}

var differentCommands = map[string]string{
	"SETNX": "lock", "MSETNX": "lock", "HSETNX": "lock", "LPOP": "pop", "RPOP": "pop", "BLPOP": "pop", "BRPOP": "pop", "LMPOP": "pop", "BLMPOP": "pop", "LMOVE": "pop",
	"BLMOVE": "pop", "RPOPLPUSH": "pop", "BRPOPLPUSH": "pop", "SPOP": "pop", "ZPOPMIN": "pop", "ZPOPMAX": "pop", "BZPOPMIN": "pop", "BZPOPMAX": "pop", "ZMPOP": "pop", "BZMPOP": "pop",
	"XADD": "id", "XGROUP CREATE": "group", "EVALSHA": "script", "FCALL": "script", "WAIT": "wait",
}

// Notice is something to know of commands that were seen.
type Notice struct {
	Commands []string `json:"commands"`
	Text     string   `json:"text"`
	Count    int64    `json:"count"`
}

// Notices lists them.
func (t *Tally) Notices() []Notice {
	found := map[string]*Notice{}
	t.counts.Range(func(command, count any) bool {
		name := command.(*translate.Command).Name
		if why := differentCommands[name]; why != "" {
			n := found[why]
			if n == nil {
				n = &Notice{Text: different[why]}
				found[why] = n
			}
			n.Commands, n.Count = append(n.Commands, name), n.Count+count.(*atomic.Int64).Load()
		}
		return true
	})
	list := []Notice{}
	for _, why := range slices.Sorted(maps.Keys(found)) {
		slices.Sort(found[why].Commands)
		list = append(list, *found[why])
	}
	return list
}
