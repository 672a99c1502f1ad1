package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The names say which trap of this field each test is about.

func (r *testRegion) logEntries() int64 {
	r.t.Helper()
	info, err := r.region.history(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return info.added
}

func (r *testRegion) peer(name string) PeerStatus {
	r.t.Helper()
	peers, err := r.PeerStatuses(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Name == name {
			return p
		}
	}
	return PeerStatus{}
}

func TestOwnCommandsAreNotEchoedBack(t *testing.T) {
	regions := mesh(t, 3)
	const writes = 50
	for i := range writes {
		regions[0].write(fmt.Sprintf("SET k%d v", i))
	}
	synced(t, regions...)
	time.Sleep(300 * time.Millisecond)
	for _, r := range regions[1:] {
		// Each applied batch is one record, plus the two entries that begin the epoch: never the effects again.
		if n := r.logEntries(); n > writes+2 {
			t.Errorf("%s wrote %d entries for %d foreign writes", r.name, n, writes)
		}
	}
	if n := regions[0].logEntries(); n != writes+2 {
		t.Errorf("%s has %d entries of its own %d writes", regions[0].name, n, writes)
	}
}

func TestIdleRegionsExchangeHeartbeatsOnly(t *testing.T) {
	regions := mesh(t, 3)
	for _, r := range regions {
		r.write("SET from" + r.name + " 1")
	}
	synced(t, regions...)
	time.Sleep(300 * time.Millisecond)
	before := make([]int64, len(regions))
	for i, r := range regions {
		before[i] = r.logEntries()
	}
	time.Sleep(time.Second)
	for i, r := range regions {
		if n := r.logEntries(); n != before[i] {
			t.Errorf("%s logged %d entries while nobody wrote", r.name, n-before[i])
		}
	}
}

func TestRegionThatConnectsToItselfIsRefused(t *testing.T) {
	a := newRegions(t, 1)[0]
	a.run(map[string][]string{"beta": {a.listen}})
	eventually(t, "refused", func() bool { return a.peer("beta").State == StateRefused })
	if p := a.peer("beta"); !strings.Contains(p.Error, "peer is this region itself") {
		t.Errorf("%+v", p)
	}
	time.Sleep(500 * time.Millisecond)
	if n := a.logs.count("no link to region"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if n := a.logs.count("peer refused"); n != 1 {
		t.Errorf("the serving side logged %d times", n)
	}
}

func TestNothingIsAppliedTwiceAfterAReconnect(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	link := newBreaker(t, a.listen)
	b.run(map[string][]string{a.name: {link.addr}})
	const writes = 300
	for i := range writes {
		a.write("INCR n")
		if i%60 == 30 {
			link.cut()
			eventually(t, "a new connection", link.busy)
		}
	}
	synced(t, a)
	eventually(t, "all increments, once", func() bool { return b.get("n") == fmt.Sprint(writes) })
	time.Sleep(200 * time.Millisecond)
	if got := b.get("n"); got != fmt.Sprint(writes) {
		t.Errorf("n is %s, want %d", got, writes)
	}
	if c := b.peer(a.name).Connects; c < 3 {
		t.Errorf("only %d connections: the test cut nothing", c)
	}
}

func TestOneDeadRegionDoesNotStopTheOthers(t *testing.T) {
	regions := mesh(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	c.stop()
	c.server.Kill()
	a.write("SET x 1")
	b.write("SET y 2")
	eventually(t, "a and b exchange writes", func() bool { return a.get("y") == "2" && b.get("x") == "1" })
	eventually(t, "the dead region shows", func() bool { return a.peer(c.name).State == StateProbe && a.peer(b.name).State == StateStream })
}

func TestSilentRegionIsNoticed(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions))
	link := newBreaker(t, a.listen)
	b.run(map[string][]string{a.name: {link.addr}}, func(c *Config) { c.SilenceLimit = 400 * time.Millisecond })
	eventually(t, "streaming", func() bool { return b.peer(a.name).State == StateStream })
	link.freeze()
	eventually(t, "the link is lost", func() bool { return b.peer(a.name).State == StateProbe })
	link.thaw()
	a.write("SET x 1")
	eventually(t, "the link is back", func() bool { return b.get("x") == "1" })
}

func TestSyncingWorksWhenOnlySomeRegionsAreUp(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	peers := func(r *testRegion) map[string][]string { return peersOf(r, regions) }
	a.run(peers(a))
	a.write("SET x 1")
	time.Sleep(200 * time.Millisecond)
	b.run(peers(b))
	eventually(t, "b has what a wrote alone", func() bool { return b.get("x") == "1" })
	b.write("SET y 2")
	eventually(t, "a has what b wrote", func() bool { return a.get("y") == "2" })
	c.run(peers(c))
	eventually(t, "the late region has all", func() bool { return c.get("x") == "1" && c.get("y") == "2" })
	c.write("SET z 3")
	eventually(t, "all have what the late region wrote", func() bool { return a.get("z") == "3" && b.get("z") == "3" })
}

func TestWrongIdentitiesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(a, b *testRegion, cfg *Config) // of b
		want   string
	}{
		"another region answers there": {func(a, b *testRegion, cfg *Config) { cfg.Peers = map[string][]string{"gamma": {a.listen}} },
			"this is region 'alpha' (id 1), not 'gamma'"},
		"the same id":  {func(a, b *testRegion, cfg *Config) { cfg.Region.ID = a.id }, "both have id 1"},
		"not a member": {func(a, b *testRegion, cfg *Config) { cfg.Region.Name = "stranger" }, "unknown member"},
	} {
		t.Run(name, func(t *testing.T) {
			regions := newRegions(t, 2)
			a, b := regions[0], regions[1]
			if name == "the same id" {
				b.id = a.id
				b.rdb.FlushAll(context.Background())
				if err := b.arm(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			a.run(peersOf(a, regions))
			b.run(peersOf(b, regions), func(cfg *Config) { test.change(a, b, cfg) })
			peer := a.name
			if name == "another region answers there" {
				peer = "gamma"
			}
			eventually(t, "refused", func() bool {
				p := b.peer(peer)
				return p.State == StateRefused && strings.Contains(p.Error, test.want)
			})
		})
	}
}

func TestIDOfAnotherRegionIsRefusedAlsoLater(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions))
	b.write("SET x 1")
	eventually(t, "b is known", func() bool { return a.get("x") == "1" })
	c.id = b.id
	c.rdb.FlushAll(context.Background())
	if err := c.arm(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.run(map[string][]string{a.name: {a.listen}})
	eventually(t, "refused", func() bool {
		p := c.peer(a.name)
		return p.State == StateRefused && strings.Contains(p.Error, "id 2 is known as region 'beta'")
	})
}
