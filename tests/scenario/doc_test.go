// Package scenario plays documented conflicts against real regions: who wrote what where, when the regions could see
// each other, and what every region must answer in the end.
//
// The scenarios are data, one JSON object per line in testdata/scenarios.jsonl. Between two syncs no effect crosses
// regions, so a scenario decides by itself what is concurrent. Beyond its own expectations every scenario must leave all
// regions equal, also the ones that did not take part.
//
// The histories in docs/semantics.md are scenarios too: what that page shows is what the regions did.
//
// Scenarios that cannot pass yet are named in testdata/later.txt with the reason. They are played all the same, and one
// that passes fails the test, so that the list cannot go stale.
package scenario
