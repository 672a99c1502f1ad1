package syncer

import "time"

// callBytes of states are no burden to a call, whatever it costs by itself.
const callBytes = 8 << 10

// callSize is how many keys the next call takes: the size, and more of them where they are small. A call has a price of its own,
// which many calls of a few keys would pay again and again on a machine that is busy.
func callSize(keys []keyState, size int) int {
	n, bytes := 0, 0
	for ; n < len(keys); n++ {
		if bytes += len(keys[n].state); n >= max(1, size) && bytes > callBytes {
			break
		}
	}
	return n
}

// adapt aims at calls of twice the time that a batch of the log may take: what they bring is older.
func (m *merging) adapt(sent int, took time.Duration) {
	switch goal := 2 * m.cfg.ChunkTime; {
	case took > goal:
		m.size = max(1, min(m.size, sent)/2)
	case took < goal/2 && sent >= m.size:
		m.size = min(2*m.size, 2*mergeBatch)
	}
}
