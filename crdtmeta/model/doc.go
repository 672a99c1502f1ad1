// Package model is the second opinion on the merge rules of docs/engine.md, sections 5 and 6: a plain Go region that
// executes write commands, produces effects, takes the effects of other regions, and shows its visible data.
//
// It exists to be compared with the engine. So it is written from the rules and for reading: it keeps everything for
// ever, collects no garbage, and has no companion formats. Numbers are exact rationals, so integers of 64 bits and
// the binary fractions that tests use add up exactly in any order.
//
// It is not a Redis: it knows the write commands of strings, hashes, lists, sets, sorted sets and keys, with the options that
// change what merges, and answers anything else with an error.
//
//	Call(t, db, commands) ──► reply of each command
//	      │  plans on what the key shows, then emits effects one by one
//	      ▼
//	   Effect ──► merge ◄── Apply(entry of another region)
//
// The invariant: a region's state changes in merge only, for its own effects and for those of others alike. A region
// has seen all that it holds when it emits; another region has seen what the entry's context covers.
package model
