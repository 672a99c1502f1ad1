package syncer

import (
	"context"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// Regions come and go while all goes on. One that was removed is refused until it is added again, and then merges everything:
// what was deleted meanwhile stays deleted, and what it wrote alone is kept.
func TestRegionsAreAddedAndRemovedAtRunTime(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	a.run(peersOf(a, regions[:2]), soon)
	b.run(peersOf(b, regions[:2]), soon)
	a.write("SET k 1", "SET gone 1", "INCR n")
	c.run(peersOf(c, regions), soon)
	c.write("INCR n")
	eventually(t, "c is refused", func() bool { return c.peer(a.name).State == StateRefused })
	if err := a.AddMember(ctx, c.name, []string{c.listen}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has heard of c", func() bool { return b.peers()[c.name] != nil })
	synced(t, a, b, c)
	sameData(t, a, b, c)
	if c.get("n") != "2" {
		t.Errorf("n is %q", c.get("n"))
	}

	if err := b.RemoveMember(ctx, c.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a has heard of it", func() bool { return a.peers()[c.name] == nil })
	eventually(t, "c is refused", func() bool {
		p := c.peer(a.name)
		return p.State == StateRefused && strings.Contains(p.Error, "was removed")
	})
	a.write("DEL gone", "INCR n")
	b.write("INCR n")
	c.write("INCRBY n 10", "SET own 1")
	synced(t, a, b)
	eventually(t, "collection goes on without c", func() bool {
		return a.rdb.Exists(ctx, "crdt:0{gone}").Val()+b.rdb.Exists(ctx, "crdt:0{gone}").Val() == 0
	})
	time.Sleep(100 * time.Millisecond)
	if a.get("n") != "4" || a.get("own") != "" {
		t.Errorf("n is %q, own %q at a, which has removed c", a.get("n"), a.get("own"))
	}

	if err := a.AddMember(ctx, c.name, []string{c.listen}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "c is back", func() bool {
		return c.get("n") == "14" && a.get("n") == "14" && b.get("n") == "14" && a.get("own") == "1"
	})
	eventually(t, "c takes writes", func() bool { return c.tryWrite("INCR n") == nil })
	synced(t, a, b, c)
	sameData(t, a, b, c)
	if c.get("gone") != "" || b.get("n") != "15" {
		t.Errorf("gone is %q, n is %q", c.get("gone"), b.get("n"))
	}
}

func TestMembershipIsRefusedWhenItMakesNoSense(t *testing.T) {
	regions := mesh(t, 2)
	a := regions[0]
	ctx := context.Background()
	for _, wrong := range []struct{ name, addr, text string }{
		{a.name, "h:1", "is this region itself"}, {"", "h:1", "cannot be the name"}, {"17", "h:1", "cannot be the name"},
		{AllRegions, "h:1", "cannot be the name"}, {"new", "nonsense", "is not HOST:PORT"}, {"new", "h:", "is not HOST:PORT"},
	} {
		if err := a.AddMember(ctx, wrong.name, []string{wrong.addr}); err == nil || !strings.Contains(err.Error(), wrong.text) {
			t.Errorf("add %q %q: %v", wrong.name, wrong.addr, err)
		}
	}
	if err := a.RemoveMember(ctx, "nobody"); err == nil || !strings.Contains(err.Error(), "is not a member") {
		t.Errorf("remove: %v", err)
	}
}

// What another region tells of the membership is checked before it is kept.
func TestHeardMembershipIsChecked(t *testing.T) {
	r, _ := stopped(t)
	ctx := context.Background()
	for _, wrong := range []rosterEntry{
		{Name: "b", ID: 2, At: 1 << 60}, {Name: "b", ID: 2, At: -1}, {Name: "b", ID: r.id, At: 1}, {Name: "b", ID: crdtmeta.MaxRegion + 1, At: 1}, {Name: "7", At: 1},
	} {
		if err := r.hearRoster(ctx, encodeJSON([]rosterEntry{wrong})); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
	if err := r.hearRoster(ctx, encodeJSON(make([]rosterEntry, maxRoster+1))); err == nil {
		t.Error("a roster without end is taken")
	}
	if n := r.rdb.Exists(ctx, r.keys.roster).Val(); n != 0 {
		t.Error("something was kept")
	}
	if err := r.hearRoster(ctx, encodeJSON([]rosterEntry{{Name: "b", ID: 2, Addrs: []string{"h:1"}, At: 1}})); err != nil || r.peers()["b"] == nil {
		t.Errorf("a region is not taken: %v", err)
	}
}
