package syncer

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"anabranch/crdtmeta"
)

func TestMergeCallsAreNotSmallerThanTheyMustBe(t *testing.T) {
	states := func(sizes ...int) (keys []keyState) {
		for _, size := range sizes {
			keys = append(keys, keyState{state: strings.Repeat("x", size)})
		}
		return keys
	}
	for _, c := range []struct {
		keys       []keyState
		size, want int
	}{
		{nil, 1, 0},
		{states(10, 10, 10), 1, 3},
		{states(callBytes, 1, 1), 1, 1},
		{states(callBytes+1, 1, 1), 2, 2},
		{states(callBytes-1, 1, 1), 1, 2},
		{states(2*callBytes, 1), 1, 1},
	} {
		if got := callSize(c.keys, c.size); got != c.want {
			t.Errorf("%d keys, size %d: %d, want %d", len(c.keys), c.size, got, c.want)
		}
	}
}

// However many vectors merges have left, a batch of the log does not go through all of them.
func TestVectorsOfMergesDoNotBurdenTheLog(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	ctx := context.Background()
	a.write("SET k 0")
	synced(t, a, b)
	b.stop() // a syncer that meets the engine between its being loaded and armed arms it as well, and so has them read again
	never := crdtmeta.Frontier{crdtmeta.Origin{Region: 9, Epoch: "1-abcdef"}: 5 << 30}
	for i := range 2000 {
		b.rdb.HSet(ctx, "crdt:ahead", i, never.AppendMsgpack(nil))
	}
	if err := b.arm(ctx); err != nil {
		t.Fatal(err)
	}
	b.rdb.ConfigResetStat(ctx)
	b.run(peersOf(b, regions))
	for i := range 30 {
		a.write(fmt.Sprint("SET k ", i))
		synced(t, a)
	}
	stats := b.rdb.Info(ctx, "commandstats").Val()
	if calls := infoField(stats, "cmdstat_hvals"); !strings.HasPrefix(calls, "calls=1,") {
		t.Errorf("the vectors were read: %s", calls)
	}
	if n := b.rdb.HLen(ctx, "crdt:ahead").Val(); n != 2000 {
		t.Errorf("%d vectors are left", n)
	}
}
