package status

import (
	"context"
	"slices"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/backend"
	"anabranch/proxy"
	"anabranch/sentinel"
	"anabranch/syncer"
	"anabranch/translate"
)

// Source knows where a proxy's figures come from.
type Source struct {
	Version, Commit string
	Region          string
	RegionID        int
	RunID           string
	StartedAt       time.Time
	MaxClients      int

	Certificates func() map[string]time.Time // when they end, by what they are for

	Backend *backend.Backend
	Watcher *sentinel.Watcher // nil without Sentinels
	Proxy   *proxy.Server
	Syncer  *syncer.Syncer
}

// Document asks for everything. What cannot be found out is missing, and Error says why.
func (s *Source) Document(ctx context.Context) Document {
	now := time.Now()
	d := Document{
		Version: s.Version, Commit: s.Commit, Region: s.Region, RegionID: s.RegionID, RunID: s.RunID,
		Time: now, StartedAt: s.StartedAt, Peers: []Peer{},
		Clients: s.clients(), Commands: commandsOf(s.Backend.Traffic()), Certificates: s.Certificates(),
	}
	problem := s.Proxy.Problem()
	if d.Ready = problem == nil; !d.Ready {
		d.Why = problem.Error()
	}
	d.Sentinel = s.sentinel()
	seen, err := s.Syncer.Observe(ctx)
	if err != nil {
		d.Error = err.Error()
	}
	d.addRegion(seen.Own)
	d.addEngine(seen.Engine)
	d.Leads, d.Links = seen.Leads, Links(seen.Here)
	for _, peer := range seen.Peers {
		d.Peers = append(d.Peers, peerOf(peer, now, slices.Contains(d.Quarantined, peer.Name)))
	}
	d.Alerts = d.alerts(seen.Own)
	return d
}

func (s *Source) sentinel() *Sentinel {
	if s.Watcher == nil {
		return nil
	}
	known := &Sentinel{Sentinels: s.Watcher.Sentinels()}
	if p, err := s.Watcher.Primary(); err == nil {
		known.Primary = p.Addr
	}
	if trouble := s.Watcher.Trouble(); trouble != nil {
		known.Trouble = trouble.Error()
	}
	return known
}

func (s *Source) clients() Clients {
	stats := s.Proxy.Stats()
	return Clients{
		Connected: stats.Clients, Limit: s.MaxClients, Blocked: stats.Blocked,
		Accepted: stats.Accepted, Rejected: stats.Rejected, CutOff: stats.CutOff,
	}
}

// unknown is the class of commands that nobody knows.
const unknown = "unknown"

func commandsOf(traffic *backend.Traffic) Commands {
	commands := Commands{}
	for class := range translate.Class(translate.Classes) {
		name := class.String()
		switch class {
		case translate.Unclassified:
			name = unknown
		case translate.ReadOrWrite:
			continue // each is one or the other
		}
		commands[name] = Ended{
			OK:      traffic.Commands(class, backend.Done),
			Error:   traffic.Commands(class, backend.Failed),
			Refused: traffic.Commands(class, backend.Refused),
		}
	}
	return commands
}

// addRegion adds what the leader has published.
func (d *Document) addRegion(own syncer.RegionStatus) {
	d.Leader, d.Origin = own.Leader, own.Origin
	if origin, err := crdtmeta.ParseOrigin(own.Origin); err == nil {
		d.Epoch = origin.Counter()
	}
	d.WritesRefused, d.WritesHeld, d.Quarantined = own.Refuses, own.Held, own.Quarantined
	d.Alarms, d.HeldBackBy, d.HeldBackBytes = own.Alarms, own.HeldBackBy, own.HeldBackBytes
	d.LostEffects, d.MissingEffects, d.MissingAwaits = own.LostEffects, own.MissingEffects, own.MissingAwaits
	d.Log = Log{
		Entries: own.LogEntries, Bytes: own.LogBytes, LimitBytes: own.LogLimit, BacklogMinutes: own.BacklogMinutes, Trimmed: own.EntriesTrimmed,
	}
	d.Collection.PendingKeys, d.Collection.Until = own.CollectPending, timeOf(own.CollectedUntil)
	d.Keys.Companions, d.Keys.CompanionBytes = own.Companions(), own.CompanionBytes
	for _, database := range own.Databases {
		d.Keys.Total += database.Keys
		d.Keys.Databases = append(d.Keys.Databases, Database(database))
	}
	d.Memory = Memory{UsedBytes: own.MemoryUsed, LimitBytes: own.MemoryLimit}
	d.Effects.KeysExpired, d.Effects.KeysEvicted, d.Effects.StampsAhead = own.KeysExpired, own.KeysEvicted, own.StampsAhead
}

// addEngine adds what the engine has counted.
func (d *Document) addEngine(stats syncer.EngineStats) {
	d.Conflicts = Conflicts{Total: stats.Conflicts, ByType: stats.ConflictsBy}
	if d.Conflicts.ByType == nil {
		d.Conflicts.ByType = map[string]int64{}
	}
	d.Collection.VisitedKeys, d.Collection.CollectedKeys = stats.VisitedKeys, stats.CollectedKeys
	d.Effects.EntriesWritten, d.Effects.Written = stats.Entries, stats.Effects
	d.Effects.EntriesApplied, d.Effects.Applied, d.Effects.EntriesSkipped = stats.AppliedEntries, stats.AppliedEffects, stats.SkippedEntries
	d.Effects.KeysMerged = stats.MergedKeys
}

func peerOf(p syncer.PeerStatus, now time.Time, quarantined bool) Peer {
	peer := Peer{
		Name: p.Name, ID: p.ID, Addr: p.Addr, State: string(p.State), Since: known(p.Since),
		LagMillis: p.LagMillis, LagEffects: p.LagEntries, UnackedEffects: p.AckedEntries,
		DriftMillis: p.DriftMillis, RTTMillis: p.RTTMillis, HeardAt: known(p.Heard), AckedUntil: timeOf(p.AckedTime),
		LastError: p.Trouble(), WaitsFor: p.WaitsFor, Quarantined: quarantined, OthersLagMillis: p.Others,
		Connects: p.Connects, ReceivedBytes: p.BytesReceived, EntriesReceived: p.EntriesReceived, EntriesApplied: p.EntriesApplied,
	}
	if !p.Connected.IsZero() {
		peer.ConnectedSeconds = int64(now.Sub(p.Connected).Seconds())
	}
	if m := p.Merge; m != nil {
		peer.Merge = &Merge{Mode: m.Mode, Phase: m.Phase, KeysDone: m.Keys, KeysExpected: m.Total, Bytes: m.Bytes, Began: m.Began}
	}
	return peer
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func timeOf(t crdtmeta.Time) *time.Time {
	if t == 0 {
		return nil
	}
	at := time.UnixMilli(t.Millis())
	return &at
}
