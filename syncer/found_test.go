package syncer

import (
	"context"
	"slices"
	"testing"

	"anabranch/internal/redistest"
)

// Two regions that are configured with nobody find each other through a catalogue; one that moves is followed, and what the
// catalogue has said is known after a restart without it.
func TestRegionsOfACatalogueBecomePeersAndAreFollowed(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.run(nil)
	b.run(nil)
	a.write("SET k 1")
	a.Found(map[string][]string{b.name: {b.listen}, a.name: {a.listen}})
	b.Found(map[string][]string{a.name: {a.listen}})
	eventually(t, "b has what a wrote", func() bool { return b.get("k") == "1" })
	synced(t, a, b)
	if members, err := a.Members(ctx); err != nil || len(members) != 1 || members[0].Name != b.name {
		t.Fatalf("members of a: %+v, %v", members, err)
	}

	b.stop()
	b.listen = redistest.FreeAddr(t)
	b.run(nil)
	a.Found(map[string][]string{b.name: {b.listen}})
	b.write("SET moved 1")
	eventually(t, "a has followed b", func() bool { return a.get("moved") == "1" })

	a.Found(map[string][]string{b.name: nil})
	a.Found(nil)
	if addrs := a.peers()[b.name]; !slices.Equal(addrs, []string{b.listen}) {
		t.Errorf("an empty catalogue made the addresses of b %v", addrs)
	}
	eventually(t, "the address is kept", func() bool { return a.rdb.HGet(ctx, "crdt:found", b.name).Val() == `["`+b.listen+`"]` })
	a.stop()
	a.run(nil)
	b.write("SET again 1")
	eventually(t, "a knows b without the catalogue", func() bool { return a.get("again") == "1" })
}

// What an operator has removed does not come back because it is still in the catalogue, and what was configured counts first.
func TestTheCatalogueOverrulesNobody(t *testing.T) {
	r, _ := stopped(t)
	ctx := context.Background()
	r.cfg.Peers = map[string][]string{"configured": {"h:1"}}
	if err := r.hearRoster(ctx, encodeJSON([]rosterEntry{{Name: "gone", Removed: true, At: 5}, {Name: "added", Addrs: []string{"h:3"}, At: 5}})); err != nil {
		t.Fatal(err)
	}
	r.Found(map[string][]string{"gone": {"h:9"}, "configured": {"h:2", "h:1"}, "added": {"h:4"}, "new": {"h:5"}, "17": {"h:6"}, "bad": {"nonsense"}, r.name: {"h:7"}})
	if err := r.keepFound(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.loadRoster(ctx); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"gone": nil, "configured": {"h:1", "h:2"}, "added": {"h:4", "h:3"}, "new": {"h:5"}, "17": nil, "bad": nil, r.name: nil,
	} {
		if got := r.peers()[name]; !slices.Equal(got, want) {
			t.Errorf("%s is at %v, want %v", name, got, want)
		}
	}
	// A removal that was made before this region heard of the other one wins over the catalogue.
	if err := r.hearRoster(ctx, encodeJSON([]rosterEntry{{Name: "new", Removed: true, At: 2}})); err != nil {
		t.Fatal(err)
	}
	if r.peers()["new"] != nil {
		t.Error("the catalogue's word counts more than an operator's")
	}
}
