package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// Traps of configuration and membership, and of effects that come again.

// Another address, limit, proxy or member makes regions synchronise everything once more.
func TestAReconfigurationCausesNoFullSync(t *testing.T) {
	regions := newRegionsWith(t, 4, redistest.WithAOF())
	a, b, c, d := regions[0], regions[1], regions[2], regions[3]
	ctx := context.Background()
	old := regions[:3]
	// Logs are trimmed to what is in use, so that whoever begins anew needs a merge. Nothing is relayed, which is one, too.
	short := func(cfg *Config) {
		cfg.KeepTime, cfg.Grace, cfg.RelayAfter = time.Millisecond, 50*time.Millisecond, time.Minute
	}
	for _, r := range old {
		r.run(peersOf(r, old), short)
	}
	for i := range 120 {
		for _, r := range old {
			r.write(fmt.Sprintf("SET k%d %s", i, r.name), "INCR n")
		}
	}
	synced(t, old...)
	for _, r := range old {
		trimmed(t, r)
	}
	skipped := func(r *testRegion) int64 {
		stats, err := r.engineStats(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return stats["skipped_entries"]
	}
	round := 0
	check := func(what string) {
		t.Helper()
		round++
		for _, r := range old {
			r.must("INCR n", "SET round:"+r.name+" "+what)
		}
		synced(t, old...)
		sameData(t, old...)
		for _, r := range old {
			if n := r.logs.count("merge with region"); n != 0 {
				t.Fatalf("%s: %s has begun %d merges", what, r.name, n)
			}
			if n := skipped(r); n != 0 {
				t.Fatalf("%s: %s was sent %d entries again", what, r.name, n)
			}
		}
		if got, want := a.get("n"), fmt.Sprint(3*(120+round)); got != want {
			t.Fatalf("%s: n is %s, want %s", what, got, want)
		}
	}
	restart := func(r *testRegion, peers map[string][]string, change ...func(*Config)) {
		t.Helper()
		r.stop()
		r.run(peers, change...)
	}

	other := newBreaker(t, a.listen)
	restart(b, map[string][]string{a.name: {"127.0.0.1:1", other.addr}, c.name: {c.listen}}, short)
	check("addresses")
	restart(b, peersOf(b, old), short, func(cfg *Config) {
		cfg.BacklogBytes, cfg.WindowBytes, cfg.BatchBytes, cfg.ChunkEntries, cfg.QuarantineAfter = 1<<20, 1<<20, 8<<10, 3, time.Hour
	})
	check("limits")
	second := &testRegion{t: t, name: a.name, id: a.id, rdb: a.rdb, server: a.server, logs: a.logs, listen: "127.0.0.1:" + fmt.Sprint(redistest.FreePort(t))}
	second.run(peersOf(a, old), short, func(cfg *Config) { cfg.RunID = "run-second" })
	a.stop()
	second.arm(ctx)
	for _, r := range []*testRegion{b, c} {
		restart(r, map[string][]string{a.name: {second.listen}, b.name: {b.listen}, c.name: {c.listen}}, short, func(cfg *Config) { delete(cfg.Peers, r.name) })
	}
	a.Syncer = second.Syncer
	check("proxy")
	d.run(peersOf(d, []*testRegion{second, b, c, d}), short)
	if err := b.AddMember(ctx, d.name, []string{d.listen}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "d is there", func() bool { return d.get("round:"+a.name) == "proxy" })
	d.must("SET from:" + d.name + " v")
	synced(t, a, b, c, d)
	if err := b.RemoveMember(ctx, d.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all have heard of its end", func() bool { return a.peers()[d.name] == nil && c.peers()[d.name] == nil })
	d.stop()
	check("members")
	c.server.Kill()
	c.server.Restart()
	c.armedSoon()
	check("server")
}

// A region that was removed, or an address that nobody answers at, is asked for ever, waited for, and counted.
func TestStaleRegionsAndAddressesAreDropped(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	link := newBreaker(t, c.listen)
	a.run(map[string][]string{b.name: {"127.0.0.1:1", b.listen, "127.0.0.1:2"}, c.name: {link.addr}}, soon)
	b.run(map[string][]string{a.name: {a.listen}, c.name: {link.addr}}, soon)
	c.run(peersOf(c, regions), soon)
	for _, r := range regions {
		r.write("INCR n", "SET k"+r.name+" v")
	}
	synced(t, regions...)
	c.stop()
	c.server.Kill()
	if n, err := a.Wait(ctx, 2, time.Millisecond); err != nil || n > 2 {
		t.Fatal(n, err)
	}
	if err := a.RemoveMember(ctx, c.name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has heard of it", func() bool { return b.peers()[c.name] == nil })
	time.Sleep(3 * 200 * time.Millisecond) // an attempt that was under way has ended; they come at most so far apart
	dialled := link.dialled()
	for range 20 {
		a.write("INCR n", "SET gone 1", "DEL gone")
		b.write("INCR n")
	}
	synced(t, a, b)
	for _, r := range regions[:2] {
		if n, err := r.Wait(ctx, 2, 50*time.Millisecond); n != 1 || err != nil {
			t.Errorf("%s: %d regions have everything: %v", r.name, n, err)
		}
		own, peers, err := r.Statuses(ctx)
		if err != nil || len(peers) != 1 || peers[0].Name == c.name {
			t.Errorf("%s shows %+v: %v", r.name, peers, err)
		}
		if _, held := own.HeldBackBy[c.name]; held {
			t.Errorf("%s waits for the region that was removed", r.name)
		}
		eventually(t, "metadata goes without it", func() bool { return r.rdb.Exists(ctx, "crdt:0{gone}").Val() == 0 })
	}
	if n := link.dialled() - dialled; n != 0 {
		t.Errorf("the region that was removed was dialled %d times", n)
	}
	if p := a.peer(b.name); p.State != StateStream || p.Addr != b.listen {
		t.Errorf("a pulls from %q: %s", p.Addr, p.State)
	}
}

// A dead region keeps everybody's garbage for ever, until memory is full.
func TestADeadRegionDoesNotKeepGarbageForEver(t *testing.T) {
	heldBackAfter = 0
	t.Cleanup(func() { heldBackAfter = heldBackTime })
	regions := mesh(t, 3, soon)
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	c.write("SET k 1")
	synced(t, regions...)
	c.stop()
	c.server.Kill()
	for i := range 200 {
		a.write(fmt.Sprintf("SET gone%d v", i), fmt.Sprintf("DEL gone%d", i))
		b.write(fmt.Sprintf("SADD set %d", i))
	}
	b.write("DEL set")
	exchanged(t, a, b)
	for _, r := range regions[:2] {
		eventually(t, "no metadata is left", func() bool { return len(r.rdb.Keys(ctx, "crdt:[0-5]*").Val()) == 0 })
	}
}

// A limit of 0 means "none", and clocks of 0 are kept: after a restart everything is taken again, or nothing new is.
func TestLimitsOfZeroKeepNoClocksOfZero(t *testing.T) {
	regions := newRegionsWith(t, 3, redistest.WithAOF())
	ctx := context.Background()
	zero := func(cfg *Config) {
		cfg.AloneAfter, cfg.QuarantineAfter, cfg.KeepTime, cfg.ShipAfterReplicas, cfg.DriftLimit = 0, 0, 0, 0, 0
		cfg.WindowBytes, cfg.BacklogBytes, cfg.ChunkEntries, cfg.ChunkBytes, cfg.MaxLinks, cfg.ExpireKeys = 0, 0, 0, 0, 0, 0
		cfg.Grace, cfg.CollectInterval = time.Millisecond, 0
	}
	positions := func(r *testRegion) map[string]crdtmeta.Time {
		t.Helper()
		found := map[string]crdtmeta.Time{}
		for _, key := range []string{r.keys.frontier, r.keys.newest, r.keys.collected} {
			for field, text := range r.rdb.HGetAll(ctx, key).Val() {
				if strings.HasPrefix(field, announcedField) {
					continue
				}
				text, _, _ = strings.Cut(text, " ") // a number may follow
				at, err := crdtmeta.ParseTime(text)
				if err != nil {
					t.Fatal(key, field, err)
				}
				found[key+" "+field] = at
			}
		}
		contexts, err := r.region.contexts(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for of, vector := range contexts {
			for origin, at := range vector {
				found["context "+of.String()+" "+origin.String()] = at
			}
		}
		stored := &acks{rdb: r.rdb, key: r.keys.acks}
		all, err := stored.load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for id, vector := range all {
			for origin, at := range vector {
				if origin.Region != id { // its own one in force stands there at 0, to name it
					found[fmt.Sprint("acks ", id, " ", origin)] = at
				}
			}
		}
		if len(found) == 0 {
			t.Errorf("%s keeps no clocks at all", r.name)
		}
		return found
	}
	for _, r := range regions {
		r.run(peersOf(r, regions), zero)
	}
	for round := range 3 {
		for _, r := range regions {
			r.must("INCR n", fmt.Sprintf("SADD s %s%d", r.name, round), "SET gone 1", "DEL gone")
		}
		synced(t, regions...)
		before := map[string]map[string]crdtmeta.Time{}
		for _, r := range regions {
			before[r.name] = positions(r)
			for name, at := range before[r.name] {
				if at <= 0 {
					t.Errorf("round %d: %s keeps %s at %d", round, r.name, name, at)
				}
			}
		}
		for _, r := range regions {
			r.stop()
			r.server.Kill()
		}
		for _, r := range regions {
			r.server.Restart()
		}
		for _, r := range regions {
			for name, at := range positions(r) {
				if at < before[r.name][name] && !strings.HasPrefix(name, "acks") { // these are written without waiting
					t.Errorf("round %d: %s has %s at %d after the restart, it was %d", round, r.name, name, at, before[r.name][name])
				}
			}
			r.run(peersOf(r, regions), zero)
		}
	}
	for _, r := range regions {
		r.armedSoon()
	}
	synced(t, regions...)
	sameData(t, regions...)
	if got := regions[0].get("n"); got != "9" {
		t.Errorf("n is %s, want 9", got)
	}
	for _, r := range regions {
		stats, err := r.engineStats(ctx)
		if err != nil || stats["skipped_entries"] != 0 {
			t.Errorf("%s was sent %d entries again: %v", r.name, stats["skipped_entries"], err)
		}
	}
}

// Duplicates are known by a cache of limited size. What is older than the cache gets in again.
func TestOldEffectsAreNotLetInAgainHoweverLongAgo(t *testing.T) {
	regions := mesh(t, 2, func(cfg *Config) { cfg.Grace = 20 * time.Millisecond })
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET k old", "INCR n", "SADD s gone", "RPUSH l x", "SET deleted 1", "HINCRBY h f 1", "PFADD p x", "XADD x 1-1 f v")
	entries, err := a.rdb.XRange(ctx, "crdt:log", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	synced(t, a)
	a.write("SET k new", "INCR n", "SREM s gone", "LPOP l", "DEL deleted", "HINCRBY h f 1", "DEL p", "XDEL x 1-1")
	for i := range 10 {
		words := []any{"FCALL", crdtmeta.FuncWrite, 0, 0}
		for j := range 500 {
			words = append(words, 3, "SET", fmt.Sprintf("k%d:%d", i, j), "v")
		}
		if err := a.rdb.Do(ctx, words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, a)
	b.write("SET after 1")
	exchanged(t, a, b)
	eventually(t, "tombstones are gone", func() bool { return b.rdb.Exists(ctx, "crdt:0{deleted}").Val() == 0 })
	want := visible(t, b)
	again := func(what string) {
		t.Helper()
		origin := a.origin()
		for _, at := range []crdtmeta.Time{0, 1} {
			words := []any{"FCALL", crdtmeta.FuncApply, 0, origin.String(), at.String()}
			for _, e := range entries {
				words = append(words, e.ID, e.Values["b"], 0)
			}
			reply, err := b.rdb.Do(ctx, words...).Slice()
			if err != nil || len(reply) != 4 || reply[2] != "ok" {
				t.Fatalf("%s: %v, %v", what, reply, err)
			}
		}
		if diff := redistest.Diff(want, visible(t, b), 0, 10); diff != "" {
			t.Errorf("%s: old effects got in again:\n%s", what, diff)
		}
	}
	again("at once")
	b.stop()
	b.rdb.FunctionFlush(ctx) // what the library remembers is gone, too
	if err := b.arm(ctx); err != nil {
		t.Fatal(err)
	}
	again("with a new library")
}

// Effects that were passed on are wrapped and passed on again by whoever gets them, deeper each time.
func TestEffectsThatWerePassedOnAreNotPassedOnAgain(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	ab, ba := newBreaker(t, b.listen), newBreaker(t, a.listen)
	a.run(map[string][]string{b.name: {ab.addr}, c.name: {c.listen}})
	b.run(map[string][]string{a.name: {ba.addr}, c.name: {c.listen}})
	c.run(peersOf(c, regions))
	a.write("INCR n")
	synced(t, regions...)
	effects := func(r *testRegion) (n int64) {
		for _, e := range r.rdb.XRange(context.Background(), "crdt:log", "-", "+").Val() {
			if crdtmeta.EntryKind([]byte(fmt.Sprint(e.Values["b"]))) == crdtmeta.KindEffects {
				n++
			}
		}
		return n
	}
	for _, link := range []*breaker{ab, ba} {
		link.freeze()
		link.cut()
	}
	const writes = 30
	for i := range writes {
		a.write("INCR n", fmt.Sprintf("SADD s %d", i))
	}
	eventually(t, "b has it from c", func() bool { return b.get("n") == fmt.Sprint(writes+1) })
	ab.thaw() // and now from a, too
	ba.thaw()
	synced(t, regions...)
	time.Sleep(300 * time.Millisecond)
	for r, want := range map[*testRegion]int64{a: 2*writes + 1, b: 0, c: 0} {
		if n := effects(r); n != want {
			t.Errorf("the log of %s has %d entries with effects, want %d", r.name, n, want)
		}
	}
	sameData(t, regions...)
}
