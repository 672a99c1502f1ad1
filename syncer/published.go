package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// published is what a leader has found out at a moment.
type published struct {
	own   RegionStatus
	peers []PeerStatus
}

// published returns what the leader last published, peers by name. The leader itself knows it also while its Redis takes no writes,
// or answers nothing but BUSY.
func (s *Syncer) published(ctx context.Context) (own RegionStatus, peers map[string]PeerStatus, err error) {
	peers = map[string]PeerStatus{}
	if latest := s.latest.Load(); latest != nil && s.Leading() && s.isFresh(latest.own) {
		for _, peer := range latest.peers {
			peers[peer.Name] = peer
		}
		return latest.own, peers, nil
	}
	hash, err := s.cfg.Redis.HGetAll(ctx, s.keys.status).Result()
	if err != nil {
		return own, nil, err
	}
	for field, body := range hash {
		if field == ownField {
			if err := json.Unmarshal([]byte(body), &own); err != nil {
				return own, nil, fmt.Errorf("%s: %w", s.keys.status, err)
			}
			continue
		}
		var peer PeerStatus
		if err := json.Unmarshal([]byte(body), &peer); err != nil {
			return own, nil, fmt.Errorf("%s: field %.40q: %w", s.keys.status, field, err)
		}
		if newer, twice := peers[peer.Name]; !twice || newer.ID == 0 {
			peers[peer.Name] = peer
		}
	}
	return own, peers, nil
}

// isFresh says whether a status is one of now. One from the future was published before a clock went back.
func (s *Syncer) isFresh(own RegionStatus) bool {
	return s.redisClock.now().Sub(own.At).Abs() < staleAfter*s.cfg.StatusInterval+s.cfg.LeaseTime
}

// refusal is the error with which the region's Redis refuses writes at the moment, or "". The command changes nothing.
func (s *Syncer) refusal(ctx context.Context) string {
	err := s.cfg.Redis.Do(ctx, "SETRANGE", s.keys.scratch, 0, "").Err()
	var said redis.Error
	if errors.As(err, &said) {
		return said.Error()
	}
	return ""
}

// vitals is what the leader wants to know of its Redis each time that it publishes.
type vitals struct {
	policy  string // maxmemory-policy
	runID   string
	evicted string // keys that it has evicted since its start

	memoryUsed, memoryLimit, machineMemory int64 // bytes; 0: no limit, or unknown
}

// vitals asks for them. What cannot be found out is empty.
func (s *Syncer) vitals(ctx context.Context) (v vitals) {
	text, err := s.cfg.Redis.Info(ctx, "server", "memory", "stats").Result()
	if err != nil {
		return v
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		switch name {
		case "maxmemory_policy":
			v.policy = value
		case "used_memory":
			v.memoryUsed, _ = strconv.ParseInt(value, 10, 64)
		case "maxmemory":
			v.memoryLimit, _ = strconv.ParseInt(value, 10, 64)
		case "total_system_memory":
			v.machineMemory, _ = strconv.ParseInt(value, 10, 64)
		case "run_id":
			v.runID = value
		case "evicted_keys":
			v.evicted = value
		}
	}
	return v
}
