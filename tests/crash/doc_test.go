// Package crash kills proxies and servers under load and then counts: is every acknowledged write there, once, in every
// region?
//
//	writers ──► proxies ──► Redis (append-only file, fsync always)
//	   │            ▲          ▲
//	   ▼            └─ kill -9 ┘
//	ledger: acknowledged, or unknown
//
// A write whose answer was an error or never came is unknown: it may have happened once or not at all, and the checks
// leave room for both, but not for twice.
//
// Every run prints its seed. ANABRANCH_TEST_SEED=n plays the same choices again; what the scheduler adds is not in it.
package crash
