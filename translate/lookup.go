package translate

import (
	"encoding/binary"
	"math/bits"
)

const (
	// slotCount is a power of two and about twice the number of commands, so that a probe rarely goes on.
	slotCount = 512
	slotMask  = slotCount - 1

	// longestSuffix bounds the subcommand names worth looking up; the longest in the table has 21 bytes.
	longestSuffix = 32
)

// slot holds a name's first and last eight bytes beside its row, so that a hit touches one cache line and no string.
type slot struct {
	head, tail uint64
	length     int
	command    *Command
}

// index finds rows by open addressing with linear probing. It is filled once and only read afterwards.
var index = newIndex()

func newIndex() *[slotCount]slot {
	slots := new([slotCount]slot)
	for _, cmd := range commands {
		head, tail := words([]byte(cmd.Name))
		i := hash(head, tail, len(cmd.Name))
		for slots[i].command != nil {
			i = (i + 1) & slotMask
		}
		slots[i] = slot{head, tail, len(cmd.Name), cmd}
	}
	return slots
}

// Lookup finds a top-level command by its name in any case, or nil. It does not allocate and does not keep name.
func Lookup(name []byte) *Command {
	if len(name) == 0 {
		return nil
	}
	head, tail := words(name)
	for i := hash(head, tail, len(name)); ; i = (i + 1) & slotMask {
		s := &index[i]
		if s.head == head && s.tail == tail && s.length == len(name) {
			// Sixteen bytes are all of most names. The few longer ones have a middle that is still unseen.
			if len(name) > 16 && !is(name, s.command.Name) {
				return nil
			}
			return s.command
		}
		if s.command == nil {
			return nil
		}
	}
}

// Sub finds a container's subcommand by its name in any case, or nil. It does not allocate.
func (c *Command) Sub(name []byte) *Command {
	if c.bySuffix == nil || len(name) > longestSuffix {
		return nil
	}
	var folded [longestSuffix]byte
	for i, b := range name {
		folded[i] = upperByte(b)
	}
	return c.bySuffix[string(folded[:len(name)])]
}

// words returns the upper-cased first and last bytes of a non-empty name; together they hold every byte of a name of up to
// sixteen. Overlapping loads avoid a loop over the bytes.
func words(name []byte) (head, tail uint64) {
	switch n := len(name); {
	case n >= 8:
		return upper(binary.LittleEndian.Uint64(name)), upper(binary.LittleEndian.Uint64(name[n-8:]))
	case n >= 4:
		low, high := binary.LittleEndian.Uint32(name), binary.LittleEndian.Uint32(name[n-4:])
		return upper(uint64(low) | uint64(high)<<32), 0
	default:
		return upper(uint64(name[0]) | uint64(name[n/2])<<8 | uint64(name[n-1])<<16), 0
	}
}

// upper turns the letters a–z among eight bytes into A–Z, all at once, and leaves every other byte alone. The high bit of
// each byte serves as the mark "is a lower-case letter"; shifted right by two it is the bit that tells the cases apart.
func upper(word uint64) uint64 {
	const ones = 0x0101010101010101
	low := word & (0x7f * ones)
	fromA := low + (0x80-'a')*ones
	pastZ := low + (0x80-'z'-1)*ones
	mark := (fromA ^ pastZ) &^ word & (0x80 * ones)
	return word ^ mark>>2
}

func hash(head, tail uint64, length int) int {
	const odd = 0x9e3779b97f4a7c15 // spreads over the high bits, which choose the slot
	h := (head ^ bits.RotateLeft64(tail, 29) ^ uint64(length)) * odd
	return int(h >> (64 - 9))
}

// is compares an argument with a name given in upper case, in any case of letters.
func is(arg []byte, name string) bool {
	if len(arg) != len(name) {
		return false
	}
	for i, b := range arg {
		if upperByte(b) != name[i] {
			return false
		}
	}
	return true
}

func upperByte(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}
