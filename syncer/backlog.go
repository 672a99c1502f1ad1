package syncer

import (
	"math"
	"sync"
	"time"
)

// backlog knows how fast the log grows.
type backlog struct {
	mu    sync.Mutex // guards all below
	bytes int64      // of the log
	added int64      // entries that it ever had
	at    time.Time
	rate  float64 // bytes a second, the mean of about the last minute
	known bool
}

// rateTime is the time in which an old rate of writes loses most of its weight.
const rateTime = time.Minute

// measure takes the size of the log.
func (b *backlog) measure(now time.Time, info logInfo, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if took := now.Sub(b.at).Seconds(); b.known && took > 0 && info.length > 0 && info.added >= b.added {
		rate := float64(info.added-b.added) * float64(bytes) / float64(info.length) / took
		if b.rate == 0 {
			b.rate = rate
		}
		b.rate += (rate - b.rate) * (1 - math.Exp(-took/rateTime.Seconds()))
	}
	b.bytes, b.added, b.at, b.known = bytes, info.added, now, true
}

// left is how many bytes the log has, and for how many minutes of partition there is room at the present rate of writes, for a
// peer that lacks a given part of the log. It is -1 when nothing is written.
func (b *backlog) left(limit int64, lacking float64) (bytes int64, minutes float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate < 1 {
		return b.bytes, -1
	}
	room := float64(limit) - lacking*float64(b.bytes)
	return b.bytes, math.Max(0, room/b.rate/60)
}
