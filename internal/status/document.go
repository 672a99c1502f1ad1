package status

import (
	"slices"
	"time"
)

// Document is what /status answers. Fields are added, never renamed: others read them too (docs/admin.md).
type Document struct {
	Version   string    `json:"version"`
	Commit    string    `json:"commit,omitempty"`
	Region    string    `json:"region"`
	RegionID  int       `json:"region_id"`
	RunID     string    `json:"run_id"` // of this proxy
	Time      time.Time `json:"time"`   // of this proxy's clock
	StartedAt time.Time `json:"started_at"`

	Ready bool   `json:"ready"` // Redis is there, and clients are served
	Why   string `json:"not_ready_because,omitempty"`
	Error string `json:"error,omitempty"` // why nothing is known of the region at the moment
	Peers []Peer `json:"peers"`

	Sentinel *Sentinel `json:"sentinel,omitempty"` // where Redis Sentinel says that the primary is

	Leader string `json:"leader"` // run id of the proxy that leads the region; empty when none does
	Leads  bool   `json:"leads"`  // it is this one

	WritesRefused string   `json:"writes_refused,omitempty"` // the error with which Redis refuses writes at the moment
	WritesHeld    string   `json:"writes_held,omitempty"`    // why this region takes none: it is in quarantine, or was away
	Quarantined   []string `json:"quarantined,omitempty"`    // other regions that are in quarantine here
	Alarms        []string `json:"alarms,omitempty"`         // what somebody should look at: clocks, eviction
	Alerts        []Alert  `json:"alerts,omitempty"`         // all that somebody should look at, with what it means and what to do

	LostEffects    int64    `json:"lost_on_failover"`                 // effects of this region that fail-overs took and no region has, at least
	MissingEffects int64    `json:"missing_after_failover,omitempty"` // and those of which that is not known yet
	MissingAwaits  []string `json:"missing_until_heard_of,omitempty"` // because these have not said what they have

	HeldBackBy    map[string]time.Time `json:"collection_held_back_by,omitempty"`    // regions for which metadata is kept, and since when
	HeldBackBytes int64                `json:"collection_held_back_bytes,omitempty"` // about how much

	Origin     string     `json:"origin"` // of this region's effects: region, shard, epoch
	Epoch      int64      `json:"epoch"`  // its number; a later one begins when writes may have been lost
	Log        Log        `json:"log"`
	Collection Collection `json:"collection"`
	Conflicts  Conflicts  `json:"conflicts"`
	Keys       Keys       `json:"keys"`
	Memory     Memory     `json:"memory"`
	Effects    Effects    `json:"effects"`
	Clients    Clients    `json:"clients"`
	Commands   Commands   `json:"commands"`

	Certificates map[string]time.Time `json:"certificates_expire,omitempty"` // of this proxy, by what they are for: clients, peers, redis
	Links        Links                `json:"links"`
}

// Sentinel is what this proxy knows from Redis Sentinel.
type Sentinel struct {
	Primary   string   `json:"primary"` // the last that a majority named; empty when none has yet
	Sentinels []string `json:"sentinels"`
	Trouble   string   `json:"trouble,omitempty"` // why no majority confirms it at the moment: a fail-over would not be seen
}

// Peer is one other region, as this one sees it.
type Peer struct {
	Name             string     `json:"name"`
	ID               int        `json:"id"` // 0 until it was met
	Addr             string     `json:"addr,omitempty"`
	State            string     `json:"state"`
	Since            *time.Time `json:"since,omitempty"` // in that state
	LagMillis        int64      `json:"lag_ms"`
	LagEffects       int64      `json:"lag_effects"`
	UnackedEffects   int64      `json:"unacked_effects"`   // of ours, that it has not confirmed
	DriftMillis      int64      `json:"drift_ms"`          // that region's clock minus this one's
	RTTMillis        int64      `json:"rtt_ms"`            // to it and back
	ConnectedSeconds int64      `json:"connected_seconds"` // 0 when there is no connection
	HeardAt          *time.Time `json:"heard_at,omitempty"`
	AckedUntil       *time.Time `json:"acked_until,omitempty"`
	LastError        string     `json:"last_error,omitempty"`
	WaitsFor         string     `json:"waits_for,omitempty"` // what its next effect depends on
	Merge            *Merge     `json:"merge,omitempty"`
	Quarantined      bool       `json:"quarantined"` // here

	OthersLagMillis map[string]int64 `json:"others_lag_ms,omitempty"` // how far it is behind the other regions, as they say themselves

	Connects        int64 `json:"connects"`
	ReceivedBytes   int64 `json:"received_bytes"`
	EntriesReceived int64 `json:"entries_received"`
	EntriesApplied  int64 `json:"entries_applied"`
}

