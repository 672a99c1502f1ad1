package backend

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A primary that was cut off from most Sentinels answers us as before, while another one takes its place: what it still
// acknowledges will be lost. So it has to be confirmed, by the Source or by its replicas. As long as every replica that could have
// been promoted still follows it, none was, whatever has become of the Sentinels. After FenceAfter without either, nothing is sent
// to it any more.

// fence refuses a primary that nobody confirms, and lets it go on when somebody does.
func (b *Backend) fence(p Primary, replication string, now time.Time) error {
	if b.cfg.Source == nil || b.cfg.FenceAfter == 0 {
		return nil
	}
	confirmed := p.Confirmed
	if seen, all := lastSeen(replication, p.Replicas, now); all && seen.After(confirmed) {
		confirmed = seen
	}
	if since := now.Sub(confirmed); since > b.cfg.FenceAfter {
		if !b.fenced.Swap(true) {
			b.setReady(false)
			b.Reconnect()
		}
		return fmt.Errorf("%w (%s, for %s)", ErrUnconfirmed, p.Addr, since.Round(time.Second/10))
	}
	b.fenced.Store(false)
	return nil
}

// lastSeen reads from INFO until when all of these replicas are known to have followed the server.
func lastSeen(replication string, replicas []string, now time.Time) (at time.Time, all bool) {
	at = now
	for _, replica := range replicas {
		lag, attached := replicaLag(replication, replica)
		if !attached {
			return time.Time{}, false
		}
		if seen := now.Add(-lag); seen.Before(at) {
			at = seen
		}
	}
	return at, true
}

// replicaLag reads how long ago a replica last acknowledged anything; Redis counts whole seconds.
func replicaLag(replication, addr string) (lag time.Duration, attached bool) {
	at := strings.LastIndexByte(addr, ':')
	host, port := strings.Trim(addr[:max(at, 0)], "[]"), addr[at+1:]
	for line := range strings.Lines(replication) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		fields := strings.Split(value, ",")
		if !strings.HasPrefix(name, "slave") || !slices.Contains(fields, "ip="+host) || !slices.Contains(fields, "port="+port) ||
			!slices.Contains(fields, "state=online") {
			continue
		}
		for _, field := range fields {
			if text, ok := strings.CutPrefix(field, "lag="); ok {
				seconds, err := strconv.Atoi(text)
				return time.Duration(seconds+1) * time.Second, err == nil && seconds >= 0
			}
		}
	}
	return 0, false
}
