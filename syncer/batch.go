package syncer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"anabranch/crdtmeta"

	"github.com/klauspost/compress/s2"
)

// The codecs of LOG.
const (
	codecNone = "none"
	codecS2   = "s2"
)

var errBatch = errors.New("malformed batch")

// entry is one log entry on its way. Its body is shared with the frame that it came in and is never changed. The last
// bytes of it are its runs, each behind its length.
type entry struct {
	t    crdtmeta.Time
	body []byte
	runs int // bytes of the runs
}

func (e entry) packed() []byte { return e.body[:len(e.body)-e.runs] }

// appendRun appends a run to the end of a body.
func appendRun(body []byte, run string) []byte {
	return append(binary.AppendUvarint(body, uint64(len(run))), run...)
}

// cutRun takes the first run off what appendRun made. ok is false when there is none.
func cutRun(list []byte) (run, rest []byte, ok bool) {
	n, width := binary.Uvarint(list)
	if width <= 0 || n > uint64(len(list)-width) {
		return nil, nil, false
	}
	return list[width : width+int(n)], list[width+int(n):], true
}

func (e entry) size() int { return len(e.body) + entryOverhead }

// entryOverhead stands for what an entry costs beside its body, in buffers and windows.
const entryOverhead = 32

// appendHead writes what stands before an entry's body in the stream of bytes that LOG frames carry: its time, its
// length, and how much of that is runs. Frames may cut the stream anywhere, so an entry of any size fits into small frames.
func appendHead(buf []byte, e entry) []byte {
	buf = binary.AppendUvarint(buf, uint64(e.t))
	buf = binary.AppendUvarint(buf, uint64(len(e.body)))
	return binary.AppendUvarint(buf, uint64(e.runs))
}

// compress returns the payload of a LOG frame for a piece of the stream.
func compress(raw []byte, from int) (codec string, payload []byte) {
	if len(raw) < from {
		return codecNone, raw
	}
	packed := s2.Encode(nil, raw)
	if len(packed) > len(raw)-len(raw)/8 {
		return codecNone, raw
	}
	return codecS2, packed
}

// expand undoes compress. A payload that claims to grow past limit is refused before anything is allocated for it.
func expand(codec string, payload []byte, limit int) ([]byte, error) {
	switch codec {
	case codecNone:
		return payload, nil
	case codecS2:
		n, err := s2.DecodedLen(payload)
		if err != nil || n > limit {
			return nil, fmt.Errorf("%w: compressed length", errBatch)
		}
		raw, err := s2.Decode(nil, payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errBatch, err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("%w: codec %.20q", errBatch, codec)
}

// entryStream puts entries together again from pieces of the stream. Memory grows with the bytes that came, never with
// a length that was only announced.
type entryStream struct {
	limit int    // bytes of one entry
	rest  []byte // the beginning of an entry that is not complete
	last  crdtmeta.Time
}

// feed takes the next piece and returns the entries that it completes. The piece must not be changed afterwards.
func (s *entryStream) feed(piece []byte) ([]entry, error) {
	data := piece
	if len(s.rest) > 0 {
		s.rest = append(s.rest, piece...)
		data = s.rest
	}
	var entries []entry
	for {
		e, n, err := s.next(data)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		entries = append(entries, e)
		data = data[n:]
	}
	// What is left is copied when entries were cut from the same memory, so that one does not keep the other alive.
	switch {
	case len(data) == 0:
		s.rest = nil
	case len(entries) > 0 || len(s.rest) == 0:
		s.rest = append([]byte(nil), data...)
	}
	return entries, nil
}

// next reads one entry; n is 0 when it is not complete.
func (s *entryStream) next(data []byte) (e entry, n int, err error) {
	var head [3]uint64 // time, length, length of the runs
	for i := range head {
		value, width := binary.Uvarint(data[n:])
		if width < 0 || width == 0 && len(data)-n >= binary.MaxVarintLen64 {
			return e, 0, fmt.Errorf("%w: head", errBatch)
		}
		if width == 0 {
			return e, 0, nil
		}
		head[i] = value
		n += width
		if i == 1 && value > uint64(s.limit) {
			return e, 0, fmt.Errorf("%w: entry larger than %d bytes", errBatch, s.limit)
		}
	}
	t, size, runs := head[0], head[1], head[2]
	switch {
	case t > 1<<53:
		return e, 0, fmt.Errorf("%w: time", errBatch)
	case runs > size:
		return e, 0, fmt.Errorf("%w: runs longer than their entry", errBatch)
	case uint64(len(data)-n) < size:
		return e, 0, nil
	}
	end := n + int(size)
	e = entry{t: crdtmeta.Time(t), body: data[n:end:end], runs: int(runs)}
	if e.t <= s.last {
		return e, 0, fmt.Errorf("%w: entry %d after %d", errBatch, e.t, s.last)
	}
	s.last = e.t
	return e, end, nil
}
