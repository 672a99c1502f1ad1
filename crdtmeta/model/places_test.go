package model

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bytes spells a place as docs/engine.md, section 2, has it.
func (p place) bytes(t *rapid.T) []byte {
	var b []byte
	if p.root == cold {
		b = binary.BigEndian.AppendUint32([]byte{0x60}, uint32(p.cold))
	}
	for i, s := range p.path {
		from := len(b) + 1
		switch {
		case i == 0 && p.root == front:
			b = append(b, 0x20)
		case i == 0 && p.root == end:
			b = append(b, 0xa0)
		case s.side == right:
			b = append(b, 0x80)
		default:
			b = append(b, 0x40)
		}
		var counter int
		var random string
		if _, err := fmt.Sscanf(s.stamp.Origin.Epoch, "%d-%s", &counter, &random); err != nil {
			t.Fatal(err)
		}
		b = append(b, binary.BigEndian.AppendUint64(nil, uint64(s.stamp.T))[1:]...)
		b = appendOrdinal(b, s.stamp.Op)
		b = append(b, byte(s.stamp.Origin.Region), byte(s.stamp.Origin.Shard))
		b = appendOrdinal(b, counter)
		bits, err := hex.DecodeString(random)
		if err != nil {
			t.Fatal(err)
		}
		b = appendOrdinal(append(b, bits...), s.index)
		if b[from-1] == 0x20 || b[from-1] == 0x80 {
			for j := from; j < len(b); j++ {
				b[j] = ^b[j]
			}
		}
	}
	return b
}

func appendOrdinal(b []byte, n int) []byte {
	switch {
	case n < 240:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 0xf0), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xf1), uint32(n))
}

// drawPlaces grows trees from few stamps, so that places share beginnings and one is often the beginning of another.
func drawPlaces(t *rapid.T) []place {
	number := rapid.SampledFrom([]int{0, 1, 2, 239, 240, 300, 65535, 65536, 1 << 20})
	stamp := func() Stamp {
		return Stamp{
			Origin: Origin{Region: rapid.IntRange(1, 63).Draw(t, "region"), Epoch: rapid.SampledFrom([]string{"1-00aaff", "1-ffffff", "2-000000", "300-123456"}).Draw(t, "epoch")},
			T:      rapid.SampledFrom([]Time{1, 255, 256, 1 << 40, 1<<53 - 1}).Draw(t, "t"), Op: number.Draw(t, "op"),
		}
	}
	bases := []base{atFront, atEnd}
	var all []place
	for range rapid.IntRange(2, 30).Draw(t, "places") {
		var p place
		if i := rapid.IntRange(0, len(bases)).Draw(t, "base"); i == len(bases) {
			p = place{root: cold, cold: number.Draw(t, "position")}
		} else {
			p = bases[i].child(stamp(), number.Draw(t, "index"))
		}
		all = append(all, p)
		bases = append(bases, base{p, left}, base{p, right})
	}
	return all
}

// The order of the tree is the order of the bytes, an element's own place being a byte 0x60 after its path.
func TestOrderOfPlacesIsTheOrderOfTheirBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawPlaces(t)
		for _, p := range all {
			if spelled := p.bytes(t); len(spelled) != p.size() {
				t.Fatalf("%v has size %d, spelled %x", p, p.size(), spelled)
			}
			for _, q := range all {
				want := bytes.Compare(append(p.bytes(t), 0x60), append(q.bytes(t), 0x60))
				if got := p.compare(q); got != want || (got == 0) != (p.key() == q.key()) {
					t.Fatalf("%v and %v compare as %d, their bytes as %d", p, q, got, want)
				}
			}
		}
	})
}

// Whatever stands in a list, a new element goes next to where it was put: its name is above all that were seen.
func TestNewPlaceIsNextToItsNeighbour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := drawPlaces(t)
		slices.SortFunc(all, place.compare)
		all = slices.CompactFunc(all, func(p, q place) bool { return p.compare(q) == 0 })
		now := Stamp{Origin: Origin{Region: 1, Epoch: "1-00aaff"}, T: 1 << 53, Op: 1}
		for i, p := range all {
			for _, b := range []base{{p, left}, {p, right}} {
				at, found := slices.BinarySearchFunc(all, b.child(now, 0), place.compare)
				if want := i + cmp.Compare(int(b.side), int(left)); found || at != want {
					t.Fatalf("a new %c child of place %d of %d goes to %d", b.side, i, len(all), at)
				}
			}
		}
		for b, want := range map[*base]int{&atFront: 0, &atEnd: len(all)} {
			if at, _ := slices.BinarySearchFunc(all, b.child(now, 0), place.compare); at != want {
				t.Fatalf("a pushed element goes to %d of %d", at, len(all))
			}
		}
	})
}
