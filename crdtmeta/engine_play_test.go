package crdtmeta_test

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model"
	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"

	"pgregory.net/rapid"
)

// play is one history in progress: three regions with the engine, the same three in the model, and what has been
// delivered between them.
type play struct {
	t      *rapid.T
	nodes  []*node
	models []*model.Region
	sent   [3][3]int // entries of the log of [from] that [to] has taken
	cut    int       // links that are
	twin   bool      // compare with the model; off where stamps may be equal
	merged bool      // some states were merged
	after  func()    // called after each step of a random history, if set
}

func newPlay(t *rapid.T, nodes []*node, twin bool) *play {
	p := &play{t: t, nodes: nodes, twin: twin}
	for _, n := range nodes {
		n.reset(t)
		n.fetch(t)
		p.models = append(p.models, model.NewRegion(modelOrigin(n.origin)))
	}
	return p
}

// deadlines is far ahead of any test run, and so are all TTLs of the histories.
const deadlines = 9_000_000_000_000

// adopt writes the same data past the engine in all regions.
func (p *play) adopt(db int, key string, v model.Value) {
	p.t.Logf("all: adopt db%d %q %v %q %v %q ttl=%d", db, key, v.Type, v.String, v.Elements, v.List, v.Deadline)
	for i, n := range p.nodes {
		n.adopt(p.t, db, key, v)
		p.models[i].Adopt(db, key, v)
	}
}

// write executes commands in one call at a region, in Redis and in the model, and compares replies and data. Where
// HyperLogLogs are in play they go one by one, without those that would show or change their bytes.
func (p *play) write(at, db int, commands ...[]string) {
	if p.twin && (len(commands) > 1 || bytewise(commands[0])) && p.hasRegisters(at, commands) {
		for _, c := range commands {
			if !bytewise(c) || p.models[at].Dump()[db][c[1]].Type != model.HLL {
				p.call(at, db, c)
			}
		}
		return
	}
	p.call(at, db, commands...)
}

func (p *play) call(at, db int, commands ...[]string) {
	n := p.nodes[at]
	if p.twin {
		awaitTick(p.nodes)
	}
	var text []string
	for _, c := range commands {
		text = append(text, history.Quote(c))
	}
	replies, entry := n.call(p.t, db, commands...)
	var shown []string
	for _, r := range replies {
		shown = append(shown, r.String())
	}
	p.t.Logf("%c db%d: %s -> %s  [%s]", 'A'+at, db, strings.Join(text, " ; "), strings.Join(shown, " ; "), entry.effects())
	if !p.twin {
		return
	}
	t := p.models[at].Next(time.Now().UnixMilli())
	if entry != nil {
		t = model.Time(entry.t)
	}
	known, index := popped(commands, replies)
	want, modelEntry := p.models[at].Call(t, db, known)
	for i, reply := range want {
		got := print(replies[index[i]])
		if known[i][0] == "SREM" && commands[index[i]][0] == "SPOP" {
			got = strconv.Itoa(len(replies[index[i]].Items))
		}
		if !sameReply(got, reply) {
			// How far a stream's ids have gone belongs to its life in one region; a merge brings that of another one.
			if p.merged && (known[i][0] == "XADD" || known[i][0] == "XSETID") && strings.Contains(got, "smaller than the target stream top item") {
				p.t.Skip("an id is below one that the stream has had elsewhere")
			}
			p.t.Fatalf("region %c: %s replies %s, the model %s", 'A'+at, history.Quote(commands[index[i]]), got, history.Print(reply))
		}
	}
	if (entry == nil) != (modelEntry == nil) {
		p.t.Fatalf("region %c: %s: the engine logs %v, the model %+v", 'A'+at, strings.Join(text, " ; "), entry, modelEntry)
	}
	p.compare(at)
}

// arm lets a region go on: in a new epoch where it has begun another life, as after a restart that has lost nothing.
func (p *play) arm(at int) {
	n := p.nodes[at]
	if p.twin {
		awaitTick(p.nodes)
	}
	n.arm(p.t, runID(n), "repl")
	n.fetch(p.t)
	if origin := modelOrigin(n.origin); origin != p.models[at].Origin() {
		p.models[at].Begin(origin)
	}
	p.t.Logf("%c is armed as %v", 'A'+at, n.origin)
}

// popped gives the model what it cannot know: which members a random pop took, and which id the server made. A pop that took
// nothing is left out.
func popped(commands [][]string, replies []redistest.Reply) (known [][]string, index []int) {
	for i, command := range commands {
		if command[0] == "SPOP" && !replies[i].IsError() {
			members := replies[i].Strings()
			if len(members) == 0 {
				continue
			}
			command = append([]string{"SREM", command[1]}, members...)
		}
		if star := slices.Index(command, "*"); command[0] == "XADD" && star > 0 && !replies[i].IsError() && !replies[i].Null {
			command = slices.Clone(command)
			command[star] = replies[i].Text
		}
		known, index = append(known, command), append(index, i)
	}
	return known, index
}

// print gives a reply of Redis the form of the model's.
func print(r redistest.Reply) string {
	switch {
	case r.Null:
		return history.Print(nil)
	case r.IsError():
		return history.Print(model.Failure(r.Text))
	case r.Kind == ':', r.Kind == '+':
		return r.Text
	case r.Kind == '*':
		parts := make([]string, len(r.Items))
		for i, item := range r.Items {
			parts[i] = print(item)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return strconv.Quote(r.Text)
}

// sameReply allows for integers that a Lua number cannot carry: they come as digits in a bulk string. At the limits of
// 64 bits an increment may answer with the number that is shown or with the one before it was limited.
func sameReply(got string, want any) bool {
	number, isInteger := want.(int64)
	if got == history.Print(want) || !isInteger {
		return got == history.Print(want)
	}
	replied, err := strconv.ParseInt(strings.Trim(got, `"`), 10, 64)
	if err != nil || number < 1<<53 && number > -1<<53 {
		return false
	}
	return replied == number || number > limits && replied > limits || number < -limits && replied < -limits
}

// limits is where sums of several regions may leave 64 bits.
const limits = 1<<63 - 1<<58

// explain logs what the engine knows of all keys of a region.
func (p *play) explain(at int) {
	for _, db := range databases {
		p.nodes[at].pick(p.t, db)
		for _, key := range history.Keys {
			reply := p.nodes[at].do(p.t, "FCALL", crdtmeta.FuncFree, "0", strconv.Itoa(db), "2", "XCRDT.EXPLAIN", key)
			p.t.Logf("%c db%d %q: %s", 'A'+at, db, key, reply)
		}
	}
}

// compare checks a region's data against the model.
func (p *play) compare(at int) {
	got, companions := p.nodes[at].visible(p.t)
	if want := p.models[at].Dump(); p.twin && !reflect.DeepEqual(got, want) {
		p.explain(at)
		p.t.Fatalf("region %c shows\n%s\nthe model\n%s", 'A'+at, describe(got), describe(want))
	}
	p.nodes[at].checkCount(p.t, companions)
}
