package status

import (
	"fmt"
	"time"
)

// NotReady says why clients should be sent elsewhere, if they should. With a limit, also when the region lacks writes of others
// that are older than that. A region that is out of reach does not count: nobody knows what it has written meanwhile, and a dead
// region must not take the others out of service.
func (d Document) NotReady(limit *time.Duration) (reasons []string) {
	if !d.Ready {
		if d.Why != "" {
			return []string{"Redis is not ready: " + d.Why}
		}
		return []string{"Redis is not ready"}
	}
	if limit == nil {
		return nil
	}
	if d.Error != "" {
		return []string{"the lag is not known: " + d.Error}
	}
	if d.Leader == "" && len(d.Peers) > 0 {
		return []string{"the lag is not known: no proxy of this region leads at the moment"}
	}
	if d.WritesHeld != "" {
		reasons = append(reasons, "this region takes no writes: "+d.WritesHeld)
	}
	for _, p := range d.Peers {
		lag := time.Duration(p.LagMillis) * time.Millisecond
		switch {
		case p.Merge != nil || p.State == "merge" || p.State == "merge-needed":
			reasons = append(reasons, fmt.Sprintf("the state of region '%s' is being merged", p.Name))
		case p.Up() && lag > *limit:
			reasons = append(reasons, fmt.Sprintf("%v behind region '%s'", lag, p.Name))
		case !p.Up() && p.Connects == 0 && p.LastError == "":
			reasons = append(reasons, fmt.Sprintf("region '%s' was not reached yet", p.Name))
		}
	}
	return reasons
}
