package main

import (
	"math/bits"
	"time"
)

// latencies counts times in buckets whose width is about 1.6 % of the time, from 1 ns to hours, in constant memory.
type latencies struct {
	buckets [64 * steps]uint64
	count   uint64
}

// steps of each power of two.
const steps = 64

func bucketOf(t time.Duration) int {
	n := uint64(max(t, 0))
	if n < steps {
		return int(n)
	}
	power := bits.Len64(n) - 7 // leaves 7 significant bits, the first of them always 1
	return (power+1)*steps + int(n>>power) - steps
}

// middleOf is the inverse of bucketOf, up to the width of the bucket.
func middleOf(bucket int) time.Duration {
	if bucket < steps {
		return time.Duration(bucket)
	}
	power := bucket/steps - 1
	low := uint64(bucket%steps+steps) << power
	return time.Duration(low + uint64(1)<<power/2)
}

func (l *latencies) add(t time.Duration, times uint64) {
	l.buckets[bucketOf(t)] += times
	l.count += times
}

func (l *latencies) merge(other *latencies) {
	for i, n := range other.buckets {
		l.buckets[i] += n
	}
	l.count += other.count
}

// quantile is the time that the share q of all was not above; 0 when there are none.
func (l *latencies) quantile(q float64) time.Duration {
	if l.count == 0 {
		return 0
	}
	rank := uint64(q * float64(l.count-1))
	for i, n := range l.buckets {
		if n > rank {
			return middleOf(i)
		}
		rank -= n
	}
	return 0
}
