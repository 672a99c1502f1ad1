package crdtmeta_test

import (
	"reflect"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model"
)

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
		p.nodes[i].checkFormats(p.t)
	}
	p.replay()
}

// replay delivers everything once more: not one byte of any region may change. Of the vectors of merges, of which a call drops some, none is left.
func (p *play) replay() {
	for to, target := range p.nodes {
		target.pick(p.t, 0)
		other := p.nodes[(to+1)%len(p.nodes)]
		last := other.log[len(other.log)-1]
		for i := 0; target.do(p.t, "EXISTS", "crdt:ahead").Text == "1"; i++ {
			if i == 100 {
				p.t.Fatalf("vectors of merges stay at %c", 'A'+to)
			}
			target.apply(p.t, last.origin, last.t, last)
		}
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
