package crdtmeta_test

import (
	"reflect"
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
	twin   bool      // compare with the model; off where stamps may be equal
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
	p.t.Logf("all: adopt db%d %q %v %q %v ttl=%d", db, key, v.Type, v.String, v.Elements, v.Deadline)
	for i, n := range p.nodes {
		n.adopt(p.t, db, key, v)
		p.models[i].Adopt(db, key, v)
	}
}

// write executes commands in one call at a region, in Redis and in the model, and compares replies and data.
func (p *play) write(at, db int, commands ...[]string) {
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

// popped gives the model what it cannot know: which members a random pop took. A pop that took nothing is left out.
func popped(commands [][]string, replies []redistest.Reply) (known [][]string, index []int) {
	for i, command := range commands {
		if command[0] == "SPOP" && !replies[i].IsError() {
			members := replies[i].Strings()
			if len(members) == 0 {
				continue
			}
			command = append([]string{"SREM", command[1]}, members...)
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

// compare checks a region's data against the model.
func (p *play) compare(at int) {
	got, companions := p.nodes[at].visible(p.t)
	if want := p.models[at].Dump(); p.twin && !reflect.DeepEqual(got, want) {
		p.t.Fatalf("region %c shows\n%s\nthe model\n%s", 'A'+at, describe(got), describe(want))
	}
	p.nodes[at].checkCount(p.t, companions)
}

// deliver gives entries [first, first+n) of one log to another region, and says how many of the log it has now taken.
// Starting below what was taken before is a delivery of the same entries again.
func (p *play) deliver(from, to, first, count int) {
	source, target := p.nodes[from], p.nodes[to]
	source.fetch(p.t)
	last := min(first+count, len(source.log))
	if first >= last {
		return
	}
	origin, position := source.log[0].origin, crdtmeta.Time(0)
	if taken := p.sent[from][to]; taken > 0 {
		origin, position = source.log[taken-1].origin, source.log[taken-1].t
	}
	if first < p.sent[from][to] && source.log[first].origin != origin {
		return // entries of an older epoch cannot be delivered again together with later ones
	}
	answer := target.apply(p.t, origin, position, source.log[first:last]...)
	target.fetch(p.t)
	before := p.sent[from][to]
	for p.sent[from][to] < len(source.log) && source.log[p.sent[from][to]].t <= answer.frontier {
		p.sent[from][to]++
	}
	p.t.Logf("%c<%c: entries %d to %d -> %+v", 'A'+to, 'A'+from, first, last-1, answer)
	if want := max(before, last); answer.status == "ok" && p.sent[from][to] != want {
		p.t.Fatalf("status ok, but %d entries of the log are taken and not %d", p.sent[from][to], want)
	}
	if answer.status != "ok" && answer.status != "wait" {
		p.t.Fatalf("delivery answers %+v", answer)
	}
	if p.twin {
		p.deliverModel(from, to)
		p.compare(to)
	}
}

// deliverModel brings the model to where the engine is.
func (p *play) deliverModel(from, to int) {
	var t crdtmeta.Time
	if taken := p.sent[from][to]; taken > 0 {
		t = p.nodes[from].log[taken-1].t
	}
	for _, e := range p.models[from].Log() {
		if e.T > model.Time(t) {
			break
		}
		if err := p.models[to].Apply(e); err != nil {
			p.t.Fatalf("region %c took entry %d of region %c, the model does not: %v", 'A'+to, e.T, 'A'+from, err)
		}
	}
}

// settle delivers everything, in some order, until nothing is left.
func (p *play) settle(order []int) {
	for range 100 {
		before := p.sent
		for _, link := range order {
			p.deliver(link/3, link%3, p.sent[link/3][link%3], 1000)
		}
		// An applied batch makes a frontier record, which is delivered too, but makes no record of its own.
		if before == p.sent {
			for _, link := range order {
				if p.sent[link/3][link%3] < len(p.nodes[link/3].log) {
					p.t.Fatalf("entries of %c wait at %c for ever", 'A'+link/3, 'A'+link%3)
				}
			}
			return
		}
	}
	p.t.Fatalf("the regions answer each other for ever")
}

// finish settles the history and checks all that must hold then.
func (p *play) finish(order []int) {
	p.settle(order)
	first, companions := p.nodes[0].visible(p.t)
	p.nodes[0].checkCount(p.t, companions)
	for i := range p.nodes[1:] {
		other, companions := p.nodes[i+1].visible(p.t)
		if !reflect.DeepEqual(first, other) {
			p.t.Fatalf("region A shows\n%s\nregion %c\n%s", describe(first), 'B'+i, describe(other))
		}
		p.nodes[i+1].checkCount(p.t, companions)
	}
	for i := range p.nodes {
		p.compare(i)
	}
	p.replay()
}

// replay delivers everything once more: not one byte of any region may change.
func (p *play) replay() {
	for to, target := range p.nodes {
		before := target.do(p.t, "DEBUG", "DIGEST").Text
		for from, source := range p.nodes {
			if from == to {
				continue
			}
			answer := target.apply(p.t, source.log[0].origin, 0, source.log...)
			if answer.status != "ok" || answer.frontier != source.log[len(source.log)-1].t {
				p.t.Fatalf("replaying all of %c at %c: %+v", 'A'+from, 'A'+to, answer)
			}
		}
		if after := target.do(p.t, "DEBUG", "DIGEST").Text; after != before {
			p.t.Fatalf("replaying all at %c changed it", 'A'+to)
		}
	}
}
