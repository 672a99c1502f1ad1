package redistest

import "strconv"

// Registers reads a string that holds a HyperLogLog, dense or sparse, and answers the registers that are not zero. Two that are
// equal may be laid out differently, and differ in the cardinality that PFCOUNT has left in them. false means that it holds none.
func Registers(value string) (map[string]string, bool) {
	const header, count, denseBytes = 16, 1 << 14, 1 << 14 * 6 / 8
	if len(value) < header || value[:4] != "HYLL" {
		return nil, false
	}
	encoding, data, registers, at := value[4], value[header:], map[string]string{}, 0
	set := func(n int, to byte) {
		for range n {
			if to > 0 {
				registers[strconv.Itoa(at)] = strconv.Itoa(int(to))
			}
			at++
		}
	}
	if encoding == 0 {
		if len(data) != denseBytes {
			return nil, false
		}
		for at < count {
			bit := at * 6
			pair := uint(data[bit/8])
			if bit/8+1 < len(data) {
				pair |= uint(data[bit/8+1]) << 8
			}
			set(1, byte(pair>>(bit%8)&63))
		}
		return registers, true
	}
	for i := 0; i < len(data); i++ {
		switch op := data[i]; {
		case op&0x80 != 0:
			set(int(op&3)+1, op>>2&31+1)
		case op&0x40 == 0:
			set(int(op&63)+1, 0)
		case i+1 < len(data):
			set(int(op&63)<<8+int(data[i+1])+1, 0)
			i++
		}
	}
	return registers, at == count
}
