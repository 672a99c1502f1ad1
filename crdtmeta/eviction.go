package crdtmeta

import "strings"

// KeepsMetadata reports whether a maxmemory-policy of Redis leaves companions, log and frontier alone. None of them has a TTL, so
// policies that evict only keys with one are safe. A policy that is not known is not.
func KeepsMetadata(policy string) bool {
	policy = strings.ToLower(policy)
	return policy == "noeviction" || strings.HasPrefix(policy, "volatile-")
}

// Evicts reports whether a policy that keeps metadata evicts users' keys.
func Evicts(policy string) bool { return strings.HasPrefix(strings.ToLower(policy), "volatile-") }
