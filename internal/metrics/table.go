package metrics

import (
	"math"
	"runtime"
	"slices"
	"strconv"
	"time"

	"anabranch/internal/status"
)

var peer = []string{"peer"}

// States that a link can be in (docs/admin.md).
var states = []string{"probe", "stream", "paused", "waiting", "stalled", "refused", "merge-needed", "merge", "quarantined"}

// table has every metric but the histogram of round trips. What is not said to be of this proxy is of the region, and all its proxies tell the same.
var table = slices.Concat(passiveTable, proxyTable, regionTable, peerTable)

// passiveTable is what a proxy in passive mode has, too: there, no engine knows of more.
var passiveTable = []metric{
	{"anabranch_build_info", gauge, []string{"version", "commit", "go_version"}, "1; the labels say what runs.",
		func(d *status.Document, out emit) { out(1, d.Version, d.Commit, runtime.Version()) }},
	{"anabranch_ready", gauge, nil, "1 while this proxy serves clients, 0 while its Redis does not answer.",
		is(func(d *status.Document) bool { return d.Ready })},
	{"anabranch_certificate_expiry_timestamp_seconds", gauge, []string{"of"}, "When the certificate that this proxy shows to clients, peers or redis ends, in Unix seconds.",
		func(d *status.Document, out emit) {
			for of, at := range d.Certificates {
				out(float64(at.Unix()), of)
			}
		}},
	{"anabranch_client_connections", gauge, nil, "Clients connected to this proxy.",
		of(func(d *status.Document) int { return d.Clients.Connected })},
	{"anabranch_client_connections_limit", gauge, nil, "Clients that may be connected to this proxy (--maxclients).",
		of(func(d *status.Document) int { return d.Clients.Limit })},
	{"anabranch_client_connections_accepted_total", counter, nil, "Connections that became clients of this proxy.",
		of(func(d *status.Document) int64 { return d.Clients.Accepted })},
	{"anabranch_client_connections_rejected_total", counter, nil, "Connections that this proxy sent away because of --maxclients.",
		of(func(d *status.Document) int64 { return d.Clients.Rejected })},
}

var proxyTable = []metric{
	{"anabranch_status_known", gauge, nil, "1 when this proxy could ask its Redis for the state of replication, else 0 and the metrics of the region are missing.",
		is(func(d *status.Document) bool { return d.Error == "" })},
	{"anabranch_sentinel_majority", gauge, nil, "1 while a majority of the Sentinels confirms the primary to this proxy, else 0; missing without Sentinels.",
		func(d *status.Document, out emit) {
			if d.Sentinel != nil {
				out(number(d.Sentinel.Trouble == ""))
			}
		}},
	{"anabranch_leader", gauge, nil, "1 when this proxy leads its region.",
		is(func(d *status.Document) bool { return d.Leads })},
	{"anabranch_clients_blocked", gauge, nil, "Clients of this proxy that wait in a command.",
		of(func(d *status.Document) int { return d.Clients.Blocked })},
	{"anabranch_clients_cut_off_total", counter, nil, "Clients that this proxy closed at --output-limit or --query-limit.",
		of(func(d *status.Document) int64 { return d.Clients.CutOff })},
	{"anabranch_commands_total", counter, []string{"class", "result"}, "Commands of this proxy's clients, by class (docs/commands.md) and by result: ok, error, or refused because Anabranch does not take the command.",
		func(d *status.Document, out emit) {
			for class, ended := range d.Commands {
				out(float64(ended.OK), class, "ok")
				out(float64(ended.Error), class, "error")
				out(float64(ended.Refused), class, "refused")
			}
		}},
	{"anabranch_streams_served_total", counter, nil, "Streams of this region's log that this proxy began to serve to other regions.",
		of(func(d *status.Document) int64 { return d.Links.StreamsServed })},
	{"anabranch_streams_refused_total", counter, nil, "Streams that this proxy refused to other regions.",
		of(func(d *status.Document) int64 { return d.Links.StreamsRefused })},
	{"anabranch_log_entries_sent_total", counter, nil, "Log entries that this proxy sent to other regions.",
		of(func(d *status.Document) int64 { return d.Links.EntriesSent })},
	{"anabranch_merges_requested_total", counter, nil, "Times that this proxy found a merge to be needed, as another region's log no longer held what this one lacks.",
		of(func(d *status.Document) int64 { return d.Links.MergesRequested })},
	{"anabranch_merges_served_total", counter, nil, "Merges that other regions began at this proxy.",
		of(func(d *status.Document) int64 { return d.Links.MergesServed })},
	{"anabranch_merges_done_total", counter, nil, "Merges that this proxy finished for its region.",
		of(func(d *status.Document) int64 { return d.Links.MergesDone })},
	{"anabranch_relays_total", counter, nil, "Merges begun by this proxy for effects that their origin could not give.",
		of(func(d *status.Document) int64 { return d.Links.Relays })},
	{"anabranch_replica_waits_total", counter, nil, "Times that this proxy held effects back because too few replicas had them (--ship-after-replicas).",
		of(func(d *status.Document) int64 { return d.Links.ReplicaWaits })},
	{"anabranch_messages_dropped_total", counter, nil, "Published messages that this proxy did not pass on, because they were too large or too many.",
		of(func(d *status.Document) int64 { return d.Links.MessagesDropped })},
}

