package dashboard

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"anabranch/internal/dashboard"
	"anabranch/internal/status"
	"anabranch/syncer"
)

// crowded is a proxy that has the most of everything to tell: long names, links in every state, alerts of every kind.
type crowded struct{ peers int }

func (c crowded) Document(context.Context) status.Document {
	now := time.Now()
	hour := now.Add(-time.Hour)
	d := status.Document{
		Version: "0.1.0", Region: "eu-central-1-frankfurt-am-main-x", RegionID: 1, RunID: "one", Time: now, StartedAt: now.Add(-1000 * time.Hour), Ready: true, Leader: "x",
		Log:       status.Log{Entries: 123_456_789, Bytes: 250 << 20, LimitBytes: 256 << 20, BacklogMinutes: 1.5},
		Keys:      status.Keys{Total: 1_234_567_890, Companions: 987_654_321, CompanionBytes: 3 << 40, Databases: []status.Database{{DB: 0}, {DB: 15}}},
		Memory:    status.Memory{UsedBytes: 99 << 30, LimitBytes: 100 << 30},
		Conflicts: status.Conflicts{Total: 1_234_567, ByType: map[string]int64{"string": 1_000_000, "hash": 200_000, "sorted set": 34_567}},
		Clients:   status.Clients{Connected: 999_999, Limit: 1_000_000}, Commands: status.Commands{"read": {OK: now.UnixNano() / 1000, Refused: 12_345_678}},
		HeldBackBy: map[string]time.Time{}, Peers: []status.Peer{}, Effects: status.Effects{Written: 1e12, Applied: 1e12},
	}
	states := []string{"stream", "stalled", "merge", "probe", "paused", "waiting", "refused", "quarantined", "merge-needed", "unknown"}
	for i := range c.peers {
		p := status.Peer{
			Name: fmt.Sprintf("ap-southeast-%d-long-%s", i, strings.Repeat("W", 14)), ID: i + 2, State: states[i%len(states)], Since: &hour, LagMillis: 3_600_000, LagEffects: 12_345_678,
			UnackedEffects: 87_654_321, DriftMillis: -7_200_000, RTTMillis: 4321, Addr: "proxy-1234567890.ap-southeast-1.internal.example.com:6480",
			LastError: "dial tcp: lookup proxy-1234567890.ap-southeast-1.internal.example.com: no such host", OthersLagMillis: map[string]int64{},
		}
		if p.State == "merge" {
			p.Merge = &status.Merge{KeysDone: 12_345_678, KeysExpected: 123_456_789, Began: hour}
		}
		for k := range c.peers {
			if k != i {
				p.OthersLagMillis[fmt.Sprintf("ap-southeast-%d-long-%s", k, strings.Repeat("W", 14))] = 90_000
			}
		}
		d.Peers = append(d.Peers, p)
		d.HeldBackBy[p.Name] = hour
		d.Alerts = append(d.Alerts, status.Alert{
			Severity: []string{status.Critical, status.Warning, status.Info}[i%3], About: p.Name, Title: "No link to region " + p.Name,
			Meaning: strings.Repeat("It means very much. ", 12), Advice: "Look at " + p.Addr + ".",
		})
	}
	return d
}

func (c crowded) Conflicts(context.Context, int) (list []syncer.Conflict, err error) {
	for i := range 40 {
		list = append(list, syncer.Conflict{
			ID: fmt.Sprint(i), DB: 15, Key: strings.Repeat("averylongkeywithoutblanks", 10), Element: strings.Repeat("field", 40), Type: "sorted set", Rule: "the element was added again, which wins over its concurrent removal",
			Winner: syncer.ConflictSide{Origin: "2.0.1-ab", Value: strings.Repeat("\x00", 60)}, Loser: syncer.ConflictSide{Origin: "3.0.1-ab", Value: strings.Repeat("語", 80)}, At: time.Now(),
		})
	}
	return list, nil
}

// TestDashboardHoldsWhateverThereIs serves the page over figures that no test could bring about with real regions.
func TestDashboardHoldsWhateverThereIs(t *testing.T) {
	for _, peers := range []int{0, 1, 2, 3, 10, 20} {
		source := crowded{peers}
		board, err := dashboard.New(dashboard.Config{Source: source, Ledger: source, Detail: dashboard.Values})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { board.Run(ctx); close(ended) }()
		server := httptest.NewServer(board)
		for _, s := range []screen{laptop, phone, {name: "tablet", width: 820, height: 1180, mobile: true}, {name: "smallest phone", width: 320, height: 640, mobile: true}} {
			t.Run(fmt.Sprintf("%d on a %s", peers, s.name), func(t *testing.T) {
				p := open(t, s, server.URL)
				p.loaded()
				p.inShape()
				p.picture("crowded")
				p.clean(strings.TrimPrefix(server.URL, "http://"))
			})
		}
		stop()
		<-ended
		server.CloseClientConnections()
		server.Close()
	}
}
