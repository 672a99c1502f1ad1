package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// TestRandomHistoriesEndTheSameEverywhere writes random commands in three regions that see each other now and then, and
// not always all of each other. Afterwards all must be equal.
func TestRandomHistoriesEndTheSameEverywhere(t *testing.T) {
	h := newHistories(t)
	for round := range 40 {
		h.round(round, 0)
	}
}

// TestRandomExpiriesEndTheSameEverywhere is the same with keys that expire in the middle of it.
func TestRandomExpiriesEndTheSameEverywhere(t *testing.T) {
	h := newHistories(t)
	h.grammar.add(shortLived)
	for round := range 15 {
		// Whoever owns an expiry turns it into a delete soon after; only then do all regions have to be equal.
		h.round(round, 600*time.Millisecond)
	}
}

// databases are templates that leave the one database, or empty it.
const databases = `= any
SELECT {0|1}
2 SELECT 0
MOVE %k {0|1}
COPY %k %k DB {0|1} {|REPLACE}
FLUSHDB
FLUSHALL
`

// groups are templates of which plain Redis would keep something else: groups do not go to another key, and generated ids
// are those of a region.
const groups = `= stream
3 XADD %k * f %v
XADD %k MAXLEN ~ 2 * f %v
2 XADD %k {5|6-*} f %v
3 XGROUP CREATE %k {g|h} {0|$|2-1} {|MKSTREAM}
XGROUP DESTROY %k {g|h}
XGROUP SETID %k g %x
3 XREADGROUP GROUP {g|h} {c|d} {|COUNT 1} {|NOACK} STREAMS %k >
XACK %k {g|h} %x %x
XCLAIM %k g d 0 %x {|FORCE}
XAUTOCLAIM %k g d 0 0
`

// histories is three regions and what was done to them.
type histories struct {
	t       *testing.T
	grammar *grammar
	cluster *redistest.Cluster
	conns   []*redistest.Conn
	told    []event // everything so far, for the message of a failure
}

// event is a command or a change of who sees whom.
type event struct {
	text string
	keys []string // what the command names; nil for a change
}

func newHistories(t *testing.T, opts ...redistest.ClusterOption) *histories {
	t.Helper()
	redistest.Slow(t)
	h := &histories{t: t, grammar: newGrammar(t, seedOf(t)), cluster: redistest.StartCluster(t, 3, opts...)}
	h.grammar.add(databases)
	h.grammar.add(groups)
	for _, region := range h.cluster.Regions {
		h.conns = append(h.conns, region.Dial())
	}
	return h
}

// round plays one history to its end and compares the regions. Keys and metadata of the rounds before stay, most times.
func (h *histories) round(number int, patience time.Duration) {
	h.t.Helper()
	h.cluster.PauseAll()
	for range 6 {
		for range 30 {
			h.write()
		}
		h.turn()
	}
	h.cluster.Heal()
	if patience > 0 {
		h.cluster.ResumeAll()
		time.Sleep(patience)
	}
	h.cluster.Sync()
	h.compare(number)
	if number%10 == 9 {
		at := h.grammar.random.IntN(len(h.conns))
		h.conns[at].Must("FLUSHALL")
		h.tell(nil, "%s: FLUSHALL", h.cluster.Regions[at].Name)
	}
}

func (h *histories) write() {
	h.t.Helper()
	at := h.grammar.random.IntN(len(h.conns))
	command := h.grammar.command().args
	reply := h.conns[at].Do(command...)
	h.tell(command[1:], "%s: %s → %s", h.cluster.Regions[at].Name, strings.Join(quoted(command), " "), reply)
}

// turn changes who sees whom.
func (h *histories) turn() {
	h.t.Helper()
	switch h.grammar.random.IntN(4) {
	case 0, 1:
		h.tell(nil, "-- sync")
		h.cluster.Sync()
	case 2:
		pair := h.grammar.random.Perm(len(h.conns))
		one, other := h.cluster.Regions[pair[0]].Name, h.cluster.Regions[pair[1]].Name
		h.tell(nil, "-- cut %s-%s", one, other)
		h.cluster.Partition(one, other)
	case 3:
		h.tell(nil, "-- heal")
		h.cluster.Heal()
	}
}

func (h *histories) tell(keys []string, format string, args ...any) {
	h.told = append(h.told, event{time.Now().Format("05.000 ") + fmt.Sprintf(format, args...), keys})
}

// compare ends the test when regions differ, with all that was ever done to the keys in question.
func (h *histories) compare(round int) {
	h.t.Helper()
	var spaces []redistest.Keyspace
	for _, region := range h.cluster.Regions {
		region.RequireNoMetadata(h.t)
		spaces = append(spaces, redistest.Snapshot(h.t, redistest.Dial(h.t, region.Proxy().Addr)))
	}
	differing := map[string]bool{}
	for at, space := range spaces[1:] {
		if diff := redistest.Diff(spaces[0], space, 0, 20); diff != "" {
			h.t.Errorf("round %d: regions A | %s differ:\n%s", round, h.cluster.Regions[at+1].Name, diff)
		}
		for _, side := range []redistest.Keyspace{spaces[0], space} {
			for name := range side {
				if spaces[0][name] != space[name] {
					_, key, _ := strings.Cut(name, ":")
					differing[key] = true
				}
			}
		}
	}
	if !h.t.Failed() {
		return
	}
	var story strings.Builder
	for _, e := range h.told {
		if len(e.keys) == 0 || slices.ContainsFunc(e.keys, func(key string) bool { return differing[key] }) {
			story.WriteString(e.text + "\n")
		}
	}
	h.t.Fatalf("what concerns these keys:\n%s", story.String())
}
