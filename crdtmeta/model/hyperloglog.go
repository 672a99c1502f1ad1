package model

import (
	"encoding/binary"
	"math/bits"
	"strconv"
)

// hll is the HyperLogLog of a key. Unlike other cells it cannot give back what one write brought, since writes are joined
// register by register; so a removal wins over every write that has not seen it.
type hll struct {
	writes   []hllWrite
	removals []Stamp
}

type hllWrite struct {
	seen      context // its stamp, and what it has seen
	registers map[string]string
}

// live lists the writes that no removal wins over.
func (h *hll) live() []hllWrite {
	var live []hllWrite
	for _, w := range h.writes {
		if w.seen.seenAll(h.removals) {
			live = append(live, w)
		}
	}
	return live
}

func (ctx context) seenAll(stamps []Stamp) bool {
	for _, s := range stamps {
		if !ctx.seen(s) {
			return false
		}
	}
	return true
}

// top is the highest stamp of the live writes.
func (h *hll) top() (top Stamp, live bool) {
	for _, w := range h.live() {
		if stamp := w.seen.self; !live || stamp.compare(top) > 0 {
			top, live = stamp, true
		}
	}
	return top, live
}

// registers joins the live writes: of each register the highest value counts. Registers that are zero are left out.
func (h *hll) registers() map[string]string {
	joined := map[string]string{}
	for _, w := range h.live() {
		join(joined, w.registers)
	}
	return joined
}

// join raises registers, and reports whether any changed.
func join(into, from map[string]string) bool {
	changed := false
	for register, value := range from {
		// Values are at most 51; two digits compare as numbers where both have two.
		if old := into[register]; len(value) > len(old) || len(value) == len(old) && value > old {
			into[register], changed = value, true
		}
	}
	return changed
}

const (
	notHLL       = Failure("WRONGTYPE Key is not a valid HyperLogLog string value.")
	registerBits = 14 // Redis has 2^14 registers
)

// register gives the register that an element falls into and the value that it asks for: the place of the first 1 in the
// rest of its hash.
func register(element string) (name, value string) {
	hash := murmur64A([]byte(element), 0xadc83b19)
	index := hash & (1<<registerBits - 1)
	rest := hash>>registerBits | 1<<(64-registerBits)
	return strconv.Itoa(int(index)), strconv.Itoa(bits.TrailingZeros64(rest) + 1)
}

// Registers returns the registers that a HyperLogLog of the given elements has set, by their numbers.
func Registers(elements ...string) map[string]string {
	registers := map[string]string{}
	for _, element := range elements {
		name, value := register(element)
		join(registers, map[string]string{name: value})
	}
	return registers
}

// murmur64A is the 64-bit variant of MurmurHash2 for 64-bit machines, by which Redis places elements.
func murmur64A(data []byte, seed uint64) uint64 {
	const mul, shift = 0xc6a4a7935bd1e995, 47
	mix := func(k uint64) uint64 {
		k *= mul
		return (k ^ k>>shift) * mul
	}
	h := seed ^ uint64(len(data))*mul
	for ; len(data) >= 8; data = data[8:] {
		h = (h ^ mix(binary.LittleEndian.Uint64(data))) * mul
	}
	if len(data) > 0 {
		var tail [8]byte
		copy(tail[:], data)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	h = (h ^ h>>shift) * mul
	return h ^ h>>shift
}

// pfRegisters returns what a HyperLogLog shows. A string is none: the model has no strings that hold one.
func (c *call) pfRegisters(key string) (map[string]string, error) {
	switch k := c.region.key(c.db, key); k.shown() {
	case None, HLL:
		return k.hll.registers(), nil
	case String:
		return nil, notHLL
	}
	return nil, wrongType
}

func pfadd(c *call, args []string) any {
	key := args[0]
	shown, failure := c.pfRegisters(key)
	if failure != nil {
		return failure
	}
	added := Registers(args[1:]...)
	if !join(shown, added) && c.exists(key) {
		return int64(0)
	}
	c.create(Effect{Kind: Join, Key: key, Type: HLL, Elements: elementList(added)})
	return int64(1)
}

// pfmerge is a write of what its sources hold, whether or not that changes anything.
func pfmerge(c *call, args []string) any {
	key, joined, found := args[0], map[string]string{}, false
	if _, failure := c.pfRegisters(key); failure != nil {
		return failure
	}
	for _, source := range args[1:] {
		registers, failure := c.pfRegisters(source)
		if failure != nil {
			return failure
		}
		join(joined, registers)
		found = found || c.exists(source)
	}
	if found || !c.exists(key) {
		c.create(Effect{Kind: Join, Key: key, Type: HLL, Elements: elementList(joined)})
	}
	return ok
}

// endings lists the HyperLogLogs that effect e is about to end: those that live in its own region under the keys that it
// removes or writes with another type.
func (r *Region) endings(e Effect) []Ending {
	var list []Ending
	end := func(db int, name string) {
		if _, live := r.key(db, name).hll.top(); live {
			list = append(list, Ending{db, name})
		}
	}
	switch e.Kind {
	case Overwrite, Edit, Delete, Add, Remove, Increment, Insert, TakeOut, SetElement, Groups:
		end(e.DB, e.Key)
	case Flush:
		for db := range r.databases {
			if e.DB == AllDatabases || e.DB == db {
				for _, name := range sortedNames(r.databases[db]) {
					end(db, name)
				}
			}
		}
	}
	return list
}
