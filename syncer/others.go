package syncer

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// tellOthers fills in how far the other regions are behind each other, as far as their heartbeats tell: each says what it has of
// the others' logs, and how far its own log goes. A heartbeat is up to a second old, and so is what is told here.
func (l *leader) tellOthers(peers []PeerStatus, now time.Time) {
	for i, link := range l.links {
		if !peers[i].State.up() || now.Sub(peers[i].Heard) > l.cfg.SilenceLimit {
			continue
		}
		link.mu.Lock()
		has := link.frontier
		link.mu.Unlock()
		for k, other := range l.links {
			if k == i || peers[k].ID == 0 || !peers[k].State.up() {
				continue
			}
			other.mu.Lock()
			tail := other.tail
			other.mu.Unlock()
			if tail == 0 || has == nil {
				continue
			}
			if peers[i].Others == nil {
				peers[i].Others = map[string]int64{}
			}
			peers[i].Others[other.name] = max(0, tail.Millis()-has.Of(peers[k].ID, l.cfg.Shard).Newest().Millis())
		}
	}
}

// quarantinedNames lists the other regions that are in quarantine here, by id where the name is not known.
func (l *leader) quarantinedNames(ctx context.Context) ([]string, error) {
	ids, err := l.cfg.Redis.HKeys(ctx, l.keys.quarantined).Result()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	known, err := l.membership(ctx)
	if err != nil {
		return nil, err
	}
	for i, text := range ids {
		if id, err := strconv.Atoi(text); err == nil && known.names[id] != "" {
			ids[i] = known.names[id]
		}
	}
	slices.Sort(ids)
	return ids, nil
}
