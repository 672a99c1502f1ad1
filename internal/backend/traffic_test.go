package backend

import (
	"testing"
	"time"

	"anabranch/translate"
)

func TestRoundTripsAreTimedByKind(t *testing.T) {
	b, server := start(t, nil)
	l := b.Lane(0, 2, 0)
	s := newSink()
	s.do(t, l, "SET k 1", "GET k", "GET k")
	script := command(t, "INCR n")
	script.Alone = true
	l.Submit(s.Caller, []Op{script, {Kind: OpTransaction, Count: 1, Tx: &Transaction{Ops: []Op{command(t, "GET k")}}}})
	l.Flush()
	s.take()
	total := func(kind TripKind) (n int64) {
		trips := b.Traffic().RoundTrips(kind)
		if len(trips.Counts) != len(trips.Limits)+1 {
			t.Fatalf("%d counts for %d limits", len(trips.Counts), len(trips.Limits))
		}
		for _, count := range trips.Counts {
			n += count
		}
		if n > 0 && trips.Sum <= 0 {
			t.Errorf("%v: %d in %v", kind, n, trips.Sum)
		}
		return n
	}
	for _, kind := range TripKinds() {
		if got := total(kind); got != 1 {
			t.Errorf("%v: %d round trips", kind, got)
		}
	}

	const pause = 50 * time.Millisecond
	before := b.Traffic().RoundTrips(TripRead)
	server.Pause()
	l.Submit(s.Caller, commands(t, "GET k"))
	l.Flush()
	time.Sleep(pause)
	server.Continue()
	s.take()
	after := b.Traffic().RoundTrips(TripRead)
	slow := 0
	for i, limit := range after.Limits {
		if after.Counts[i] > before.Counts[i] && limit >= pause {
			slow++
		}
	}
	if slow != 1 || after.Sum-before.Sum < pause {
		t.Errorf("a pause of %v shows as %v: %v", pause, after.Sum-before.Sum, after.Counts)
	}
}

func TestBucketsHoldWhatIsUpToTheirLimit(t *testing.T) {
	var traffic Traffic
	limits := traffic.RoundTrips(TripRead).Limits
	for i, limit := range limits {
		traffic.trips[TripRead].observe(int64(limit) - 1)
		if got := traffic.RoundTrips(TripRead).Counts[i]; got != 1 {
			t.Errorf("just below %v: not in bucket %d", limit, i)
		}
	}
	traffic.trips[TripRead].observe(int64(limits[len(limits)-1]))
	if got := traffic.RoundTrips(TripRead).Counts[len(limits)]; got != 1 {
		t.Error("the longest is in no bucket")
	}
}

func TestOpsOfNobodyDoNotCount(t *testing.T) {
	b, _ := start(t, nil)
	s := newSink()
	op := command(t, "GET k")
	op.Class = translate.Unclassified
	mine := command(t, "GET k")
	mine.Class = translate.Read
	l := b.Lane(0, 2, 0)
	l.Submit(s.Caller, []Op{op, mine, op})
	l.Flush()
	s.take()
	for class := range translate.Class(translate.Classes) {
		want := int64(0)
		if class == translate.Read {
			want = 1
		}
		if got := b.Traffic().Commands(class, Done); got != want {
			t.Errorf("%v: %d", class, got)
		}
	}
}
