// Package syncer carries log entries from region to region: exactly once, in causal order, through any failure.
//
//	region A                                                             region B
//	crdt:log ──► server ── LOG, BEAT ──► link ──► applier ──► FCALL anabranch_apply_1
//	crdt:acks ◄──  of every proxy   ◄── ACK, BEAT ──┘   of the leader alone    └─► crdt:frontier, data, log record
//
// Regions pull. Every proxy serves its region's log to whoever is a peer; the one proxy that holds the lease (the
// leader) pulls from each other region, trims the log, expires keys and publishes what CRDT STATUS shows.
//
// What it is not: it decides nothing about data. Order, duplicates and causality are checked by the engine, in the same
// atomic step in which an entry is applied; this package only brings entries and believes the answers. That is why two
// leaders at once, a repeated batch or a stale memory do no harm.
//
// The invariant: an entry leaves a buffer, and a log, only after the engine of the receiving region said that it is
// applied. The frontier in Redis is the only memory of what that means.
package syncer
