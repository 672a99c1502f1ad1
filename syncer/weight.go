package syncer

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// A region that is away keeps metadata from being collected: long before the time that it may be away is over, that can be more than
// Redis has room for. So there is a limit to the memory as well.

// MemoryShare is an amount of memory: so many bytes, or so many percent of what Redis may have. At most one of its fields is set; the zero
// value is the default.
type MemoryShare struct {
	Bytes   int64
	Percent int  // 1–100 of maxmemory, or of the machine's memory where that is not set
	All     bool // there is no limit
}

// DefaultQuarantineMemory leaves most of the memory for data.
var DefaultQuarantineMemory = MemoryShare{Percent: 25}

// below says whether the share is less than so many bytes. Of a server that does not tell how much memory there is no percentage is.
func (s MemoryShare) below(bytes int64, v vitals) bool {
	switch memory := cmp.Or(v.memoryLimit, v.machineMemory); {
	case s.All || s.Bytes == 0 && memory == 0:
		return false
	case s.Bytes > 0:
		return bytes > s.Bytes
	default:
		return bytes > memory/100*int64(s.Percent)
	}
}

func (s MemoryShare) validate() error {
	set := 0
	for _, is := range []bool{s.Bytes != 0, s.Percent != 0, s.All} {
		if is {
			set++
		}
	}
	if set != 1 || s.Bytes < 0 || s.Percent < 0 || s.Percent > 100 {
		return fmt.Errorf("%+v: needs bytes, or 1 to 100 percent, or all", s)
	}
	return nil
}

// heldWeight is how much metadata waits for somebody who is away.
type heldWeight struct {
	bytes atomic.Int64
	over  time.Time // since when it has been more than the limit, at every look
}

// weighDraws keys are weighed at each look. One look may happen to draw the few large ones of many; all of them over minutes do not.
const weighDraws = 100

// overweight says whether the metadata that waits has been more than the limit for as long as anything may wait in any case. It is asked
// in each round of collection, and looks only while somebody is waited for.
func (c *collector) overweight(ctx context.Context, waiting bool, now time.Time) (over bool, err error) {
	bytes := int64(0)
	if waiting {
		if bytes, err = c.engine.weigh(ctx, weighDraws); err != nil {
			return false, err
		}
	}
	c.weight.bytes.Store(bytes)
	if bytes == 0 || !c.cfg.QuarantineMemory.below(bytes, c.vitals(ctx)) {
		c.weight.over = time.Time{}
		return false, nil
	}
	if c.weight.over.IsZero() {
		c.weight.over = now
	}
	return now.Sub(c.weight.over) >= max(c.cfg.Grace, heldBackAfter), nil
}
