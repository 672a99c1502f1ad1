package differential

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// shortLived are templates around keys that expire soon; what lives longer is in the grammar.
const shortLived = `= any
16 PEXPIRE %k {1|10|40|100}
6 EXPIRE %k 10000
6 PERSIST %k
6 PEXPIRE %k {10|50} {NX|XX|GT|LT}
= string
10 SET %k %v PX {1|10|40}
5 GETEX %k PX {1|30}
5 SET %k %v
`

// TestManySmallHistoriesEndTheSameEverywhere plays hundreds of histories of a few commands each beside one another, every
// one on two keys of its own. What differs in the end is short enough to read.
func TestManySmallHistoriesEndTheSameEverywhere(t *testing.T) {
	const (
		rounds    = 6
		histories = 250
	)
	redistest.Slow(t)
	g := newGrammar(t, seedOf(t))
	g.add(shortLived)
	g.add(groups)
	cluster := redistest.StartCluster(t, 3)
	p := &parallelHistories{t: t, grammar: g, cluster: cluster}
	for _, region := range cluster.Regions {
		p.conns = append(p.conns, region.Dial())
	}
	for round := range rounds {
		p.told = make([]strings.Builder, histories)
		cluster.PauseAll()
		for range 4 + g.random.IntN(4) {
			p.phase(round)
			p.turn()
		}
		cluster.Heal()
		cluster.ResumeAll()
		time.Sleep(500 * time.Millisecond) // owners turn expiries into deletes
		cluster.Sync()
		p.compare(round)
	}
}

// parallelHistories is many histories that share who sees whom, and nothing else.
type parallelHistories struct {
	t       *testing.T
	grammar *grammar
	cluster *redistest.Cluster
	conns   []*redistest.Conn
	told    []strings.Builder // by history
}

// phase adds at most one command to each history, in one pipeline per region.
func (p *parallelHistories) phase(round int) {
	p.t.Helper()
	for at, c := range p.conns {
		var commands [][]string
		var of []int
		for i := range p.told {
			if p.grammar.random.IntN(3) > 0 {
				continue
			}
			// A key is named after its round and history, so that nothing of another history can meddle.
			prefix := fmt.Sprintf("%d-%d-", round, i)
			p.grammar.pools['k'] = []string{prefix + "x", prefix + "x", prefix + "y"}
			p.grammar.family = []string{"string", "hash", "set", "zset", "geo", "stream", ""}[i%7]
			commands, of = append(commands, p.grammar.command().args), append(of, i)
		}
		began := time.Now()
		replies, err := c.Pipeline(commands)
		if err != nil {
			p.t.Fatal(err)
		}
		for n, i := range of {
			fmt.Fprintf(&p.told[i], "%s %s: %s → %s\n", began.Format("05.000"), p.cluster.Regions[at].Name, strings.Join(quoted(commands[n]), " "), replies[n])
		}
	}
}

// turn changes who sees whom, and lets some time pass.
func (p *parallelHistories) turn() {
	p.t.Helper()
	said := ""
	switch p.grammar.random.IntN(4) {
	case 0, 1:
		p.cluster.Sync()
		said = "sync"
	case 2:
		pair := p.grammar.random.Perm(len(p.conns))
		one, other := p.cluster.Regions[pair[0]].Name, p.cluster.Regions[pair[1]].Name
		p.cluster.Partition(one, other)
		said = "cut " + one + "-" + other
	case 3:
		p.cluster.Heal()
		said = "heal"
	}
	pause := time.Duration(p.grammar.random.IntN(60)) * time.Millisecond
	time.Sleep(pause)
	for i := range p.told {
		fmt.Fprintf(&p.told[i], "-- %s, %v\n", said, pause)
	}
}

// compare prints the histories whose keys differ.
func (p *parallelHistories) compare(round int) {
	p.t.Helper()
	spaces := make([]redistest.Keyspace, 0, len(p.conns))
	for _, c := range p.conns {
		spaces = append(spaces, redistest.Snapshot(p.t, c))
	}
	shown := 0
	for i := range p.told {
		for _, name := range []string{"x", "y"} {
			key := fmt.Sprintf("0:%d-%d-%s", round, i, name)
			if spaces[0][key] == spaces[1][key] && spaces[0][key] == spaces[2][key] {
				continue
			}
			if shown++; shown <= 5 {
				p.t.Errorf("%s: A %+v, B %+v, C %+v after\n%s", key, spaces[0][key], spaces[1][key], spaces[2][key], p.told[i].String())
			}
		}
	}
	for _, region := range p.cluster.Regions {
		region.RequireNoMetadata(p.t)
	}
	if p.t.Failed() {
		p.t.Fatalf("round %d: %d keys differ", round, shown)
	}
}
