// Package passive is a proxy that adds nothing: each client's connection is joined with one of its own to Redis, and bytes go through
// as they are. It looks at what passes, and tells what active mode would say to it.
//
//	client ──bytes──► Redis          Redis ──bytes──► client
//	          └─copy──► Stream ──► Watcher
//
// It is not the proxy of package proxy: it answers nothing, refuses nothing, shares no connection, and what it does not understand
// passes too. In Redis it has one connection that says that it is there (Presence), so that nobody records what it writes past.
//
// The invariant: what a client sends and what Redis answers are the same bytes, in the same order, as without it.
package passive
