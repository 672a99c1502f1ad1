// Package sentinel finds and follows the primary of a Redis that Redis Sentinel looks after.
//
//	Sentinel 1 ──polls, +switch-master──┐
//	Sentinel 2 ──polls, +switch-master──┼──► council ──► Primary: address, since when unconfirmed, replicas
//	Sentinel 3 ──polls, +switch-master──┘      ▲
//	     └─ names further Sentinels ───────────┘
//
// No single Sentinel is believed. A majority of all that are configured or known has to answer, and of these answers the newest
// configuration counts: every fail-over gives a higher number, the configuration epoch. So a Sentinel that was cut off together
// with an old primary cannot send anybody there, and one that has just been told of a fail-over need not wait for the others.
//
// Each Sentinel is asked once a second, and at once when any of them announces a fail-over. Announcements only save time: what
// they say is never taken for an answer.
//
// It connects to Sentinels alone. Whether the server at the address is a primary, and what to do when nobody confirms it any more, is
// up to who uses it (internal/backend).
//
// The invariant: Primary never names a configuration that is older than one that it named before, unless a majority agrees on it.
package sentinel
