package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

// A log that was trimmed before anybody followed it names no keys: all companions are found.
func TestCollectionFindsKeysThatNoLogNames(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	for i := range 300 {
		a.write(fmt.Sprintf("SET k%d v", i))
	}
	short := func(cfg *Config) { cfg.Grace = 50 * time.Millisecond }
	b.run(peersOf(b, regions), short)
	a.run(peersOf(a, regions), func(cfg *Config) { cfg.Grace = time.Hour })
	eventually(t, "b has all", func() bool { return b.get("k299") == "v" })
	a.stop()
	ctx := context.Background()
	a.rdb.Del(ctx, "crdt:collected")
	if err := a.rdb.Do(ctx, "XTRIM", "crdt:log", "MAXLEN", "1").Err(); err != nil {
		t.Fatal(err)
	}
	a.run(peersOf(a, regions), short)
	b.write("SET last v") // so that b's log says what it has
	for _, r := range regions {
		eventually(t, "no companion is left", func() bool {
			n, _ := r.rdb.HGet(ctx, "crdt:count", "0").Int()
			return n == 0
		})
	}
}

func TestThinnedOutKeepsTheNewestLook(t *testing.T) {
	var looks []look
	for i := range 5 {
		looks = append(looks, look{until: crdtmeta.Time(i)})
	}
	got := ""
	for _, l := range thinnedOut(looks) {
		got += fmt.Sprint(int(l.until))
	}
	if got != "134" {
		t.Errorf("%s are left", got)
	}
}

func TestHeldBackNamesRegionsThatLagForLong(t *testing.T) {
	var h heldBack
	begin := time.Unix(1000, 0)
	h.note("eu", false, begin)
	h.note("us", false, begin.Add(time.Minute))
	h.note("eu", false, begin.Add(2*time.Minute))
	held, _ := h.list(begin.Add(time.Minute + heldBackAfter - 1))
	if got := heldBackText(held, begin.Add(time.Minute)); got != "eu for 1m0s" {
		t.Errorf("held back by %q", got)
	}
	h.note("eu", true, begin)
	held, _ = h.list(begin.Add(time.Hour))
	if got := heldBackText(held, begin.Add(time.Hour)); got != "us for 59m0s" {
		t.Errorf("held back by %q", got)
	}
}

// However long what waits has waited for a region: its time away counts from its last sign of life.
func TestASignOfLifeEndsTheTimeAway(t *testing.T) {
	var h heldBack
	begin := time.Unix(1000, 0)
	at := func(hours int) time.Time { return begin.Add(time.Duration(hours) * time.Hour) }
	silent := func(since, now int) {
		t.Helper()
		held, silent := h.list(at(now))
		if !held["eu"].Equal(begin) || since < 0 && len(silent) > 0 || since >= 0 && !silent["eu"].Equal(at(since)) {
			t.Errorf("after %d h it holds back since %v, and is silent since %v", now, held, silent)
		}
	}
	h.sign("eu", time.Time{}, begin)
	h.note("eu", false, begin)
	silent(-1, 1)
	h.sign("eu", time.Time{}, at(1))
	silent(1, 23)
	h.sign("eu", at(23), at(24)) // in between it was there
	silent(23, 25)
	h.sign("eu", at(23), at(26))
	silent(23, 26)
	h.sign("eu", at(27), at(27))
	silent(-1, 28)
	h.sign("eu", at(27), at(29))
	silent(29, 30)
	h.note("eu", true, at(31))
	if held, silent := h.list(at(32)); len(held)+len(silent) > 0 {
		t.Errorf("holds back %v, silent %v", held, silent)
	}
}

// A large key is noted until it has come to rest. One that is deleted before is forgotten all the same.
func TestALargeKeyThatGoesBeforeItRestsIsNotNotedForEver(t *testing.T) {
	regions := newRegions(t, 2)
	for _, r := range regions {
		r.run(peersOf(r, regions), func(cfg *Config) { cfg.Grace = time.Second })
	}
	a, ctx := regions[0], context.Background()
	members := make([]string, 3000)
	for i := range members {
		members[i] = fmt.Sprint("m", i)
	}
	a.write("SADD large " + strings.Join(members, " "))
	synced(t, a)
	noted := func() bool { return a.rdb.ZScore(ctx, "crdt:gc", "0:large").Err() == nil }
	eventually(t, "the large key is noted", noted)
	a.write("DEL large")
	synced(t, a)
	eventually(t, "nothing is noted any more", func() bool {
		n, _ := a.rdb.HGet(ctx, "crdt:count", "0").Int()
		return n == 0 && a.rdb.Exists(ctx, "crdt:gc").Val() == 0
	})
}
