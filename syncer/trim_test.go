package syncer

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"anabranch/crdtmeta"
)

func TestLogIsTrimmedOnlyWhenEveryPeerHasIt(t *testing.T) {
	regions := newRegions(t, 3)
	a, b, c := regions[0], regions[1], regions[2]
	short := func(cfg *Config) { cfg.KeepTime, cfg.Grace = time.Millisecond, time.Millisecond }
	a.run(peersOf(a, regions), short)
	b.run(peersOf(b, regions), short)
	const writes = 1000
	for i := range writes {
		a.write(fmt.Sprintf("SET k %d", i))
	}
	eventually(t, "b has all", func() bool { return b.get("k") == fmt.Sprint(writes-1) })
	time.Sleep(500 * time.Millisecond)
	length := func() int64 { return a.rdb.XLen(context.Background(), "crdt:log").Val() }
	if n := length(); n != writes+2 { // and the two that begin the epoch
		t.Fatalf("%d entries are left although a peer was never there", n)
	}
	c.run(peersOf(c, regions), short)
	eventually(t, "c has all", func() bool { return c.get("k") == fmt.Sprint(writes-1) })
	eventually(t, "trimmed", func() bool { return length() <= 200 })
	a.write("SET k last")
	eventually(t, "streams go on", func() bool { return b.get("k") == "last" && c.get("k") == "last" })
}

func TestEntriesOfAnySizeArrive(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	small := func(cfg *Config) { cfg.BatchBytes, cfg.FrameBytes, cfg.WindowBytes = 16<<10, 64<<10, 128<<10 }
	a.run(peersOf(a, regions), small)
	b.run(peersOf(b, regions), small)
	ctx := context.Background()
	values := [][]byte{}
	for i, size := range []int{0, 1, 1 << 10, 16 << 10, 100 << 10, 5 << 20, 10} {
		value := bytes.Repeat([]byte{byte(i), 0, '\r', '\n'}, size/4)
		values = append(values, value)
		if err := a.rdb.Do(ctx, "FCALL", crdtmeta.FuncWrite, 0, 0, 3, "SET", fmt.Sprint("k", i), value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, a)
	for i, want := range values {
		if got, _ := b.rdb.Get(ctx, fmt.Sprint("k", i)).Bytes(); !bytes.Equal(got, want) {
			t.Errorf("value %d: %d bytes, want %d", i, len(got), len(want))
		}
	}
}
