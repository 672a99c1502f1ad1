package syncer

import (
	"context"
	"sort"
	"time"

	"anabranch/crdtmeta"
)

// PeerStatus is what the leader publishes about one other region, as JSON in crdt:status, so that every proxy can show it.
type PeerStatus struct {
	Name      string    `json:"name"`
	ID        int       `json:"id"` // 0 until the region was met
	Addr      string    `json:"addr,omitempty"`
	State     State     `json:"state"`
	Since     time.Time `json:"since"`
	Connected time.Time `json:"connected,omitzero"`
	Heard     time.Time `json:"heard,omitzero"` // of the newest heartbeat
	Error     string    `json:"error,omitempty"`
	LastError string    `json:"last_error,omitempty"` // why the newest link ended, also after a new one is up
	WaitsFor  string    `json:"waits_for,omitempty"`  // origin and time that the next entry needs
	Origin    string    `json:"origin,omitempty"`     // of the newest entry applied

	LagMillis   int64 `json:"lag_ms"`      // age of the oldest entry known to wait
	LagEntries  int64 `json:"lag_entries"` // entries known to wait, there and here
	Queued      int64 `json:"queued_entries"`
	RTTMillis   int64 `json:"rtt_ms"`
	DriftMillis int64 `json:"drift_ms"` // that region's clock minus ours

	AckedTime    crdtmeta.Time `json:"acked_t"`         // what that region has applied of our log
	AckedEntries int64         `json:"unacked_entries"` // and how many entries of it not

	Merge *MergeStatus `json:"merge,omitempty"` // of a merge that is under way
	Apart []string     `json:"apart,omitempty"` // ids of regions that are in quarantine there

	Others map[string]int64 `json:"others,omitempty"` // ms that it is behind each other region, as the two of them say with their heartbeats

	Connects        int64 `json:"connects"`
	BytesReceived   int64 `json:"bytes_received"` // on the wire
	EntriesReceived int64 `json:"entries_received"`
	EntriesApplied  int64 `json:"entries_applied"`
}

// Trouble is why there is no link, or what the newest one ended with.
func (p PeerStatus) Trouble() string {
	if p.Error != "" {
		return p.Error
	}
	return p.LastError
}

// MergeStatus is how far a merge has got.
type MergeStatus struct {
	Mode  string    `json:"mode"`  // "changes": keys that changed since the link was lost; "whole": all keys
	Phase string    `json:"phase"` // "scan", "log", "own"
	Keys  int64     `json:"keys"`  // merged
	Total int64     `json:"total"` // estimated
	Bytes int64     `json:"bytes"` // received, before compression
	Began time.Time `json:"began"`
}

// OfAll says whether all keys are merged, and not only those that have changed.
func (m MergeStatus) OfAll() bool { return ofAll(m.Mode) }

// RegionStatus is what the leader publishes about our own region.
type RegionStatus struct {
	Leader         string        `json:"leader"` // run id
	At             time.Time     `json:"at"`
	Origin         string        `json:"origin"`
	Clock          crdtmeta.Time `json:"clock"` // newest entry of the log
	LogEntries     int64         `json:"log_entries"`
	LogBytes       int64         `json:"log_bytes"`
	LogFirst       crdtmeta.Time `json:"log_first"`
	LogLimit       int64         `json:"log_limit"`       // bytes
	BacklogMinutes float64       `json:"backlog_minutes"` // of partition that the log has room for, at the present rate of writes, if the slowest peer stays away from now on; -1 without writes
	EntriesTrimmed int64         `json:"entries_trimmed"`
	KeysExpired    int64         `json:"keys_expired"`

	KeysEvicted int64 `json:"keys_evicted"` // keys that Redis evicted and that are removed everywhere
	StampsAhead int64 `json:"stamps_ahead"` // entries applied since this proxy leads whose stamps were too far ahead of our clock

	Refuses string   `json:"refuses,omitempty"` // the error with which Redis refuses writes at the moment
	Alarms  []string `json:"alarms,omitempty"`  // what somebody should look at
	Abouts  []string `json:"abouts,omitempty"`  // what each of these is about

	Held        string   `json:"held,omitempty"`        // why clients may not write: this region is in quarantine, or was away
	Quarantined []string `json:"quarantined,omitempty"` // other regions that are in quarantine here

	MemoryUsed  int64 `json:"memory_used"`  // bytes, as Redis counts them
	MemoryLimit int64 `json:"memory_limit"` // maxmemory; 0: none
	Footprint

	LostEffects    int64    `json:"lost_effects"`              // of this region's, that fail-overs took and no region has: at least so many
	MissingEffects int64    `json:"missing_effects,omitempty"` // that fail-overs took and other regions may still bring
	MissingAwaits  []string `json:"missing_awaits,omitempty"`  // who has not said yet

	CollectPending int64                `json:"collect_pending"`           // keys that have to be looked at again
	CollectedUntil crdtmeta.Time        `json:"collected_until"`           // of what was recorded until then, metadata that is not needed goes
	HeldBackBytes  int64                `json:"held_back_bytes,omitempty"` // of metadata that waits for them, about and rather less
	HeldBackBy     map[string]time.Time `json:"held_back_by,omitempty"`    // regions that have not seen what has waited longest, and since when, by the region's clock
	SilentSince    map[string]time.Time `json:"silent_since,omitempty"`    // of these, regions to which there is no link, and since when
}

// ownField is the field of crdt:status that holds the RegionStatus: no region has id 0.
const ownField = "0"

// staleAfter is how old a published status may be before the region counts as being without a leader.
const staleAfter = 5

// PeerStatuses lists the other regions as the leader last saw them, the known ones in the order of their ids.
func (s *Syncer) PeerStatuses(ctx context.Context) ([]PeerStatus, error) {
	_, peers, err := s.Statuses(ctx)
	return peers, err
}

// Statuses returns what the leader last published about this region and the others. Leader is empty when there is none.
func (s *Syncer) Statuses(ctx context.Context) (own RegionStatus, peers []PeerStatus, err error) {
	own, found, err := s.published(ctx)
	if err != nil {
		return own, nil, err
	}
	ids, names, err := s.pausedNow(ctx)
	if err != nil && own.Refuses == "" {
		return own, nil, err
	}
	own.HeldBackBy = s.shownHeldBack(own)
	fresh := s.isFresh(own)
	why := "no proxy of this region leads at the moment"
	if !fresh {
		own.Leader, own.Refuses = "", s.refusal(ctx)
		if own.Refuses != "" {
			why += "; its Redis takes no writes: " + own.Refuses
		}
	}
	for _, name := range s.peerNames() {
		peer, published := found[name]
		if !published {
			peer = PeerStatus{Name: name, State: StateProbe}
		}
		if !fresh {
			peer.State, peer.Addr, peer.Connected = StateProbe, "", time.Time{}
			peer.Error = why
		}
		if held := ids[peer.ID] && peer.ID != 0 || names[name]; held && peer.State.up() {
			peer.State = StatePaused // also when nothing waits, so that the engine never had to say so
		}
		peers = append(peers, peer)
	}
	sort.SliceStable(peers, func(i, j int) bool { return peers[i].ID != 0 && (peers[j].ID == 0 || peers[i].ID < peers[j].ID) })
	return own, peers, nil
}
