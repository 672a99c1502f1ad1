package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// Field is one name and value of CRDT INFO and CRDT STATUS.
type Field struct {
	Name  string
	Value string
}

// fields gathers them in order.
type fields []Field

func (f *fields) add(name string, value any) {
	*f = append(*f, Field{Name: name, Value: fmt.Sprint(value)})
}

// Info returns the fields of the "# CRDT" section of INFO. Names that operators know from other active-active products
// keep their meaning; counters of what this version does not do are 0.
func (s *Syncer) Info(ctx context.Context) ([]Field, error) {
	info, err := s.region.history(ctx)
	if err != nil {
		return nil, err
	}
	o, err := s.Observe(ctx)
	if err != nil {
		return nil, err
	}
	own, peers, stats, here := o.Own, o.Peers, o.Engine, o.Here
	frontier, err := s.region.frontier(ctx)
	if err != nil {
		return nil, err
	}
	known, err := s.membership(ctx)
	if err != nil {
		return nil, err
	}
	var f fields
	f.add("crdt_region", s.cfg.Region.Name)
	f.add("crdt_region_id", s.cfg.Region.ID)
	f.add("crdt_config_version", known.version)
	f.add("crdt_slots", "0-16383")
	f.add("crdt_replid", info.origin)
	f.add("crdt_clock", info.last)
	f.add("crdt_ovc", vectorText(frontier, info))
	f.add("crdt_leader", own.Leader)
	f.add("crdt_alarms", len(own.Alarms))
	for i, text := range own.Alarms {
		f.add("crdt_alarm"+strconv.Itoa(i), text)
	}
	f.add("crdt_writes_refused", own.Refuses)
	f.add("crdt_writes_held", own.Held)
	f.add("crdt_quarantined", strings.Join(own.Quarantined, ","))
	f.add("crdt_stamps_ahead", own.StampsAhead)
	f.add("crdt_keys_evicted", own.KeysEvicted)
	f.add("crdt_lost_on_failover", own.LostEffects)
	f.add("crdt_missing_after_failover", own.MissingEffects)
	f.add("crdt_backlog_entries", info.length)
	f.add("crdt_backlog_bytes", own.LogBytes)
	f.add("crdt_backlog_size", own.LogLimit)
	f.add("crdt_backlog_minutes", backlogText(own.BacklogMinutes))
	f.add("crdt_sync_full", here.MergesDone)
	f.add("crdt_sync_partial_ok", here.StreamsServed)
	f.add("crdt_sync_partial-err", here.StreamsRefused)
	f.add("crdt_merge_reqs", here.MergesRequested)
	f.add("crdt_messages_dropped", here.MessagesDropped)
	f.add("crdt_effect_reqs", stats.AppliedEffects)
	f.add("crdt_ovc_filtered_effect_reqs", stats.SkippedEntries)
	f.add("crdt_companion_keys", own.Companions())
	f.add("crdt_companion_bytes", own.CompanionBytes)
	f.add("crdt_gc_pending", own.CollectPending)
	f.add("crdt_gc_attempted", stats.VisitedKeys)
	f.add("crdt_gc_collected", stats.CollectedKeys)
	f.add("crdt_gc_gvc_min", own.CollectedUntil)
	f.add("crdt_gc_held_back_by", heldBackText(own.HeldBackBy, time.Now()))
	f.add("crdt_gc_held_back_bytes", own.HeldBackBytes)
	f.add("crdt_stale_released_with_merge", 0)
	f.add("crdt_replica_waits", here.ReplicaWaits)
	f.add("crdt_relays", here.Relays)
	f.add("crdt_merged_keys", stats.MergedKeys)
	f.add("crdt_conflicts", stats.Conflicts)
	for _, kind := range stats.ConflictTypes() {
		f.add("crdt_"+conflictsBy+kind, stats.ConflictsBy[kind])
	}
	f.add("crdt_peers", len(peers))
	for i, peer := range peers {
		f.add("crdt_peer"+strconv.Itoa(i), fmt.Sprintf("name=%s,id=%d,addr=%s,state=%s,lag_ms=%d,lag_entries=%d,drift_ms=%d,rtt_ms=%d,acked=%d",
			peer.Name, peer.ID, peer.Addr, peer.State, peer.LagMillis, peer.LagEntries, peer.DriftMillis, peer.RTTMillis, peer.AckedTime))
		f.add("crdt_replica"+strconv.Itoa(i), fmt.Sprintf("config_version=%d,shards=1,slots=0-16383,slot_coverage=100,max_ops_lag=%d,min_ops_lag=%d",
			known.version, peer.AckedEntries, peer.AckedEntries))
	}
	return f, nil
}

