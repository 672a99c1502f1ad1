package crdtmeta

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// Kind is the first element of a log entry's body (docs/engine.md, section 4).
type Kind byte

// The kinds of log entries.
const (
	KindEffects Kind = 'e' // effects of one local call
	KindRecord  Kind = 'f' // the full frontier after applying remote effects
	KindEpoch   Kind = 't' // a new epoch began
)

var errEntry = errors.New("not a log entry")

// Header is what the peer link needs of an entry. Effects are left undecoded: only the engine looks at them.
type Header struct {
	Kind     Kind
	Origin   Origin   // who wrote the entry; for KindEpoch the new origin
	Written  int64    // KindEffects, KindRecord: how many effects the epoch has had, this entry's included
	Frontier Frontier // KindRecord: the origin's frontier
	Previous Origin   // KindEpoch: the epoch before, zero for the first one of a region
	Last     Time     // KindEpoch: the last entry of Previous
	Values   int      // KindEffects: how many values follow
}

// DecodeHeader reads an entry's body. For effects it reads the first three elements only, at a cost that does not
// depend on the size of the entry.
func DecodeHeader(body []byte) (Header, error) {
	d := newDecoder(body)
	h, err := d.header()
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", errEntry, err)
	}
	return h, nil
}

func (d *decoder) header() (h Header, err error) {
	n, isMap, err := d.container()
	if err != nil {
		return h, err
	}
	if isMap || n < 2 {
		return h, fmt.Errorf("%w: body is no list of two or more", errFormat)
	}
	kind, err := d.text()
	if err != nil {
		return h, err
	}
	if len(kind) != 1 {
		return h, fmt.Errorf("%w: kind %.10q", errFormat, kind)
	}
	h.Kind = Kind(kind[0])
	if h.Origin, err = d.origin(); err != nil {
		return h, err
	}
	switch {
	case h.Kind == KindEffects && n >= 3:
		h.Values = n - 3
		h.Written, err = d.count()
		return h, err
	case h.Kind == KindRecord && n >= 4:
		if h.Frontier, err = d.frontier(); err == nil {
			h.Written, err = d.count()
		}
		return h, err
	case h.Kind == KindEpoch && n >= 4:
		return h, d.epochValues(&h)
	}
	return h, fmt.Errorf("%w: kind %q with %d values", errFormat, kind, n)
}

func (d *decoder) origin() (Origin, error) {
	name, err := d.text()
	if err != nil {
		return Origin{}, err
	}
	return ParseOrigin(name)
}

func (d *decoder) epochValues(h *Header) error {
	previous, err := d.text()
	if err != nil {
		return err
	}
	if previous != "" {
		if h.Previous, err = ParseOrigin(previous); err != nil {
			return err
		}
	}
	h.Last, err = d.time()
	return err
}

// Record is the body of a frontier record of origin, for an epoch that has had no effects.
func Record(origin Origin, f Frontier) []byte {
	head, err := msgpack.Marshal([]string{string(KindRecord), origin.String()})
	if err != nil {
		panic(err) // a list of two strings
	}
	head[0] += 2 // a fixed array of two becomes one of four
	return append(f.AppendMsgpack(head), 0)
}

// EntryKind looks at the first bytes only. It answers 0 for what is no entry.
func EntryKind(body []byte) Kind {
	i := 1
	switch {
	case len(body) < 3:
		return 0
	case body[0] == 0xdc: // array of 16 bits
		i = 3
	case body[0] == 0xdd: // array of 32 bits
		i = 5
	case body[0]>>4 != 0x9: // short array
		return 0
	}
	if len(body) < i+2 || body[i] != 0xa1 {
		return 0
	}
	switch kind := Kind(body[i+1]); kind {
	case KindEffects, KindRecord, KindEpoch:
		return kind
	}
	return 0
}
