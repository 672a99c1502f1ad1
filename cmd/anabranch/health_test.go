package main

import (
	"io"
	"net"
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
		"merging everything":    {syncer.PeerStatus{State: syncer.StateMerge, Merge: &syncer.MergeStatus{Mode: "whole", Began: now.Add(time.Hour)}}, 0, 0, true},
	} {
		var seen linkHealth
		seen.take(own, test.peer)
		if seen.late != test.late || seen.lag != test.lag || (seen.apart != "") != test.apart {
			t.Errorf("%s: %+v", name, seen)
		}
	}
}

// Who was too late must catch up half of the limit before clients come back.
func TestClientsAreNotSentToAndFroAtTheLimitOfLag(t *testing.T) {
	h := &health{limit: 30 * time.Second}
	for i, step := range []struct {
		late time.Duration
		want bool
	}{{29 * time.Second, false}, {31 * time.Second, true}, {29 * time.Second, true}, {16 * time.Second, true}, {15 * time.Second, false}, {29 * time.Second, false}} {
		if h.away = h.tooLate(step.late); h.away != step.want {
			t.Errorf("step %d, %v late: away is %v", i, step.late, h.away)
		}
	}
	if (&health{}).tooLate(time.Hour) {
		t.Error("without a limit, somebody is too late")
	}
}

// The Redis of one region is full, so what the other one writes has to wait: that region sends clients away, the other one does not.
func TestTheAgentKnowsTheLag(t *testing.T) {
	cluster := redistest.StartCluster(t, 2, redistest.WithAgents(), redistest.WithFlags("--agent-max-lag", "2s"))
	a, b := cluster.Region("A"), cluster.Region("B")
	agent := func(region *redistest.Region) string {
		conn, err := net.Dial("tcp", region.Proxy().AgentAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answer, _ := io.ReadAll(conn) // what came is what counts
		return string(answer)
	}
	a.Dial().Must("SET", "k", "1")
	cluster.Converge()
	b.Redis.Client().ConfigSet(t.Context(), "maxmemory", "1mb")
	a.Dial().Must("SET", "k", "2")
	eventually(t, "B is too late", func() bool { return strings.HasPrefix(agent(b), "down #behind region A by ") })
	if code, body := get(t, "http://"+b.Proxy().AdminAddr+"/readyz"); code != http.StatusOK {
		t.Errorf("B serves all the same: %d %s", code, body)
	}
	if answer := agent(a); !strings.Contains(answer, "up 100%") {
		t.Errorf("A, which is not late, says %q", answer)
	}
	b.Redis.Client().ConfigSet(t.Context(), "maxmemory", "0")
	eventually(t, "B has caught up", func() bool { return strings.Contains(agent(b), "up ") })
}
