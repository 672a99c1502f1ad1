// Package sandbox runs a throw-away deployment on this machine: redis-server processes and `anabranch serve` in front of
// each, on loopback ports and in a directory that is removed afterwards. The demo and the benchmark use it.
//
//	Sandbox ──► Region A: redis-server ◄── anabranch serve ◄─ peer link ─► anabranch serve ──► redis-server :Region B
//
// It is not for tests, which need servers that they can pause, kill and look into (internal/redistest), and not for data
// that anybody wants to keep.
//
// The invariant: no process outlives the one that started it, however that one ends.
package sandbox
