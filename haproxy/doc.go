// Package haproxy is what Anabranch has to do with HAProxy, the load balancer that clients reach the proxies through.
//
//	                    ┌── this region's proxies, by weight
//	clients ──► HAProxy ┤
//	                    └── other regions' proxies, as backup: only while none of this region's is up
//
//	config.go   a complete configuration: anabranch haproxy-config
//	agent.go    what a proxy answers to HAProxy's agent check: up and its weight, drain, or down
//	runtime.go  HAProxy's runtime socket
//	sync.go     proxies that come and go, over that socket, without a reload: anabranch haproxy-sync
//
// What it is not: a check of Redis. "tcp-check expect string role:master" is what the field puts here, and it passes both sides of a
// split: an isolated old primary calls itself one too. Only the proxy knows which Redis is its region's primary, and that is what
// its /readyz and its agent say.
package haproxy
