// Package verify compares what regions show, key by key, while they are being written to. It speaks to one proxy of each
// region over its client port, asks with CRDT DIGEST, and changes nothing unless it is to repair.
//
//	SCAN first region ──names──▶ CRDT DIGEST PAGE in every region ──hashes differ──▶ CRDT DIGEST KEYS ──keys differ──▶ lane
//	SCAN other region ──names──▶ EXISTS in the first region ──some are missing─────▶        "                 │
//	                                                                                                          ▼
//	                                      looks again until the rule of suspect.go says equal, different or undecided
//
// Names travel in pages and are not kept; what is kept are keys that are not decided yet, and those are bounded. Its invariant:
// a key is called different only when every region has applied all that any region had when it was first seen to differ, and
// nothing has happened to the key in any region since. So an effect that is on its way is never taken for a difference.
//
// To repair a key that is different it has one region write its value anew (CRDT REPAIR), by the rule of repair.go, and looks on
// until all are equal. No value passes through here.
package verify
