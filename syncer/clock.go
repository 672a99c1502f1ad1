package syncer

import (
	"sync"
	"time"
)

// peerClock measures the round trip and the difference between the clocks of two regions' Redis servers from heartbeats, as NTP
// does: a beat carries the time of the last beat that its sender received, and how long ago that was. All times come from regionClock.
type peerClock struct {
	mu       sync.Mutex
	lastNow  int64     // the peer's clock in its newest beat, ms
	lastAt   time.Time // when that beat came
	rtt      time.Duration
	drift    time.Duration // peer's clock minus ours
	measured bool
}

const (
	roundTripMost = 10 * time.Second // a link on which a beat takes longer counts as silent anyway
	clockJump     = time.Second      // a difference like that is news and no noise
)

// outgoing fills the clock fields of a beat that is sent now.
func (p *peerClock) outgoing(b beat, now time.Time) beat {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.now = now.UnixMilli()
	if !p.lastAt.IsZero() && !now.Before(p.lastAt) { // no number of a beat is negative, also when our clock was set back
		b.echo, b.held = p.lastNow, now.Sub(p.lastAt).Milliseconds()
	}
	return b
}

// incoming takes the clock fields of a beat that came now.
func (p *peerClock) incoming(b beat, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastNow, p.lastAt = b.now, now
	if b.echo == 0 {
		return
	}
	// Milliseconds are cut off on both sides, so a fast link can seem to answer before it was asked.
	rtt := max(0, now.UnixMilli()-b.echo-b.held)
	if rtt > roundTripMost.Milliseconds() {
		return // a clock was set meanwhile, here or there
	}
	sample := time.Duration(b.now+rtt/2-now.UnixMilli()) * time.Millisecond
	if !p.measured || (sample-p.drift).Abs() > clockJump {
		p.measured = true
		p.rtt, p.drift = time.Duration(rtt)*time.Millisecond, sample
		return
	}
	p.rtt += (time.Duration(rtt)*time.Millisecond - p.rtt) / 4
	p.drift += (sample - p.drift) / 4
}

// state returns round trip and drift, both 0 until measured.
func (p *peerClock) state() (rtt, drift time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt, p.drift
}
