package syncer

import (
	"context"
	"slices"
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

// withData starts regions whose Redis held data before Anabranch came: commands of each, with semicolons between.
func withData(t *testing.T, data ...string) []*testRegion {
	t.Helper()
	regions := unarmed(t, len(data))
	for i, r := range regions {
		for command := range strings.SplitSeq(data[i], ";") {
			if words := strings.Fields(command); len(words) > 0 {
				args := make([]any, len(words))
				for j, word := range words {
					args[j] = word
				}
				if err := r.rdb.Do(context.Background(), args...).Err(); err != nil {
					t.Fatal(command, err)
				}
			}
		}
		if err := r.arm(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return regions
}

// Regions that all had data before they met end with the same: all keys and elements that one of them had, and where two had
// something else in the same place what the one with the lowest id had.
func TestRegionsWithDataOfTheirOwnJoin(t *testing.T) {
	regions := withData(t,
		"SET same 1;SET k a;SADD s x y;HSET h f 1 g 2;ZADD z 1 m;RPUSH l 1 2 3;XADD t 5-1 f v;SET onlya 1;SET type string;PFADD p 1 2;SET timed v PX 10000000",
		"SET same 1;SET k b;SADD s y z;HSET h f 9 i 3;ZADD z 2 m 3 n;RPUSH l 1 2;XADD t 5-1 f v;XADD t 6-1 f w;SET onlyb 1;RPUSH type list;RPUSH lb q r;XADD tb 1-1 a b;PFADD pb 1;SADD timedb m;PEXPIREAT timedb 4102444800000",
		"SADD s c;SET onlyc 1;SET onlyb c")
	a, b, c := regions[0], regions[1], regions[2]
	ctx := context.Background()
	for _, r := range regions {
		r.run(peersOf(r, regions))
	}
	a.write("SADD s later", "RPUSH l a")
	b.write("SADD s laterb", "DEL h2")
	eventually(t, "all have all", func() bool {
		return a.rdb.SCard(ctx, "s").Val() == 6 && b.rdb.SCard(ctx, "s").Val() == 6 && c.rdb.SCard(ctx, "s").Val() == 6 &&
			a.get("onlyc") == "1" && c.get("onlyb") != "" && b.get("onlyc") == "1"
	})
	eventually(t, "all had joined", func() bool { return b.counters.mergesDone.Load() > 0 && c.counters.mergesDone.Load() > 0 })
	synced(t, regions...)
	sameData(t, regions...)
	for key, want := range map[string]string{"same": "1", "k": "a", "onlya": "1", "type": "string", "timed": "v"} {
		if got := c.get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := a.rdb.HGetAll(ctx, "h").Val(); got["f"] != "1" || got["g"] != "2" || got["i"] != "3" {
		t.Errorf("h is %v", got)
	}
	if got := a.rdb.LRange(ctx, "l", 0, -1).Val(); !slices.Equal(got, []string{"1", "2", "3", "a"}) {
		t.Errorf("l is %v", got)
	}
	if got := a.rdb.XLen(ctx, "t").Val(); got != 2 {
		t.Errorf("t has %d entries", got)
	}
	if got := a.rdb.LRange(ctx, "lb", 0, -1).Val(); !slices.Equal(got, []string{"q", "r"}) {
		t.Errorf("lb is %v", got)
	}
	if n := a.rdb.XLen(ctx, "tb").Val() + a.rdb.PFCount(ctx, "pb").Val(); n != 2 {
		t.Errorf("tb and pb count %d", n)
	}
	if at := a.rdb.PExpireTime(ctx, "timedb").Val().Milliseconds(); at != 4102444800000 {
		t.Errorf("timedb ends at %d", at)
	}
	if b.rdb.XLen(ctx, b.keys.conflicts).Val() == 0 {
		t.Error("nothing is in the ledger")
	}
	a.write("SREM s y", "DEL onlyb")
	c.write("SADD s w", "RPUSH lb s")
	synced(t, regions...)
	sameData(t, regions...)
}

// Two regions that were each alone, and have collected what they have written, keep all of it when they meet.
func TestRegionsThatWereAloneJoin(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	for _, r := range regions {
		r.run(nil, soon)
	}
	a.write("SET k a", "SADD s a", "RPUSH l a", "INCRBY n 5")
	b.write("SET k b", "SADD s b", "RPUSH lb b", "SET own 1", "INCRBY m 7")
	for _, r := range regions {
		eventually(t, r.name+" has collected", func() bool { return r.rdb.Exists(ctx, "crdt:0{s}").Val() == 0 })
		r.stop()
	}
	for _, r := range regions {
		r.run(peersOf(r, regions), soon)
	}
	eventually(t, "all have all", func() bool {
		return a.rdb.SCard(ctx, "s").Val() == 2 && b.rdb.SCard(ctx, "s").Val() == 2 && a.get("own") == "1" && a.tryWrite("SET x 1") == nil && b.tryWrite("SET y 1") == nil
	})
	synced(t, regions...)
	sameData(t, regions...)
	if a.get("k") != "a" || a.get("n") != "5" || a.get("m") != "7" || a.rdb.LLen(ctx, "lb").Val() != 1 || a.rdb.LLen(ctx, "l").Val() != 1 {
		t.Errorf("k %q n %q m %q", a.get("k"), a.get("n"), a.get("m"))
	}
	b.write("INCRBY n 1", "INCRBY m 1")
	a.write("INCRBY n 1", "INCRBY m 1")
	synced(t, regions...)
	sameData(t, regions...)
	if a.get("n") != "7" || a.get("m") != "9" {
		t.Errorf("n %q m %q", a.get("n"), a.get("m"))
	}
}

// A region that has taken over what others have collected has met them, whatever else it has forgotten.
func TestStrangersKnowNothingOfEachOther(t *testing.T) {
	own, other := crdtmeta.Origin{Region: 2, Epoch: "1-aaaaaa"}, crdtmeta.Origin{Region: 3, Epoch: "1-bbbbbb"}
	host := welcome{ID: 1, Frontier: crdtmeta.Frontier{other: 5}}
	for name, test := range map[string]struct {
		collected crdtmeta.Frontier
		want      bool
	}{
		"nothing":                  {nil, false},
		"its own":                  {crdtmeta.Frontier{own: 7}, true},
		"of one that the host met": {crdtmeta.Frontier{own: 7, other: 3}, false},
		"the host's":               {crdtmeta.Frontier{{Region: 1, Epoch: "1-cccccc"}: 3}, false},
	} {
		if got := strangers(test.collected, host); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
