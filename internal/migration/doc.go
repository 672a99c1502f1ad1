// Package migration tells, before a region takes part in active-active, what that would be like: which commands active mode would
// refuse, which writes of two regions would have met, and what the metadata costs.
//
//	commands ──► Tally ─────────────────────────────────► Document ──► /migration
//	writes ──► footprints ──► crdt:shadow ──► Rehearsal ─────┘
//	                        (all proxies of both regions publish and hear)
//
// Two proxies of two regions stand in front of one Redis, so nothing conflicts really: what they would have made of each other's
// writes is judged by the time between them, and by the commands alone. It does not know the merge rules (crdtmeta/lua does); Judge
// says in which of a few classes their outcome falls.
//
// The invariants: names and values of clients never leave the process, hashes do; everything is bounded, and what was left out is counted.
package migration
