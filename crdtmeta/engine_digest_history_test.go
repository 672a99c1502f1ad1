package crdtmeta_test

import (
	"strconv"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"

	"pgregory.net/rapid"
)

// shownAt is what one region answers about one key, with its frontier.
type shownAt struct {
	value, token, remark string
	frontier             crdtmeta.Frontier
}

func (n *node) shownAt(f failer, db int) []shownAt {
	f.Helper()
	n.pick(f, db)
	words := []string{"FCALL", crdtmeta.FuncFree, "0", strconv.Itoa(db), strconv.Itoa(len(history.Keys) + 2), "XCRDT.DIGEST", "KEYS"}
	reply := n.do(f, append(words, history.Keys...)...).Items[0]
	if len(reply.Items) != len(history.Keys)+2 {
		f.Fatalf("region %d answers %s", n.id, reply)
	}
	frontier, err := crdtmeta.ParseFrontier(pairs(reply.Items[1].Strings()))
	if err != nil {
		f.Fatalf("region %d: %v", n.id, err)
	}
	var list []shownAt
	for _, item := range reply.Items[2:] {
		w := item.Strings()
		list = append(list, shownAt{w[0] + w[1] + w[2], w[3], w[7], frontier})
	}
	return list
}

func (n *node) page(f failer, db int) redistest.Reply {
	f.Helper()
	n.pick(f, db)
	words := []string{"FCALL", crdtmeta.FuncFree, "0", strconv.Itoa(db), strconv.Itoa(len(history.Keys) + 2), "XCRDT.DIGEST", "PAGE"}
	return n.do(f, append(words, history.Keys...)...)
}

// watched is the rule of package verify in a few lines: a key is different when nothing has happened to it since an earlier
// look, and all regions have applied all that any had then.
type watched struct {
	first []shownAt
	need  crdtmeta.Frontier
}

func (w *watched) differs(looks []shownAt) bool {
	same, still, covered := true, w.first != nil, true
	for i, l := range looks {
		same = same && l.value == looks[0].value
		still = still && l.value == w.first[i].value && l.token == w.first[i].token
		covered = covered && l.frontier.CoversAll(w.need)
	}
	if !still {
		w.first, w.need = looks, crdtmeta.Frontier{}
		for _, l := range looks {
			for origin, t := range l.frontier {
				w.need.Raise(origin, t)
			}
		}
	}
	return !same && still && covered
}

// Whatever is on its way, however late and in whatever order, and whatever has been collected where: no key is called different.
func TestNoHistoryMakesADifference(t *testing.T) {
	nodes := startNodes(t, 3)
	checkHistories(t, 60, func(rt *rapid.T) {
		p := newPlay(rt, nodes, true)
		keys := map[int][]watched{}
		for _, db := range databases {
			keys[db] = make([]watched, len(history.Keys))
		}
		collectors := make([]collector, len(nodes))
		p.after = func() {
			if at := rapid.IntRange(0, 3*len(nodes)).Draw(rt, "collect"); at < len(nodes) {
				p.collect(at, &collectors[at])
			}
			for _, db := range databases {
				var lists [][]shownAt
				for _, n := range nodes {
					lists = append(lists, n.shownAt(rt, db))
				}
				for i := range keys[db] {
					looks := []shownAt{lists[0][i], lists[1][i], lists[2][i]}
					if keys[db][i].differs(looks) {
						rt.Fatalf("db%d %q is called different: %+v", db, history.Keys[i], looks)
					}
				}
			}
		}
		randomHistory(p, history.Integers, history.Fractions)
		for _, db := range databases {
			pages := []string{nodes[0].page(rt, db).String(), nodes[1].page(rt, db).String(), nodes[2].page(rt, db).String()}
			if pages[0] != pages[1] || pages[0] != pages[2] {
				rt.Fatalf("db%d: all has arrived, and the pages differ: %q", db, pages)
			}
			for at, n := range nodes {
				for i, l := range n.shownAt(rt, db) {
					if l.remark != "" {
						rt.Fatalf("db%d %q in %c: metadata and data do not fit: %+v", db, history.Keys[i], 'A'+at, l)
					}
				}
			}
		}
	})
}
