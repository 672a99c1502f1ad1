// Package clients runs programs that are written with the client libraries people use against two regions: go-redis,
// redis-py and ioredis, each as it comes, with no setting made for Anabranch.
//
//	program ──► library ──┬──► region A ◄─┐
//	                      └──► region B ◄─┴─ peer links
//
// A program compares every result with what it must be, and fails with a message on the first that is wrong. Afterwards
// the two regions must hold the same data. What the libraries do on their own is part of the test: the greeting of a
// new connection, scripts that are loaded when they are missing, subscriptions, health checks, cursors.
package clients
