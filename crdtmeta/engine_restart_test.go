package crdtmeta_test

import (
	"strings"
	"testing"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// restart kills the server, as a crash does, and comes back with what the append-only file holds.
func (n *node) restart(t *testing.T) {
	t.Helper()
	n.server.Kill()
	n.server.Restart()
	n.conn = redistest.Dial(t, n.server.Addr)
	n.db = -1
}

// A restarted server has its data and the library, but is not armed. It goes on in a new epoch, and a peer takes both
// epochs from the one log.
func TestRestartBeginsAnEpochThatPeersFollow(t *testing.T) {
	a, b := regions(t, 1, redistest.WithAOF())[0], regions(t, 2)[1]
	first := a.origin
	a.call(t, 0, []string{"INCRBY", "c", "5"}, []string{"SADD", "s", "m", "n"})
	a.call(t, 1, []string{"SET", "k", "v"})
	halfway := b.apply(t, a.origin, 0, a.log...)

	a.call(t, 0, []string{"INCRBY", "c", "1"})
	a.restart(t)
	a.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncWrite, "0", "0", "3", "SET", "k", "v")
	a.arm(t, "life2", "repl")
	if a.origin == first || a.origin.Counter() != first.Counter()+1 {
		t.Fatalf("after %v came %v", first, a.origin)
	}
	// A new epoch starts new counter shares, and has seen all of the old one.
	a.call(t, 0, []string{"INCRBY", "c", "2"}, []string{"SREM", "s", "m"})
	a.call(t, 0, []string{"SET", "after", "1"})
	if c := a.get(t, "GET", "c"); c != `"8"` {
		t.Fatalf("c is %s", c)
	}
	kinds := ""
	for _, e := range a.log {
		kinds += string(rune(e.kind))
	}
	if kinds != "tfeeetfee" {
		t.Fatalf("the log has entries of kinds %s", kinds)
	}

	if answer := b.apply(t, first, halfway.frontier, a.log...); answer.status != "ok" || answer.done != len(a.log) {
		t.Fatalf("answer %+v", answer)
	}
	requireSame(t, "the restarted region", a, "its peer", b, 0)

	// The other way round: the peer's next effects have seen both epochs.
	b.call(t, 0, []string{"DEL", "c"}, []string{"SET", "k2", "v"})
	b.fetch(t)
	a.pick(t, 0)
	if answer := a.apply(t, b.origin, 0, b.log...); answer.status != "ok" {
		t.Fatalf("answer %+v", answer)
	}
	if c := a.get(t, "GET", "c"); c != "(nil)" {
		t.Fatalf("c is %s: the delete has seen the shares of both epochs", c)
	}
}

// Shares of an epoch that has ended are frozen: increments of the new epoch count beside them, and a peer that still has
// the old epoch only does not lose them.
func TestCountersOverManyEpochs(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for life := range 5 {
		a.arm(t, "life"+string(rune('a'+life)), "repl")
		a.call(t, 0, []string{"INCRBY", "c", "10"}, []string{"HINCRBY", "h", "f", "3"})
		b.call(t, 0, []string{"INCRBY", "c", "1"})
	}
	first, err := crdtmeta.DecodeHeader([]byte(a.log[0].body))
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range []int{1, 3, 2, 4, len(a.log)} { // epochs begin inside chunks and between them
		position, origin := b.frontierOf(t, first.Origin), first.Origin
		sent := 0
		for sent < len(a.log) && a.log[sent].t <= position {
			sent++
		}
		if answer := b.apply(t, origin, position, a.log[:min(len(a.log), sent+chunk)]...); answer.status != "ok" {
			t.Fatalf("answer %+v", answer)
		}
	}
	b.fetch(t)
	if answer := a.apply(t, b.origin, 0, b.log...); answer.status != "ok" {
		t.Fatalf("answer %+v", answer)
	}
	for _, n := range nodes {
		if c, h := n.get(t, "GET", "c"), n.get(t, "HGET", "h", "f"); c != `"55"` || h != `"15"` {
			t.Errorf("region %d: c=%s h=%s", n.id, c, h)
		}
	}
}

func (n *node) frontierOf(t *testing.T, origin crdtmeta.Origin) crdtmeta.Time {
	t.Helper()
	n.pick(t, 0)
	reply := n.do(t, "HGET", "crdt:frontier", origin.String())
	if reply.Null {
		return 0
	}
	at, err := crdtmeta.ParseTime(reply.Text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// A leader outlives its server. One that came back with old data is held from writing, whatever the leader says before it is armed.
func TestAnUnarmedServerGivesNoSignOfLife(t *testing.T) {
	a := regions(t, 1, redistest.WithAOF())[0]
	a.do(t, "FCALL", crdtmeta.FuncAlive, "0")
	a.do(t, "SET", "crdt:alive", "1000") // long ago
	a.restart(t)
	a.pick(t, 0)
	a.fails(t, "CRDTTAKEOVER", "FCALL", crdtmeta.FuncAlive, "0")
	a.do(t, "FCALL", crdtmeta.FuncArm, "0", "1", "region1", "0", "abcdef", "life2", "repl", "semi-strict", "values", "250")
	if why := a.do(t, "GET", "crdt:held").Text; !strings.HasPrefix(why, "this region was away for ") {
		t.Errorf("clients are not held: %q", why)
	}
	a.do(t, "FCALL", crdtmeta.FuncAlive, "0")
	if at := a.do(t, "GET", "crdt:alive").Int(); at < 1_600_000_000_000 {
		t.Errorf("the sign of life is at %d", at)
	}
}
