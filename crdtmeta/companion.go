package crdtmeta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// AppendCompanion appends the name of a key's companion, where that is plain to see. Nothing is appended for keys with
// braces and for the empty one, which only the engine names (docs/engine.md, 1); it takes "" for "find it yourself".
func AppendCompanion(dst []byte, prefix string, key []byte) []byte {
	if len(key) == 0 || bytes.ContainsAny(key, "{}") {
		return dst
	}
	dst = append(dst, prefix...)
	dst = append(dst, "0{"...)
	dst = append(dst, key...)
	return append(dst, '}')
}

// Run is plain strings to write with one op of the engine: a msgpack list of key, value, companion's name and room for a
// record, again and again (docs/engine.md, 3). The zero Run is empty and ready to use.
type Run struct {
	count int
	list  []byte
	name  []byte
}

// MaxRun is how many strings a Run may have; the engine refuses more.
const MaxRun = 500

// Add appends a string. The caller keeps to MaxRun.
func (r *Run) Add(prefix string, key, value []byte) {
	r.name = AppendCompanion(r.name[:0], prefix, key)
	r.count++
	r.list = appendText(appendText(appendText(r.list, key), value), r.name)
	r.list = append(r.list, 0xa0)
}

// Len is how many strings there are, Size about how many bytes.
func (r *Run) Len() int { return r.count }

// Size is about how many bytes the run is.
func (r *Run) Size() int { return len(r.list) }

// Parts returns the run in two pieces, which belong behind each other.
func (r *Run) Parts() (head [3]byte, list []byte) {
	head[0] = 0xdc
	binary.BigEndian.PutUint16(head[1:], uint16(4*r.count))
	return head, r.list
}

// Reset makes r empty, and lets go of memory beyond keep bytes.
func (r *Run) Reset(keep int) {
	r.count, r.list = 0, r.list[:0]
	if cap(r.list) > keep {
		r.list = nil
	}
}

// appendText appends s as msgpack.
func appendText(dst, s []byte) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n < 1<<8:
		dst = append(dst, 0xd9, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

var errRun = errors.New("not a run")

// CheckRun makes sure that a run from elsewhere names no keys of Anabranch's own, but for the companions of its keys: a peer must
// not write where it likes.
func CheckRun(prefix string, raw []byte) error {
	var name []byte
	return eachOfRun(raw, func(key, companion, record []byte) error {
		if len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix {
			return fmt.Errorf("%w: key %.100q is one of Anabranch's own", errRun, key)
		}
		name = AppendCompanion(name[:0], prefix, key)
		if !bytes.Equal(companion, name) || len(record) > 0 {
			return fmt.Errorf("%w: key %.100q has companion %.100q", errRun, key, companion)
		}
		return nil
	})
}

// eachOfRun calls f for each string of a run, until f fails.
func eachOfRun(raw []byte, f func(key, companion, record []byte) error) error {
	if len(raw) < 3 || raw[0] != 0xdc {
		return errRun
	}
	count, rest := int(binary.BigEndian.Uint16(raw[1:])), raw[3:]
	if count == 0 || count%4 != 0 || count > 4*MaxRun {
		return fmt.Errorf("%w: %d elements", errRun, count)
	}
	for range count / 4 {
		var parts [4][]byte
		for i := range parts {
			var ok bool
			if parts[i], rest, ok = cutText(rest); !ok {
				return errRun
			}
		}
		if err := f(parts[0], parts[2], parts[3]); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return errRun
	}
	return nil
}

// cutText takes a msgpack string off the front of data.
func cutText(data []byte) (s, rest []byte, ok bool) {
	n, head := textHead(data)
	if head == 0 || n > len(data)-head {
		return nil, nil, false
	}
	return data[head : head+n], data[head+n:], true
}

// textHead reads the length of the msgpack string at the front of data. head is the length of its header, 0 when there is
// no string.
func textHead(data []byte) (size, head int) {
	if len(data) == 0 {
		return 0, 0
	}
	switch kind := data[0]; {
	case kind&0xe0 == 0xa0:
		return int(kind & 0x1f), 1
	case kind >= 0xd9 && kind <= 0xdb:
		head = 1 + 1<<(kind-0xd9)
		if len(data) < head {
			return 0, 0
		}
		for _, b := range data[1:head] {
			size = size<<8 | int(b)
		}
		return size, head
	}
	return 0, 0
}
