package status

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/syncer"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time {
	at := noon.Add(-d)
	return &at
}

// calm is a region of which nothing is wrong.
func calm() Document {
	return Document{
		Ready: true, Time: noon, Leader: "me", Log: Log{BacklogMinutes: 600},
		Peers: []Peer{{Name: "B", ID: 2, State: "stream", Since: ago(time.Hour)}, {Name: "C", ID: 3, State: "waiting", Since: ago(time.Hour)}},
	}
}

func TestNothingAlertsInACalmRegion(t *testing.T) {
	if got := calm().alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
	alone := Document{Ready: true, Time: noon}
	if got := alone.alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("a region without others: %+v", got)
	}
}

func TestWhatIsWrongIsSaidInOneAlert(t *testing.T) {
	for _, c := range []struct {
		change func(*Document)
		want   string
		words  string // somewhere in it
	}{
		{func(d *Document) { d.Ready = false }, "critical redis-down", "does not answer"},
		{func(d *Document) { d.Ready, d.Why = false, "it is a replica" }, "critical redis-down", "The reason: it is a replica."},
		{func(d *Document) { d.Sentinel = &Sentinel{Trouble: "1 of 3 answers"} }, "warning sentinel", "1 of 3 answers"},
		{func(d *Document) { d.Error, d.Peers = "BUSY", []Peer{} }, "critical unknown", "BUSY"},
		{func(d *Document) { d.WritesRefused = "OOM command not allowed" }, "critical writes-refused", "Give Redis more memory"},
		{func(d *Document) { d.WritesRefused = "MISCONF no disk" }, "critical writes-refused", "cannot save"},
		{func(d *Document) { d.WritesRefused = "READONLY" }, "critical writes-refused", "replica"},
		{func(d *Document) { d.WritesHeld = "in quarantine: …" }, "critical writes-held", "Reads are served"},
		{func(d *Document) { d.MissingEffects, d.MissingAwaits = 7, []string{"C"} }, "warning missing", "have not said so yet: C"},
		{func(d *Document) { d.Leader = "" }, "critical no-leader", "nothing is taken"},
		{func(d *Document) { d.Peers[0].State, d.Peers[0].Since = "probe", ago(time.Minute) }, "warning peer-down B", "for 60 s"},
		{func(d *Document) { d.Peers[0].State, d.Peers[0].LastError = "refused", "wrong id" }, "critical peer-refused B", "wrong id"},
		{func(d *Document) { d.Peers[0].State, d.Peers[0].LastError = "stalled", "OOM" }, "critical peer-stalled B", "OOM"},
		{func(d *Document) { d.Peers[0].State = "paused" }, "info peer-paused B", "CRDT RESUME B"},
		{func(d *Document) { d.Peers[0].State, d.Peers[0].Merge = "merge", &Merge{KeysDone: 5, KeysExpected: 9} }, "info peer-merge B", "5 of about 9 keys"},
		{func(d *Document) { d.Peers[0].State = "quarantined" }, "warning peer-quarantined B", "members remove B"},
		{func(d *Document) { d.Peers[1].LagMillis, d.Peers[1].LagEffects = 42_000, 7 }, "warning peer-lag C", "7 of its effects"},
		{func(d *Document) { d.HeldBackBy = map[string]time.Time{"B": noon.Add(-3 * time.Hour)} }, "warning held-back B", "for 3 h"},
		{func(d *Document) { d.Memory = Memory{UsedBytes: 95, LimitBytes: 100} }, "warning memory", "95 %"},
		{func(d *Document) {
			d.Certificates = map[string]time.Time{"peers": noon.Add(50 * time.Hour), "redis": noon.Add(9 * 24 * time.Hour)}
		}, "warning certificate peers", "without a restart"},
		{func(d *Document) { d.Certificates = map[string]time.Time{"clients": noon} }, "critical certificate clients", "has expired"},
		{func(d *Document) { d.Alarms = []string{"the clock of region 'B' is 2m0s ahead"} }, "warning alarm clock of B", "NTP"},
	} {
		d := calm()
		c.change(&d)
		got := d.alerts(syncer.RegionStatus{Abouts: []string{syncer.TopicClock + " of B"}})
		if len(got) != 1 || got[0].Severity+" "+got[0].About != c.want {
			t.Errorf("%s: got %+v", c.want, got)
			continue
		}
		if a := got[0]; !strings.Contains(a.Title+a.Meaning+a.Advice, c.words) || a.Title == "" || a.Meaning == "" || a.Advice == "" {
			t.Errorf("%s: %q is not in %+v", c.want, c.words, a)
		}
	}
}

