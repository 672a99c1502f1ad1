// Package sentinel lets real Sentinels fail a region over under load, and then counts: how long did writes stand still, is everything there
// that was acknowledged and replicated, is anything there twice, are the regions equal?
//
//	writers ──► proxy A ──► primary ──► replica, replica      proxy B ──► Redis B ◄── writers
//	   │           ▲            ▲  killed, frozen, cut off       ▲
//	   ▼           │            │                                │
//	ledger      Sentinel, Sentinel, Sentinel                  peer links
//
// `make failover RUNS=20` repeats the fail-over and prints the distribution of the times. Nothing is asserted about time; all else is.
package sentinel
