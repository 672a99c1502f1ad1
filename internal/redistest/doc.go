// Package redistest runs real processes for tests: redis-server, and whole regions of redis-server and anabranch.
//
// It is not a fake and not a mock. A test that needs Redis gets a Redis, on a loopback port and in a directory of its
// own, and a missing program fails the test: a suite that skips itself proves nothing.
//
// Invariant: no process outlives the test process. Each child is started and awaited by a goroutine that is locked to
// its OS thread, because the kernel sends the parent-death signal when that thread ends, not when the process does.
//
//	test ──► Server (redis-server)
//	     ──► Cluster ──► Region A: Server + Proxy…   ◄─ peer links ─►   Region B: Server + Proxy…
package redistest
