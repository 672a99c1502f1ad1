package crdtmeta_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestGroupsNeverSkip plays histories in which three regions add to one stream, in an order of ids that is not that of their
// arrival, and read and acknowledge it by one group. In the end every region must have delivered every entry, once, unless
// another region has acknowledged it or it was deleted. ANABRANCH_ENGINE_CHECKS is the number of histories.
func TestGroupsNeverSkip(t *testing.T) {
	histories := 60
	if text := os.Getenv(checksEnv); text != "" {
		histories, _ = strconv.Atoi(text)
	}
	nodes := startNodes(t, 3)
	for range histories {
		seed := rand.Uint64()
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			newReaders(t, nodes, seed).play()
		})
		if t.Failed() {
			return
		}
	}
}

// readers are three regions whose consumers read one group.
type readers struct {
	t         *testing.T
	nodes     []*node
	random    *rand.Rand
	told      []string
	delivered []map[string]bool // by region
	acked     map[string]bool   // in any region
	ms        int
}

func newReaders(t *testing.T, nodes []*node, seed uint64) *readers {
	r := &readers{t: t, nodes: nodes, random: rand.New(rand.NewPCG(seed, 0)), acked: map[string]bool{}, ms: 10}
	for _, n := range nodes {
		n.reset(t)
		r.delivered = append(r.delivered, map[string]bool{})
	}
	return r
}

func (r *readers) play() {
	t := r.t
	defer func() {
		if t.Failed() {
			t.Log("history:\n" + strings.Join(r.told, "\n"))
		}
	}()
	r.nodes[0].run(t, "XGROUP", "CREATE", "x", "g", "0", "MKSTREAM")
	exchange(t, r.nodes)
	for range 40 + r.random.IntN(60) {
		at := r.random.IntN(3)
		switch n := r.nodes[at]; r.random.IntN(10) {
		case 0, 1, 2:
			r.add(n)
		case 3, 4:
			r.read(at, 1+r.random.IntN(3))
		case 5, 6:
			r.acknowledge(n)
		case 7:
			if ids := strings.Fields(n.stream(t)); len(ids) > 0 && r.random.IntN(3) == 0 {
				id := ids[r.random.IntN(len(ids))]
				n.run(t, "XDEL", "x", id)
				r.tell("%d: XDEL %s", n.id, id)
			}
		default:
			from := r.nodes[r.random.IntN(3)]
			if from != n {
				from.fetch(t)
				r.tell("%d → %d: %s", from.id, n.id, n.take(t, from))
			}
		}
	}
	exchange(t, r.nodes)
	for at := range r.nodes {
		for r.read(at, 100) > 0 {
		}
	}
	requireEqual(t, r.nodes)
	for at, n := range r.nodes {
		for _, id := range strings.Fields(n.stream(t)) {
			if !r.delivered[at][id] && !r.acked[id] {
				t.Errorf("region %d never delivered %s", n.id, id)
			}
		}
	}
}

func (r *readers) tell(format string, args ...any) {
	r.told = append(r.told, fmt.Sprintf(format, args...))
}

// add writes an entry a little before or after the newest one, where this region's stream lets it.
func (r *readers) add(n *node) {
	r.ms += r.random.IntN(3)
	replies, _ := n.call(r.t, 0, []string{"XADD", "x", strconv.Itoa(r.ms - r.random.IntN(4)), "f", "v"})
	r.tell("%d: XADD → %v", n.id, replies[0])
}

// read asks for new entries, and checks that each comes once and in order.
func (r *readers) read(at, count int) int {
	n := r.nodes[at]
	reply := n.run(r.t, "XREADGROUP", "GROUP", "g", "c", "COUNT", strconv.Itoa(count), "STREAMS", "x", ">")
	ids := strings.Fields(delivered(reply))
	r.tell("%d: XREADGROUP → %v", n.id, ids)
	for _, id := range ids {
		if r.delivered[at][id] {
			r.t.Errorf("region %d delivered %s again", n.id, id)
		}
		r.delivered[at][id] = true
	}
	return len(ids)
}

// acknowledge takes one or more of what is pending.
func (r *readers) acknowledge(n *node) {
	n.pick(r.t, 0)
	pending := n.do(r.t, "XPENDING", "x", "g", "-", "+", "100").Items
	if len(pending) == 0 {
		return
	}
	words := []string{"XACK", "x", "g"}
	for range 1 + r.random.IntN(3) {
		id := pending[r.random.IntN(len(pending))].Items[0].Text
		words = append(words, id)
		r.acked[id] = true
	}
	n.run(r.t, words...)
	r.tell("%d: %s", n.id, strings.Join(words, " "))
}
