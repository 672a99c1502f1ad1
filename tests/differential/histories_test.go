package differential

import (
	"fmt"
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
	h.grammar.templates = append(h.grammar.templates, strings.Split(strings.Repeat(
		"PEXPIRE %k {1|10|40|100}\nSET %k %v PX {1|10|40}\nGETEX %k PX {1|30}\nEXPIRE %k 10000\nPERSIST %k\nSET %k %v\n", 3)+"TTL %k", "\n")...)
	for round := range 25 {
		// Whoever owns an expiry turns it into a delete soon after; only then do all regions have to be equal.
		h.round(round, 600*time.Millisecond)
	}
}

// histories is three regions and what was done to them.
type histories struct {
	t       *testing.T
	grammar *grammar
	cluster *redistest.Cluster
	conns   []*redistest.Conn
	told    []string // the current round, for the message of a failure
}

func newHistories(t *testing.T) *histories {
	t.Helper()
	h := &histories{t: t, grammar: newGrammar(t, seedOf(t)), cluster: redistest.StartCluster(t, 3)}
	for _, region := range h.cluster.Regions {
		h.conns = append(h.conns, region.Dial())
	}
	return h
}

// round plays one history to its end and compares the regions. Keys and metadata of the rounds before stay, most times.
func (h *histories) round(number int, patience time.Duration) {
	h.t.Helper()
	h.told = nil
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
	h.cluster.RequireEqual(h.t)
	for _, region := range h.cluster.Regions {
		region.RequireNoMetadata(h.t)
	}
	if h.t.Failed() {
		h.t.Fatalf("round %d; the history was:\n%s", number, strings.Join(h.told, "\n"))
	}
	if number%10 == 9 {
		h.conns[h.grammar.random.IntN(len(h.conns))].Must("FLUSHALL")
	}
}

func (h *histories) write() {
	h.t.Helper()
	at := h.grammar.random.IntN(len(h.conns))
	command := h.grammar.command().args
	reply := h.conns[at].Do(command...)
	h.tell("%s: %s → %s", h.cluster.Regions[at].Name, strings.Join(quoted(command), " "), reply)
}

// turn changes who sees whom.
func (h *histories) turn() {
	h.t.Helper()
	switch h.grammar.random.IntN(4) {
	case 0, 1:
		h.tell("-- sync")
		h.cluster.Sync()
	case 2:
		pair := h.grammar.random.Perm(len(h.conns))
		one, other := h.cluster.Regions[pair[0]].Name, h.cluster.Regions[pair[1]].Name
		h.tell("-- cut %s-%s", one, other)
		h.cluster.Partition(one, other)
	case 3:
		h.tell("-- heal")
		h.cluster.Heal()
	}
}

func (h *histories) tell(format string, args ...any) {
	h.told = append(h.told, time.Now().Format("05.000 ")+fmt.Sprintf(format, args...))
}
