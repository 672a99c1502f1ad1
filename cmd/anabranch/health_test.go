package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
	"anabranch/syncer"
)

// A region that is behind sends clients elsewhere only where elsewhere is better.
func TestLagCountsOnlyWhereTheOtherRegionIsNotAsLate(t *testing.T) {
	now := time.Now()
	second := func(s int64) crdtmeta.Time { return crdtmeta.TimeAt(now.UnixMilli() + s*1000) }
	own := syncer.RegionStatus{Clock: second(0)}
	for name, test := range map[string]struct {
		peer      syncer.PeerStatus
		late, lag time.Duration
		apart     bool
	}{
		"all is well":           {syncer.PeerStatus{State: syncer.StateStream}, 0, 0, false},
		"behind":                {syncer.PeerStatus{State: syncer.StateStream, LagMillis: 9000}, 9 * time.Second, 9 * time.Second, false},
		"behind, waiting":       {syncer.PeerStatus{State: syncer.StateWaiting, LagMillis: 9000}, 9 * time.Second, 9 * time.Second, false},
		"each behind the other": {syncer.PeerStatus{State: syncer.StateStream, LagMillis: 9000, AckedEntries: 5, AckedTime: second(-8)}, time.Second, 9 * time.Second, false},
		"the other is worse":    {syncer.PeerStatus{State: syncer.StateStream, LagMillis: 9000, AckedEntries: 5, AckedTime: second(-60)}, 0, 9 * time.Second, false},
		"out of reach":          {syncer.PeerStatus{State: syncer.StateProbe, LagMillis: 9000}, 0, 0, false},
		"paused":                {syncer.PeerStatus{State: syncer.StatePaused, LagMillis: 9000}, 0, 0, false},
		"merging everything":    {syncer.PeerStatus{State: syncer.StateMerge, Merge: &syncer.MergeStatus{Mode: syncer.MergeWhole, Began: now.Add(time.Hour)}}, 0, 0, true},
	} {
		var seen linkHealth
		seen.take(own, test.peer)
		if seen.late != test.late || seen.lag != test.lag || (seen.apart != "") != test.apart {
			t.Errorf("%s: %+v", name, seen)
		}
	}
}

// The Redis of one region is full, so what the other one writes has to wait: that region is late, the other one is not.
func TestReadyzKnowsTheLag(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A"), cluster.Region("B")
	readyz := func(region *redistest.Region, query string) (int, string) {
		return get(t, "http://"+region.Proxy().AdminAddr+"/readyz"+query)
	}
	for _, query := range []string{"?max_lag=x", "?max_lag=-1s", "?max_lag=5"} {
		if code, body := readyz(a, query); code != http.StatusBadRequest || !strings.Contains(body, "max_lag") {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	a.Dial().Must("SET", "k", "1")
	cluster.Converge()
	b.Redis.Client().ConfigSet(t.Context(), "maxmemory", "1mb")
	a.Dial().Must("SET", "k", "2")
	eventually(t, "B is late", func() bool {
		code, body := readyz(b, "?max_lag=1s")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "behind region A")
	})
	if code, body := readyz(b, ""); code != http.StatusOK {
		t.Errorf("without a limit: %d %s", code, body)
	}
	if code, body := readyz(a, "?max_lag=1s"); code != http.StatusOK {
		t.Errorf("A, which is not late: %d %s", code, body)
	}
	b.Redis.Client().ConfigSet(t.Context(), "maxmemory", "0")
	eventually(t, "B has caught up", func() bool { code, _ := readyz(b, "?max_lag=1s"); return code == http.StatusOK })
}
