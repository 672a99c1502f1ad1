// Package haproxy sends clients through a real HAProxy to whole regions: proxies and regions die and come back, and proxies come and
// go in Consul's catalogue, while they write. Failed commands and the seconds until all is normal are counted and logged.
package haproxy
