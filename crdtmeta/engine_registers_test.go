package crdtmeta_test

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
	"slices"
	"strings"

	"anabranch/crdtmeta/model"
)

// bytewise tells the commands whose reply or result depends on how a HyperLogLog's value is laid out.
func bytewise(command []string) bool {
	return slices.Contains([]string{"APPEND", "SETRANGE", "GETSET", "GETDEL", "GETEX"}, command[0]) ||
		command[0] == "SET" && slices.Contains(command, "GET")
}

// hasRegisters says whether a region has a HyperLogLog, or may have one after the first of the commands.
func (p *play) hasRegisters(at int, commands [][]string) bool {
	for _, command := range commands {
		if strings.HasPrefix(command[0], "PF") {
			return true
		}
	}
	for _, keys := range p.models[at].Dump() {
		for _, v := range keys {
			if v.Type == model.HLL {
				return true
			}
		}
	}
	return false
}

func (n *node) registers(t *testing.T, key string) map[string]string {
	t.Helper()
	n.pick(t, 0)
	registers, _ := redistest.Registers(n.do(t, "GET", key).Text)
	return registers
}

// A HyperLogLog from before Anabranch, or one that a client has set as a string, is a string until something is added to it.
// Concurrent first additions both carry it.
func TestStringsBecomeHyperLogLogs(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.pick(t, 0)
		n.do(t, "PFADD", "adopted", "x", "y")
	}
	a.call(t, 0, []string{"SET", "set", a.do(t, "GET", "adopted").Text}, []string{"EXPIRE", "adopted", "1000"})
	exchange(t, nodes)
	a.call(t, 0, []string{"PFADD", "adopted", "a"}, []string{"PFADD", "set", "a"})
	b.call(t, 0, []string{"PFADD", "adopted", "b"}, []string{"PFADD", "set", "b"}, []string{"PFADD", "set", "b"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	for _, key := range []string{"adopted", "set"} {
		if got := b.registers(t, key); !maps.Equal(got, model.Registers("x", "y", "a", "b")) {
			t.Errorf("%s has the registers %v", key, got)
		}
	}
	if ttl := b.do(t, "TTL", "adopted").Int(); ttl < 900 {
		t.Errorf("the TTL is %d", ttl)
	}
}

// A string may hide a HyperLogLog. When it becomes one itself, the two are joined.
func TestAHiddenHyperLogLogIsJoined(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"PFADD", "other", "x"}, []string{"PFADD", "k", "a"})
	awaitTick(nodes)
	b.call(t, 0, []string{"SET", "k", a.do(t, "GET", "other").Text})
	exchange(t, nodes)
	if got := a.registers(t, "k"); !maps.Equal(got, model.Registers("x")) {
		t.Fatalf("the string is not shown, but %v", got)
	}
	a.call(t, 0, []string{"PFADD", "k", "y"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := b.registers(t, "k"); !maps.Equal(got, model.Registers("a", "x", "y")) {
		t.Errorf("the registers are %v", got)
	}
}

// An effect carries what it adds and not the whole value, and what changes nothing is no effect.
func TestAdditionsAreSmall(t *testing.T) {
	a := regions(t, 1)[0]
	many := []string{"PFADD", "k"}
	for i := range 5000 {
		many = append(many, strconv.Itoa(i))
	}
	a.call(t, 0, many)
	_, entry := a.call(t, 0, []string{"PFADD", "k", "another", "and another"})
	if len(entry.body) > 200 {
		t.Errorf("two elements make an entry of %d bytes", len(entry.body))
	}
	a.get(t, "PFCOUNT", "k")
	if _, entry := a.call(t, 0, []string{"PFADD", "k", "another"}, []string{"PFMERGE", "k"}, []string{"PFMERGE", "k", "nosuch"}); entry != nil {
		t.Errorf("nothing changed, but the log has %s", entry.effects())
	}
}

// The registers expired here just before a longer TTL arrived: they come back from the region that set it, unless it lacks
// some of them; then they are gone in all regions.
func TestExpiredRegistersComeBack(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"PFADD", "k", "x"}, []string{"PFADD", "l", "x"}, []string{"PEXPIREAT", "k", soon(2000)}, []string{"PEXPIREAT", "l", soon(2000)})
	exchange(t, nodes)
	a.call(t, 0, []string{"PFADD", "k", "y"}, []string{"PERSIST", "k"}, []string{"PERSIST", "l"})
	b.call(t, 0, []string{"PFADD", "l", "z"})
	time.Sleep(2100 * time.Millisecond)
	a.fetch(t)
	if story := b.take(t, a); story != "fetch 0 k, fetch 0 l, ok" {
		t.Errorf("region 2 took the log so: %s", story)
	}
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := b.registers(t, "k"); !maps.Equal(got, model.Registers("x", "y")) {
		t.Errorf("the registers are %v", got)
	}
	b.call(t, 0, []string{"PFADD", "l", "new"})
	exchange(t, nodes)
	requireEqual(t, nodes)
	if got := a.registers(t, "l"); !maps.Equal(got, model.Registers("new")) {
		t.Errorf("the registers are %v", got)
	}
}
