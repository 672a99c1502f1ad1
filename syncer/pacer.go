package syncer

import "time"

// pacer lets entries gather under load. Each shipment costs both regions a fixed amount (a read here, an engine call, a
// record and an acknowledgement there), so a log that grows all the time is read in strides; the first entry after a
// quiet moment goes at once.
type pacer struct {
	last time.Time // of the newest shipment that had entries
}

// sent notes a shipment of so many entries.
func (p *pacer) sent(now time.Time, entries int) {
	if entries > 0 {
		p.last = now
	}
}

// pause is how long to wait before the next read.
func (p *pacer) pause(now time.Time, gather time.Duration) time.Duration {
	if p.last.IsZero() {
		return 0
	}
	return max(0, gather-now.Sub(p.last))
}
