// Package crdtmeta holds what makes concurrent writes merge: stamps and frontiers, the formats of companion keys and
// log entries, and the engine, a Lua library that Redis runs (lua/*.lua).
//
// It is pure: it reads no clock, no socket and no environment. docs/engine.md is its contract.
//
// The invariant: there is exactly one merge rule per type, in the engine, used by local commands, remote effects and
// repair alike. The Go model in crdtmeta/model says the same a second time, as the oracle for tests.
package crdtmeta