// ofRegion is of, where the state of the region is known.
func ofRegion[N int | int64 | float64](field func(d *status.Document) N) func(*status.Document, emit) {
	return known(of(field))
}

func known(read func(*status.Document, emit)) func(*status.Document, emit) {
	return func(d *status.Document, out emit) {
		if d.Error == "" {
			read(d, out)
		}
	}
}

var regionTable = []metric{
	{"anabranch_region_led", gauge, nil, "1 while some proxy leads the region.",
		known(is(func(d *status.Document) bool { return d.Leader != "" }))},
	{"anabranch_writes_refused", gauge, nil, "1 while Redis refuses writes (out of memory, cannot save, is a replica).",
		known(is(func(d *status.Document) bool { return d.WritesRefused != "" }))},
	{"anabranch_writes_held", gauge, nil, "1 while the region takes no writes because it is in quarantine, or was away.",
		known(is(func(d *status.Document) bool { return d.WritesHeld != "" }))},
	{"anabranch_alarms", gauge, nil, "What the region goes on with, but somebody should look at: clocks, eviction policy.",
		ofRegion(func(d *status.Document) int { return len(d.Alarms) })},
	{"anabranch_epoch", gauge, nil, "Number of the log's epoch. A later one begins with a takeover after which the newest writes may be missing.",
		ofRegion(func(d *status.Document) int64 { return d.Epoch })},
	{"anabranch_effects_lost_total", counter, nil, "Effects of this region that fail-overs took and no region has, at least.",
		ofRegion(func(d *status.Document) int64 { return d.LostEffects })},
	{"anabranch_effects_missing", gauge, nil, "Effects that fail-overs took and other regions may still bring.",
		ofRegion(func(d *status.Document) int64 { return d.MissingEffects })},
	{"anabranch_log_entries", gauge, nil, "Entries in the region's log.",
		ofRegion(func(d *status.Document) int64 { return d.Log.Entries })},
	{"anabranch_log_bytes", gauge, nil, "Memory of the region's log.",
		ofRegion(func(d *status.Document) int64 { return d.Log.Bytes })},
	{"anabranch_log_limit_bytes", gauge, nil, "What the log may take (--backlog-size).",
		ofRegion(func(d *status.Document) int64 { return d.Log.LimitBytes })},
	{"anabranch_backlog_seconds", gauge, nil, "Partition for which the log has room at the present rate of writes; +Inf when nothing is written.",
		ofRegion(func(d *status.Document) float64 {
			if d.Log.BacklogMinutes < 0 {
				return math.Inf(1)
			}
			return d.Log.BacklogMinutes * 60
		})},
	{"anabranch_log_entries_trimmed_total", counter, nil, "Entries trimmed from the log, since the leader leads.",
		ofRegion(func(d *status.Document) int64 { return d.Log.Trimmed })},
	{"anabranch_log_entries_written_total", counter, nil, "Entries written to the log, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.EntriesWritten })},
	{"anabranch_effects_written_total", counter, nil, "Effects of clients' writes, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.Written })},
	{"anabranch_log_entries_applied_total", counter, nil, "Entries of other regions' logs applied here, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.EntriesApplied })},
	{"anabranch_effects_applied_total", counter, nil, "Effects of other regions applied here, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.Applied })},
	{"anabranch_log_entries_skipped_total", counter, nil, "Entries of other regions that came twice, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.EntriesSkipped })},
	{"anabranch_keys_merged_total", counter, nil, "Keys whose state was merged, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.KeysMerged })},
	{"anabranch_keys_expired_total", counter, nil, "Keys that this region removed for all because their time was up, since the leader leads.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.KeysExpired })},
	{"anabranch_keys_evicted_total", counter, nil, "Keys that Redis evicted here and that were removed everywhere, since the leader leads.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.KeysEvicted })},
	{"anabranch_stamps_ahead_total", counter, nil, "Applied entries whose stamps were ahead of the clock by more than --drift-limit, since the leader leads.",
		ofRegion(func(d *status.Document) int64 { return d.Effects.StampsAhead })},
	{"anabranch_conflicts_total", counter, []string{"type"}, "Conflicts resolved in this region, by type of data, since the engine was loaded.",
		known(func(d *status.Document, out emit) {
			for kind, n := range d.Conflicts.ByType {
				out(float64(n), kind)
			}
		})},
	{"anabranch_keys", gauge, []string{"db"}, "Keys of clients.",
		known(func(d *status.Document, out emit) {
			for _, database := range d.Keys.Databases {
				out(float64(database.Keys), strconv.Itoa(database.DB))
			}
		})},
	{"anabranch_companion_keys", gauge, []string{"db"}, "Companion keys, which hold the metadata of clients' keys.",
		known(func(d *status.Document, out emit) {
			for _, database := range d.Keys.Databases {
				out(float64(database.Companions), strconv.Itoa(database.DB))
			}
		})},
	{"anabranch_companion_bytes", gauge, nil, "Memory of the companion keys, estimated from the sizes of a few; the log comes on top.",
		ofRegion(func(d *status.Document) int64 { return d.Keys.CompanionBytes })},
	{"anabranch_collection_pending_keys", gauge, nil, "Keys whose metadata has to be looked at again.",
		ofRegion(func(d *status.Document) int64 { return d.Collection.PendingKeys })},
	{"anabranch_collection_held_back_bytes", gauge, nil, "About how much metadata is kept for regions that hold collection back.",
		ofRegion(func(d *status.Document) int64 { return d.HeldBackBytes })},
	{"anabranch_collection_keys_visited_total", counter, nil, "Keys looked at for collection, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Collection.VisitedKeys })},
	{"anabranch_collection_keys_collected_total", counter, nil, "Keys of which metadata was collected, since the engine was loaded.",
		ofRegion(func(d *status.Document) int64 { return d.Collection.CollectedKeys })},
	{"anabranch_redis_memory_used_bytes", gauge, nil, "Memory that the region's Redis uses, as it counts.",
		ofRegion(func(d *status.Document) int64 { return d.Memory.UsedBytes })},
	{"anabranch_redis_memory_limit_bytes", gauge, nil, "maxmemory of the region's Redis; 0: none.",
		ofRegion(func(d *status.Document) int64 { return d.Memory.LimitBytes })},
}

var peerTable = []metric{
	{"anabranch_peer_up", gauge, peer, "1 while there is a link on which effects of the other region come.",
		each(func(p *status.Peer) float64 { return number(p.Up()) })},
	{"anabranch_peer_state", gauge, []string{"peer", "state"}, "1 for the state of the link to the other region (docs/admin.md), 0 for all others.",
		func(d *status.Document, out emit) {
			for _, p := range d.Peers {
				for _, state := range states {
					out(number(p.State == state), p.Name, state)
				}
			}
		}},
	{"anabranch_peer_lag_seconds", gauge, peer, "Age of the oldest effect of the other region known to wait; what it writes while it is out of reach is not known.",
		each(func(p *status.Peer) float64 { return seconds(p.LagMillis) })},
	{"anabranch_peer_lag_effects", gauge, peer, "Log entries of the other region known to wait.",
		each(func(p *status.Peer) float64 { return float64(p.LagEffects) })},
	{"anabranch_peer_unacked_effects", gauge, peer, "Log entries of this region that the other one has not confirmed.",
		each(func(p *status.Peer) float64 { return float64(p.UnackedEffects) })},
	{"anabranch_peer_rtt_seconds", gauge, peer, "Round trip to the other region, from heartbeats.",
		each(func(p *status.Peer) float64 { return seconds(p.RTTMillis) })},
	{"anabranch_peer_clock_drift_seconds", gauge, peer, "The clock of the other region's Redis minus that of this one's.",
		each(func(p *status.Peer) float64 { return seconds(p.DriftMillis) })},
	{"anabranch_peer_quarantined", gauge, peer, "1 while the other region is in quarantine here.",
		each(func(p *status.Peer) float64 { return number(p.Quarantined || p.State == "quarantined") })},
	{"anabranch_peer_collection_held_back_seconds", gauge, peer, "For how long the other region has held back the collection of metadata; 0 when it does not.",
		func(d *status.Document, out emit) {
			for _, p := range d.Peers {
				held := 0.0
				if since, yes := d.HeldBackBy[p.Name]; yes {
					held = max(0, d.Time.Sub(since).Seconds())
				}
				out(held, p.Name)
			}
		}},
	{"anabranch_peer_merging", gauge, peer, "1 while the state of the other region is being merged.",
		each(func(p *status.Peer) float64 { return number(p.Merge != nil) })},
	{"anabranch_peer_merge_keys_done", gauge, peer, "Keys that the merge under way has merged.",
		each(func(p *status.Peer) float64 { return float64(mergeOf(p).KeysDone) })},
	{"anabranch_peer_merge_keys_expected", gauge, peer, "About how many keys it has to merge.",
		each(func(p *status.Peer) float64 { return float64(mergeOf(p).KeysExpected) })},
	{"anabranch_peer_merge_received_bytes", gauge, peer, "What it has received, before compression.",
		each(func(p *status.Peer) float64 { return float64(mergeOf(p).Bytes) })},
	{"anabranch_peer_merge_age_seconds", gauge, peer, "Since when it is under way.",
		func(d *status.Document, out emit) {
			for _, p := range d.Peers {
				age := time.Duration(0)
				if p.Merge != nil {
					age = max(0, d.Time.Sub(p.Merge.Began))
				}
				out(age.Seconds(), p.Name)
			}
		}},
	{"anabranch_peer_connects_total", counter, peer, "Times that a link to the other region came up, since the leader leads.",
		each(func(p *status.Peer) float64 { return float64(p.Connects) })},
	{"anabranch_peer_received_bytes_total", counter, peer, "Bytes received from the other region, on the wire, since the leader leads.",
		each(func(p *status.Peer) float64 { return float64(p.ReceivedBytes) })},
	{"anabranch_peer_log_entries_received_total", counter, peer, "Log entries received from the other region, since the leader leads.",
		each(func(p *status.Peer) float64 { return float64(p.EntriesReceived) })},
	{"anabranch_peer_log_entries_applied_total", counter, peer, "Log entries of the other region applied here, since the leader leads.",
		each(func(p *status.Peer) float64 { return float64(p.EntriesApplied) })},
}

func mergeOf(p *status.Peer) status.Merge {
	if p.Merge == nil {
		return status.Merge{}
	}
	return *p.Merge
}