// Merge is a merge that is under way.
type Merge struct {
	Mode         string    `json:"mode"`  // "changes": keys that changed since the link was lost; "whole": all keys
	Phase        string    `json:"phase"` // "scan", "log", "own"
	KeysDone     int64     `json:"keys_done"`
	KeysExpected int64     `json:"keys_expected"` // about
	Bytes        int64     `json:"bytes"`
	Began        time.Time `json:"began"`
}

// Log is the region's log of its own effects.
type Log struct {
	Entries        int64   `json:"entries"`
	Bytes          int64   `json:"bytes"`
	LimitBytes     int64   `json:"limit_bytes"`
	BacklogMinutes float64 `json:"backlog_minutes"` // of partition for which there is room, at the present rate; -1: any number
	Trimmed        int64   `json:"trimmed"`         // entries, since this proxy or another one leads
}

// Collection is the collection of metadata that every region has seen.
type Collection struct {
	PendingKeys   int64      `json:"pending_keys"`
	VisitedKeys   int64      `json:"visited_keys"`
	CollectedKeys int64      `json:"collected_keys"`
	Until         *time.Time `json:"until,omitempty"` // of what was written here up to then, nothing is left to collect
}

// Conflicts counts the conflicts that were resolved in this region.
type Conflicts struct {
	Total  int64            `json:"total"`
	ByType map[string]int64 `json:"by_type"`
}

// Keys is what clients have stored, and what merging adds to it.
type Keys struct {
	Total          int64      `json:"total"`
	Companions     int64      `json:"companions"`
	CompanionBytes int64      `json:"companion_bytes"` // an estimate
	Databases      []Database `json:"databases,omitempty"`
}

// Database is one that holds keys.
type Database struct {
	DB         int   `json:"db"`
	Keys       int64 `json:"keys"`
	Companions int64 `json:"companions"`
}

// Memory is that of the region's Redis.
type Memory struct {
	UsedBytes  int64 `json:"used_bytes"`
	LimitBytes int64 `json:"limit_bytes"` // maxmemory; 0: none
}

// Effects counts what was written here, and what came from the other regions. The counters begin anew with the engine, which is
// loaded when Redis starts, and some with the leader.
type Effects struct {
	EntriesWritten int64 `json:"entries_written"`
	Written        int64 `json:"written"`
	EntriesApplied int64 `json:"entries_applied"`
	Applied        int64 `json:"applied"`
	EntriesSkipped int64 `json:"entries_skipped"` // that had come before
	KeysMerged     int64 `json:"keys_merged"`
	KeysExpired    int64 `json:"keys_expired"`
	KeysEvicted    int64 `json:"keys_evicted"`
	StampsAhead    int64 `json:"stamps_ahead"` // entries from the future
}

// Clients are those of this proxy.
type Clients struct {
	Connected int   `json:"connected"`
	Limit     int   `json:"limit"`
	Blocked   int   `json:"blocked"`
	Accepted  int64 `json:"accepted"`
	Rejected  int64 `json:"rejected"`
	CutOff    int64 `json:"cut_off"` // closed at a limit of their buffers
}

// Commands are those of this proxy's clients: class → how many have ended in which way.
type Commands map[string]Ended

// Ended counts commands by how they ended.
type Ended struct {
	OK      int64 `json:"ok"`
	Error   int64 `json:"error"`
	Refused int64 `json:"refused"`
}

// Links counts what this proxy has done for the links between regions.
type Links struct {
	StreamsServed   int64 `json:"streams_served"`
	StreamsRefused  int64 `json:"streams_refused"`
	EntriesSent     int64 `json:"entries_sent"`
	MergesRequested int64 `json:"merges_requested"`
	MergesServed    int64 `json:"merges_served"`
	MergesDone      int64 `json:"merges_done"`
	Relays          int64 `json:"relays"`
	ReplicaWaits    int64 `json:"replica_waits"`
	MessagesDropped int64 `json:"messages_dropped"`
}

// healthyStates are those in which nobody needs to look: effects flow, wait for another region's, or somebody has decided
// that they shall not flow.
var healthyStates = []string{"stream", "merge", "paused", "waiting"}

// Healthy says whether nobody needs to look.
func (p Peer) Healthy() bool { return slices.Contains(healthyStates, p.State) }

// Up says whether there is a link.
func (p Peer) Up() bool { return p.Healthy() || p.State == "stalled" }

// Healthy says whether the region is served and takes writes, nothing alarms, and every link is up.
func (d Document) Healthy() bool {
	if !d.Ready || d.Error != "" || d.WritesRefused != "" || d.WritesHeld != "" || len(d.Alarms) > 0 {
		return false
	}
	if d.Sentinel != nil && d.Sentinel.Trouble != "" {
		return false
	}
	return !slices.ContainsFunc(d.Peers, func(p Peer) bool { return !p.Healthy() })
}
