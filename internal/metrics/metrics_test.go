package metrics

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"anabranch/internal/backend"
	"anabranch/internal/status"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

type told status.Document

func (s told) Document(context.Context) status.Document { return status.Document(s) }

// full has something of everything, so that every metric shows.
func full() told {
	now := time.UnixMilli(1_700_000_000_000)
	return told{
		Version: "1.2.3", Commit: "abc", Region: "A", Time: now, Ready: true, Sentinel: &status.Sentinel{}, Leader: "me", Leads: true, WritesRefused: "OOM", Epoch: 4,
		Alarms: []string{"a clock"}, HeldBackBy: map[string]time.Time{"B": now.Add(-90 * time.Second)}, Quarantined: []string{"C"},
		Log: status.Log{Entries: 1, Bytes: 2, LimitBytes: 3, BacklogMinutes: 2.5},
		Peers: []status.Peer{
			{Name: "B", State: "merge", LagMillis: 1500, LagEffects: 7, DriftMillis: -250, Merge: &status.Merge{KeysDone: 5, KeysExpected: 10, Began: now.Add(-time.Minute)}},
			{Name: "C", State: "quarantined", Quarantined: true},
		},
		Conflicts:    status.Conflicts{Total: 3, ByType: map[string]int64{"string": 2, "zset": 1}},
		Keys:         status.Keys{Databases: []status.Database{{DB: 0, Keys: 10, Companions: 4}, {DB: 3, Keys: 1}}},
		Certificates: map[string]time.Time{"peers": now.Add(time.Hour)},
		Commands:     status.Commands{"read": {OK: 9, Error: 1}, "refused": {Refused: 2}},
	}
}

func registryOf(d told) (*backend.Traffic, func(names ...string) string) {
	traffic := new(backend.Traffic)
	registry := NewRegistry("A", d, traffic)
	return traffic, func(names ...string) string {
		families, err := registry.Gather()
		if err != nil {
			return err.Error()
		}
		var out strings.Builder
		for _, family := range families {
			if !slices.Contains(names, family.GetName()) {
				continue
			}
			for _, m := range family.GetMetric() {
				labels := ""
				for _, label := range m.GetLabel() {
					labels += " " + label.GetName() + "=" + label.GetValue()
				}
				fmt.Fprintf(&out, "%s%s %v\n", family.GetName(), labels, m.GetGauge().GetValue()+m.GetCounter().GetValue())
			}
		}
		return out.String()
	}
}

func TestMetricsAreAsPrometheusWantsThem(t *testing.T) {
	registry := NewRegistry("A", full(), new(backend.Traffic))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, "anabranch_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}

func TestMetricsAreTheFieldsOfTheStatus(t *testing.T) {
	_, show := registryOf(full())
	got := show("anabranch_commands_total", "anabranch_peer_lag_seconds", "anabranch_peer_clock_drift_seconds", "anabranch_backlog_seconds",
		"anabranch_conflicts_total", "anabranch_companion_keys", "anabranch_peer_collection_held_back_seconds", "anabranch_peer_merge_age_seconds",
		"anabranch_writes_refused", "anabranch_writes_held", "anabranch_epoch", "anabranch_peer_up", "anabranch_peer_quarantined")
	const want = `anabranch_backlog_seconds region=A 150
anabranch_commands_total class=read region=A result=error 1
anabranch_commands_total class=read region=A result=ok 9
anabranch_commands_total class=read region=A result=refused 0
anabranch_commands_total class=refused region=A result=error 0
anabranch_commands_total class=refused region=A result=ok 0
anabranch_commands_total class=refused region=A result=refused 2
anabranch_companion_keys db=0 region=A 4
anabranch_companion_keys db=3 region=A 0
anabranch_conflicts_total region=A type=string 2
anabranch_conflicts_total region=A type=zset 1
anabranch_epoch region=A 4
anabranch_peer_clock_drift_seconds peer=B region=A -0.25
anabranch_peer_clock_drift_seconds peer=C region=A 0
anabranch_peer_collection_held_back_seconds peer=B region=A 90
anabranch_peer_collection_held_back_seconds peer=C region=A 0
anabranch_peer_lag_seconds peer=B region=A 1.5
anabranch_peer_lag_seconds peer=C region=A 0
anabranch_peer_merge_age_seconds peer=B region=A 60
anabranch_peer_merge_age_seconds peer=C region=A 0
anabranch_peer_quarantined peer=B region=A 0
anabranch_peer_quarantined peer=C region=A 1
anabranch_peer_up peer=B region=A 1
anabranch_peer_up peer=C region=A 0
anabranch_writes_held region=A 0
anabranch_writes_refused region=A 1
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatIsNotKnownIsMissingAndNotZero(t *testing.T) {
	d := full()
	d.Error, d.Peers, d.Log = "no Redis", nil, status.Log{}
	_, show := registryOf(d)
	if got := show("anabranch_backlog_seconds", "anabranch_log_bytes", "anabranch_region_led", "anabranch_status_known"); got != "anabranch_status_known region=A 0\n" {
		t.Errorf("got %s", got)
	}
	d = full()
	d.Log.BacklogMinutes = -1
	_, show = registryOf(d)
	if got := show("anabranch_backlog_seconds"); got != "anabranch_backlog_seconds region=A +Inf\n" {
		t.Errorf("any number of minutes is %s", got)
	}
}

func TestEveryStateOfALinkIsOneOfTheStateMetric(t *testing.T) {
	for _, state := range states {
		d := full()
		d.Peers = []status.Peer{{Name: "B", State: state}}
		_, show := registryOf(d)
		got := show("anabranch_peer_state")
		if strings.Count(got, " 1\n") != 1 || !strings.Contains(got, "state="+state+" 1\n") {
			t.Errorf("%s: %s", state, got)
		}
	}
}

// TestTableOfTheDocumentation compares docs/metrics.md with what is registered.
func TestTableOfTheDocumentation(t *testing.T) {
	const path, begin, end = "../../docs/metrics.md", "<!-- table -->\n", "<!-- end of table -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, complete := strings.Cut(rest, end)
	if !found || !complete {
		t.Fatalf("%s has no table", path)
	}
	var rows strings.Builder
	rows.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, m := range append(slices.Clone(table), roundTrips) {
		labels := "`" + strings.Join(m.labels, "`, `") + "`"
		if len(m.labels) == 0 {
			labels = ""
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, m.help)
	}
	want := before + begin + rows.String() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s is not up to date: go test ./internal/metrics -update", path)
	}

	registered := map[string]bool{}
	families, err := NewRegistry("A", full(), new(backend.Traffic)).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		registered[family.GetName()] = true
	}
	for _, m := range append(slices.Clone(table), roundTrips) {
		if !registered[m.name] {
			t.Errorf("%s is in the table, but a scrape does not show it", m.name)
		}
	}
}

func TestAPassiveProxyTellsWhatItKnows(t *testing.T) {
	families, err := NewPassiveRegistry("A", full()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "anabranch_") {
			ours = append(ours, family.GetName())
		}
	}
	var want []string
	for _, m := range passiveTable {
		want = append(want, m.name)
	}
	slices.Sort(want)
	if !slices.Equal(ours, want) {
		t.Errorf("got %v, want %v", ours, want)
	}
}
