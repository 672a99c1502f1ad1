package main

import (
	"slices"
	"time"

	"anabranch/proxy"
	"anabranch/syncer"
)

// statusDocument is what /status answers and what `anabranch status` prints. Fields are added, never renamed: others
// read them too.
type statusDocument struct {
	Version  string       `json:"version"`
	Region   string       `json:"region"`
	RegionID int          `json:"region_id"`
	RunID    string       `json:"run_id"`            // of this proxy
	Ready    bool         `json:"ready"`             // Redis is there, and clients are served
	Primary  string       `json:"primary,omitempty"` // where the Sentinels say that it is
	Error    string       `json:"error,omitempty"`
	Peers    []peerStatus `json:"peers"`

	WritesRefused string   `json:"writes_refused,omitempty"` // the error with which Redis refuses writes at the moment
	Alarms        []string `json:"alarms,omitempty"`         // what somebody should look at: clocks, eviction

	HeldBackBy map[string]time.Time `json:"collection_held_back_by,omitempty"` // regions for which metadata is kept, and since when
}

// peerStatus is one other region.
type peerStatus struct {
	Name             string     `json:"name"`
	ID               int        `json:"id"` // 0 until it was met
	Addr             string     `json:"addr,omitempty"`
	State            string     `json:"state"`
	LagMillis        int64      `json:"lag_ms"`
	LagEffects       int64      `json:"lag_effects"`
	DriftMillis      int64      `json:"drift_ms"`          // that region's clock minus this one's
	ConnectedSeconds int64      `json:"connected_seconds"` // 0 when there is no connection
	AckedUntil       *time.Time `json:"acked_until,omitempty"`
	LastError        string     `json:"last_error,omitempty"`
}

func statusOf(peer proxy.Peer, now time.Time) peerStatus {
	s := peerStatus{
		Name: peer.Name, ID: peer.ID, Addr: peer.Addr, State: string(peer.State),
		LagMillis: peer.Lag.Milliseconds(), LagEffects: peer.LagEffects, DriftMillis: peer.Drift.Milliseconds(), LastError: peer.LastError,
	}
	if !peer.Connected.IsZero() {
		s.ConnectedSeconds = int64(now.Sub(peer.Connected).Seconds())
	}
	if !peer.AckedTime.IsZero() {
		s.AckedUntil = &peer.AckedTime
	}
	return s
}

// healthyStates are those in which nobody needs to look: effects flow, wait for another region's, or somebody has decided
// that they shall not flow.
var healthyStates = []string{
	string(proxy.PeerStream), string(proxy.PeerMerge), string(proxy.PeerPaused), string(syncer.StateWaiting),
}

func (p peerStatus) healthy() bool { return slices.Contains(healthyStates, p.State) }

// healthy says whether the region is served, nothing alarms, and every link is up.
func (d statusDocument) healthy() bool {
	if !d.Ready || d.Error != "" || d.WritesRefused != "" || len(d.Alarms) > 0 {
		return false
	}
	return !slices.ContainsFunc(d.Peers, func(p peerStatus) bool { return !p.healthy() })
}
