package syncer

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Observation is what this proxy knows of replication at a moment, for status, metrics and the dashboard. INFO and CRDT STATUS
// tell the same, from the same sources.
type Observation struct {
	Own    RegionStatus
	Peers  []PeerStatus
	Leads  bool // this proxy leads the region
	Engine EngineStats
	Here   HereStats
}

// EngineStats counts what the engine has done since its library was loaded into the region's Redis.
type EngineStats struct {
	Entries        int64 // of this region's log
	Effects        int64 // in them
	AppliedEntries int64 // of other regions
	AppliedEffects int64 // in them
	SkippedEntries int64 // that had come before
	ExpiredKeys    int64
	VisitedKeys    int64 // looked at for collection
	CollectedKeys  int64 // of which metadata went
	MergedKeys     int64
	Conflicts      int64
	ConflictsBy    map[string]int64 // type → number
}

// HereStats counts what this proxy has done since it started.
type HereStats struct {
	StreamsServed   int64 // to peers
	StreamsRefused  int64
	EntriesSent     int64
	MergesRequested int64 // streams that a merge was needed for
	MergesServed    int64
	MergesDone      int64
	Relays          int64
	ReplicaWaits    int64
	MessagesDropped int64
}

// Observe asks Redis for what this proxy does not know itself.
func (s *Syncer) Observe(ctx context.Context) (o Observation, err error) {
	if o.Own, o.Peers, err = s.Statuses(ctx); err != nil {
		return o, err
	}
	o.Leads, o.Here = s.Leading(), s.counters.here()
	stats, err := s.engineStats(ctx)
	o.Engine = engineStatsOf(stats)
	return o, err
}

// conflictsBy begins the names of the engine's counters of conflicts by type.
const conflictsBy = "conflicts_"

func engineStatsOf(stats map[string]int64) EngineStats {
	e := EngineStats{
		Entries: stats["entries"], Effects: stats["effects"],
		AppliedEntries: stats["applied_entries"], AppliedEffects: stats["applied_effects"], SkippedEntries: stats["skipped_entries"],
		ExpiredKeys: stats["expired"], VisitedKeys: stats["visited_keys"], CollectedKeys: stats["collected_keys"],
		MergedKeys: stats["merged_keys"], Conflicts: stats["conflicts"], ConflictsBy: map[string]int64{},
	}
	for name, n := range stats {
		if kind, found := strings.CutPrefix(name, conflictsBy); found {
			e.ConflictsBy[kind] = n
		}
	}
	return e
}

// ConflictTypes lists the types of which there were conflicts, in order.
func (e EngineStats) ConflictTypes() []string { return slices.Sorted(maps.Keys(e.ConflictsBy)) }

func (c *counters) here() HereStats {
	return HereStats{
		StreamsServed: c.streamsServed.Load(), StreamsRefused: c.streamsRefused.Load(), EntriesSent: c.entriesSent.Load(),
		MergesRequested: c.mergesRequested.Load(), MergesServed: c.mergesServed.Load(), MergesDone: c.mergesDone.Load(),
		Relays: c.relays.Load(), ReplicaWaits: c.replicaWaits.Load(), MessagesDropped: c.messagesDropped.Load(),
	}
}
