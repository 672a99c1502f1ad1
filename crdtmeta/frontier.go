package crdtmeta

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
)

// MaxOrigins bounds the origins of one frontier: 63 regions with their shards and the epochs that they went through.
const MaxOrigins = 1 << 14

var errFrontier = errors.New("not a frontier")

// Frontier is a version vector: for each origin the last whole entry applied.
type Frontier map[Origin]Time

// Covers says whether everything of origin up to t is in the frontier.
func (f Frontier) Covers(origin Origin, t Time) bool { return f[origin] >= t }

// CoversAll says whether other is inside f.
func (f Frontier) CoversAll(other Frontier) bool {
	for origin, t := range other {
		if f[origin] < t {
			return false
		}
	}
	return true
}

// Raise moves the frontier of origin up to t, never down, and says whether it moved.
func (f Frontier) Raise(origin Origin, t Time) bool {
	if f[origin] >= t {
		return false
	}
	f[origin] = t
	return true
}

// Clone is an independent copy; never nil.
func (f Frontier) Clone() Frontier {
	copied := make(Frontier, len(f))
	maps.Copy(copied, f)
	return copied
}

// Of is the part of the frontier that belongs to one region and shard.
func (f Frontier) Of(region, shard int) Frontier {
	part := Frontier{}
	for origin, t := range f {
		if origin.Region == region && origin.Shard == shard {
			part[origin] = t
		}
	}
	return part
}

// Supersedes says whether it has a later epoch of that origin's region and shard.
func (f Frontier) Supersedes(origin Origin) bool {
	for other := range f {
		if other.Region == origin.Region && other.Shard == origin.Shard && other.Counter() > origin.Counter() {
			return true
		}
	}
	return false
}

// Newest is the highest time in it, 0 for none.
func (f Frontier) Newest() (t Time) {
	for _, at := range f {
		t = max(t, at)
	}
	return t
}

// Origins lists the origins in the order of region, shard, epoch counter and epoch.
func (f Frontier) Origins() []Origin {
	return slices.SortedFunc(maps.Keys(f), Origin.Compare)
}

// Compare orders origins by region, shard, epoch counter and epoch. It orders lists for people and for equal bytes; the
// order of writes is Stamp.Compare.
func (o Origin) Compare(other Origin) int {
	for _, d := range []int64{int64(o.Region - other.Region), int64(o.Shard - other.Shard), o.Counter() - other.Counter()} {
		if d != 0 {
			return int(max(min(d, 1), -1))
		}
	}
	return bytes.Compare([]byte(o.Epoch), []byte(other.Epoch))
}

// ParseFrontier reads the hash form of crdt:frontier.
func ParseFrontier(hash map[string]string) (Frontier, error) {
	f := make(Frontier, len(hash))
	for name, value := range hash {
		origin, err := ParseOrigin(name)
		if err != nil {
			return nil, err
		}
		t, err := ParseTime(value)
		if err != nil {
			return nil, err
		}
		f[origin] = t
	}
	return f, nil
}

// AppendMsgpack appends the msgpack map origin → t, in the order of Origins, to buf.
func (f Frontier) AppendMsgpack(buf []byte) []byte {
	w := bytes.NewBuffer(buf)
	enc := msgpack.NewEncoder(w)
	enc.UseCompactInts(true)
	// A bytes.Buffer never fails.
	_ = enc.EncodeMapLen(len(f))
	for _, origin := range f.Origins() {
		_ = enc.EncodeString(origin.String())
		_ = enc.EncodeInt(int64(f[origin]))
	}
	return w.Bytes()
}

// DecodeFrontier reads the msgpack map form, and nothing after it.
func DecodeFrontier(body []byte) (Frontier, error) {
	d := newDecoder(body)
	f, err := d.frontier()
	if err != nil {
		return nil, err
	}
	return f, d.end()
}

// DecodePosition reads what a region says of where it stands: its frontier, the end of its own log included. Behind that come the
// newest frontier record of each origin, and how many effects of each the region has; they are checked only.
func DecodePosition(body []byte) (Frontier, error) {
	d := newDecoder(body)
	f, err := d.frontier()
	if err != nil {
		return nil, err
	}
	n, isMap, err := d.container()
	if err != nil {
		return nil, err
	}
	if !isMap && n != 0 || n > MaxOrigins {
		return nil, fmt.Errorf("%w: records of %d origins", errFrontier, n)
	}
	for range n {
		name, err := d.text()
		if err == nil {
			_, err = ParseOrigin(name)
		}
		if err == nil {
			_, err = d.frontier()
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := d.frontier(); err != nil { // numbers by origin, as in a frontier
		return nil, err
	}
	return f, d.end()
}

// frontier also takes the empty array: that is how Lua packs an empty table.
func (d *decoder) frontier() (Frontier, error) {
	n, isMap, err := d.container()
	if err != nil {
		return nil, err
	}
	if !isMap && n != 0 {
		return nil, fmt.Errorf("%w: a list of %d values", errFrontier, n)
	}
	if n > MaxOrigins {
		return nil, fmt.Errorf("%w: %d origins", errFrontier, n)
	}
	f := make(Frontier, min(n, 64))
	for range n {
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		origin, err := ParseOrigin(name)
		if err != nil {
			return nil, err
		}
		t, err := d.time()
		if err != nil {
			return nil, err
		}
		if _, twice := f[origin]; twice {
			return nil, fmt.Errorf("%w: %s twice", errFrontier, strconv.Quote(name))
		}
		f[origin] = t
	}
	return f, nil
}