// engineStats reads the engine's own counters. An engine that is not loaded has none.
func (s *Syncer) engineStats(ctx context.Context) (map[string]int64, error) {
	info, err := s.engine.info(ctx)
	var said redis.Error
	if errors.As(err, &said) {
		return map[string]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	stats := map[string]int64{}
	for name, value := range info {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			stats[name] = n
		}
	}
	return stats, nil
}

// vectorText is the region's vector clock, its own origin included.
func vectorText(frontier crdtmeta.Frontier, info logInfo) string {
	vector := frontier.Clone()
	if !info.origin.IsZero() {
		vector[info.origin] = info.last
	}
	text := ""
	for i, origin := range vector.Origins() {
		if i > 0 {
			text += ";"
		}
		text += origin.String() + "=" + vector[origin].String()
	}
	return text
}

// Status returns what CRDT STATUS prints: what each link does now, and what waits for what.
func (s *Syncer) Status(ctx context.Context) ([]Field, error) {
	own, peers, err := s.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	var f fields
	f.add("region", fmt.Sprintf("%s (id %d)", s.cfg.Region.Name, s.cfg.Region.ID))
	f.add("origin", own.Origin)
	f.add("leader", own.Leader)
	f.add("this_proxy_leads", s.Leading())
	f.add("log_entries", own.LogEntries)
	f.add("log_bytes", own.LogBytes)
	f.add("minutes_of_partition_left", backlogText(own.BacklogMinutes))
	if own.Held != "" {
		f.add("writes held", own.Held)
	}
	if len(own.Quarantined) > 0 {
		f.add("in quarantine", strings.Join(own.Quarantined, ", "))
	}
	f.add("lost_on_failover", own.LostEffects)
	if own.MissingEffects > 0 {
		f.add("missing_after_failover", fmt.Sprintf("%d, until these have said what they have: %s", own.MissingEffects, strings.Join(own.MissingAwaits, ", ")))
	}
	if own.Refuses != "" {
		f.add("writes", "refused by Redis: "+own.Refuses)
	}
	for _, text := range own.Alarms {
		f.add("alarm", text)
	}
	if len(own.HeldBackBy) > 0 {
		f.add("collection", fmt.Sprintf("held back by %s, about %d bytes wait", heldBackText(own.HeldBackBy, time.Now()), own.HeldBackBytes))
	}
	for _, peer := range peers {
		f.add("peer "+peer.Name, peer.line())
	}
	return f, nil
}

// backlogText is a number of minutes, or -1 for any number.
func backlogText(minutes float64) string {
	if minutes < 0 {
		return "-1"
	}
	return strconv.FormatFloat(minutes, 'f', 1, 64)
}

// line is one peer for people.
func (p PeerStatus) line() string {
	text := fmt.Sprintf("%s, %d entries (%d ms) behind there, %d entries of ours not acknowledged", p.State, p.LagEntries, p.LagMillis, p.AckedEntries)
	if m := p.Merge; m != nil {
		text += fmt.Sprintf(", %d of about %d keys merged (%s, %s)", m.Keys, m.Total, m.Mode, m.Phase)
	}
	if p.Addr != "" {
		text += ", link to " + p.Addr
	}
	if drift := time.Duration(p.DriftMillis) * time.Millisecond; drift.Abs() >= time.Second {
		text += ", its clock is " + driftText(drift)
	}
	if p.WaitsFor != "" {
		text += ", waits for " + p.WaitsFor
	}
	if p.Error != "" {
		text += ", " + p.Error
	}
	return text
}
