// Package registry is what a proxy and Consul tell each other.
//
//	             ┌─ services  NAME and NAME-peer, each with a TTL check that says what /readyz says   (register.go)
//	proxy ──►    ├─ session   NAME/leader/REGION: who leads the region                                (lock.go)
//	  Consul     └─ KV        NAME/members: who the regions are, by check-and-set                     (membership.go)
//	proxy ◄──    ┌─ where the other regions' proxies are                                              (catalogue.go)
//	             └─ who the regions are
//
// It is not needed: everything works with static addresses, the lease in Redis and what regions tell each other. It decides
// nothing about data, and nothing waits for it.
//
// Changes come by blocking queries (follow.go). The one exception are prepared queries, which Consul cannot block on.
//
// The invariant: when Consul is gone, slow, or refuses us, what it said last holds, the log says so once, and it is asked again
// with growing pauses. An empty answer takes no region's addresses away.
package registry