func TestALinkThatIsJustLostAlertsNobody(t *testing.T) {
	d := calm()
	d.Peers[0].State, d.Peers[0].Since = "probe", ago(3*time.Second)
	if got := d.alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("got %+v", got)
	}
}

func TestAShortLogAlertsWhileARegionIsAway(t *testing.T) {
	d := calm()
	d.Log.BacklogMinutes = 4
	if got := d.alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("with all regions there: %+v", got)
	}
	d.Peers[0].UnackedEffects, d.Peers[0].AckedUntil = 7, ago(time.Second)
	if got := d.alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("with some on the way: %+v", got)
	}
	d.Peers[0].AckedUntil = ago(time.Hour)
	if got := d.alerts(syncer.RegionStatus{}); len(got) != 1 || got[0].About != "backlog" {
		t.Errorf("with one that takes nothing: %+v", got)
	}
	d.Log.BacklogMinutes = -1
	if got := d.alerts(syncer.RegionStatus{}); len(got) > 0 {
		t.Errorf("when nothing is written: %+v", got)
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	d := calm()
	d.Peers[0].State = "paused"
	d.Peers[1].State = "stalled"
	d.HeldBackBy = map[string]time.Time{"B": noon}
	var order []string
	for _, a := range d.alerts(syncer.RegionStatus{}) {
		order = append(order, a.Severity)
	}
	if !slices.Equal(order, []string{Critical, Warning, Info}) {
		t.Errorf("got %v", order)
	}
}

func TestNotReady(t *testing.T) {
	limit := func(d time.Duration) *time.Duration { return &d }
	behind := func(state string, ms int64) func(*Document) {
		return func(d *Document) { d.Peers[0].State, d.Peers[0].LagMillis, d.Peers[0].Connects = state, ms, 1 }
	}
	for _, c := range []struct {
		change func(*Document)
		limit  *time.Duration
		want   string
	}{
		{func(*Document) {}, nil, ""},
		{func(*Document) {}, limit(0), ""},
		{func(d *Document) { d.Ready = false }, nil, "Redis is not ready"},
		{func(d *Document) { d.Ready, d.Why = false, "it is a replica" }, nil, "Redis is not ready: it is a replica"},
		{behind("stream", 900), limit(time.Second), ""},
		{behind("stream", 1001), limit(time.Second), "1.001s behind region 'B'"},
		{behind("stream", 1001), nil, ""},
		{behind("paused", 5000), limit(time.Second), "5s behind region 'B'"},
		{behind("probe", 0), limit(time.Second), ""}, // was there, is away: no reason to take this region out of service
		{func(d *Document) { d.Peers[0] = Peer{Name: "B", State: "probe"} }, limit(time.Second), "region 'B' was not reached yet"},
		{func(d *Document) { d.Peers[0] = Peer{Name: "B", State: "probe", LastError: "refused"} }, limit(time.Second), ""},
		{behind("merge", 0), limit(time.Second), "the state of region 'B' is being merged"},
		{behind("merge-needed", 0), limit(time.Second), "the state of region 'B' is being merged"},
		{func(d *Document) { d.Leader = "" }, limit(time.Second), "the lag is not known: no proxy of this region leads at the moment"},
		{func(d *Document) { d.Error = "BUSY" }, limit(time.Second), "the lag is not known: BUSY"},
		{func(d *Document) { d.WritesHeld = "in quarantine" }, limit(time.Second), "this region takes no writes: in quarantine"},
	} {
		d := calm()
		c.change(&d)
		if got := strings.Join(d.NotReady(c.limit), "\n"); got != c.want {
			t.Errorf("%v: got %q, want %q", c.limit, got, c.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 90 * time.Second: "90 s", 5 * time.Minute: "5 min", 3 * time.Hour: "3 h", 72 * time.Hour: "3 days",
	} {
		if got := roughly(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func ExampleAlert() {
	d := calm()
	d.Peers[0].State = "paused"
	for _, alert := range d.alerts(syncer.RegionStatus{}) {
		fmt.Printf("%s: %s. %s %s\n", alert.Severity, alert.Title, alert.Meaning, alert.Advice)
	}
	// Output:
	// info: Effects of region B are paused. Somebody said CRDT PAUSE. They wait in that region's log; should it become full, this region will have to merge. CRDT RESUME B takes them again.
}
