package backend

// queue is a ring of segments. It grows to what is in flight at most, and then stays.
type queue struct {
	ring  []*segment // a power of two long
	head  int
	count int
}

func (q *queue) push(seg *segment) {
	if q.count == len(q.ring) {
		grown := make([]*segment, max(16, 2*len(q.ring)))
		for i := range q.count {
			grown[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
		}
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.count)&(len(q.ring)-1)] = seg
	q.count++
}

// pop returns the oldest segment, or nil.
func (q *queue) pop() *segment {
	if q.count == 0 {
		return nil
	}
	seg := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.count--
	return seg
}
