// Package trap holds one test for each bug that other active-active systems have shipped, under a name that says the trap.
//
// The traps are known from public threads about multi-primary forks and proxies of Redis. Each test drives real regions
// into the situation and asserts that Anabranch comes out of it.
package trap
