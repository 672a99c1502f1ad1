package crdtmeta_test

import (
	"testing"

	"anabranch/crdtmeta"
)

func TestPoliciesThatKeepMetadata(t *testing.T) {
	for policy, want := range map[string]bool{
		"noeviction": true, "volatile-lru": true, "volatile-lfu": true, "volatile-random": true, "Volatile-TTL": true,
		"allkeys-lru": false, "allkeys-lfu": false, "ALLKEYS-random": false, "": false, "something-new": false,
	} {
		if got := crdtmeta.KeepsMetadata(policy); got != want {
			t.Errorf("%q: %v", policy, got)
		}
	}
}
