// Command anabranch makes stock Redis active-active across regions: a proxy that applications take for Redis.
//
// This package is where flags, environment and configuration file are read, and where the others are wired together.
// It holds no logic of its own about commands or merging.
//
//	serve    the proxy: clients ──► proxy ──► Redis, and the syncer between the regions
//	status   what the links to the other regions do
//	verify   which keys differ between regions
//	migrate  the steps from an active-passive pair to active-active; uninstall is the way back
//	demo     two regions on this machine, and how concurrent writes merge
//
// The invariant: a setting is read in one place (options.go), and a bad one ends the program with status 2 before
// anything was started.
package main
