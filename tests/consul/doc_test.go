// Package consul runs whole regions with real Consul agents: proxies that register, find each other, choose a leader and keep the
// membership there; and everything going on while Consul is dead, hangs, forgets or refuses.
package consul
