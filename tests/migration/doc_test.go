// Package migration walks from an active-passive pair to active-active and back, with real processes under load, and counts what clients
// lose. docs/migration.md is the guide that it follows.
package migration
