package observability

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// sample is the value of one series.
func sample(t *testing.T, text, series string) float64 {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return -1
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestScrapeOfARealRegion(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A"), cluster.Region("B")
	before := a.Proxy().Scrape()
	conn := a.Dial()
	for i := range 50 {
		conn.Must("SET", fmt.Sprint("k", i), "v")
		conn.Must("GET", fmt.Sprint("k", i))
	}
	conn.Do("INCR", "k1")
	conn.Do("SWAPDB", "0", "1")
	cluster.PauseAll()
	a.Dial().Must("SET", "clash", "a")
	b.Dial().Must("SET", "clash", "b")
	cluster.ResumeAll()
	cluster.Converge()
	var text string
	eventually(t, "the link that was paused shows as a stream", func() bool {
		text = a.Proxy().Scrape()
		return sample(t, text, `anabranch_peer_state{peer="B",region="A",state="stream"}`) == 1
	})
	for series, want := range map[string]float64{
		`anabranch_commands_total{class="write",region="A",result="ok"}`:        51,
		`anabranch_commands_total{class="read",region="A",result="ok"}`:         50,
		`anabranch_commands_total{class="write",region="A",result="error"}`:     1,
		`anabranch_commands_total{class="refused",region="A",result="refused"}`: 1,
	} {
		if got := sample(t, text, series) - max(0, sample(t, before, series)); got < want || got > want+10 { // what sets the rig up writes, too
			t.Errorf("%s: %v, expected %v", series, got, want)
		}
	}
	for series, want := range map[string]float64{
		`anabranch_ready{region="A"}`: 1, `anabranch_region_led{region="A"}`: 1, `anabranch_leader{region="A"}`: 1, `anabranch_status_known{region="A"}`: 1,
		`anabranch_peer_up{peer="B",region="A"}`: 1, `anabranch_peer_state{peer="B",region="A",state="stream"}`: 1, `anabranch_epoch{region="A"}`: 1,
		`anabranch_conflicts_total{region="A",type="string"}`: 1,
	} {
		if got := sample(t, text, series); got != want {
			t.Errorf("%s: %v, expected %v", series, got, want)
		}
	}
	if n := sample(t, text, `anabranch_backend_round_trip_seconds_count{kind="write",region="A"}`); n < 10 {
		t.Errorf("%v round trips with writes", n)
	}
	eventually(t, "keys, companions and memory show", func() bool {
		text := a.Proxy().Scrape()
		return sample(t, text, `anabranch_keys{db="0",region="A"}`) == 51 && sample(t, text, `anabranch_companion_keys{db="0",region="A"}`) >= 51 &&
			sample(t, text, `anabranch_companion_bytes{region="A"}`) > 51*20 && sample(t, text, `anabranch_redis_memory_used_bytes{region="A"}`) > 1e6
	})

	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(regexp.MustCompile(`(?m)^(# \w+ )?(go|process)_.*\n`).ReplaceAllString(text, ""))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}

	b.Proxy().Kill()
	eventually(t, "a lost link shows", func() bool { return sample(t, a.Proxy().Scrape(), `anabranch_peer_up{peer="B",region="A"}`) == 0 })
	a.Redis.Kill()
	eventually(t, "a lost Redis shows", func() bool {
		text := a.Proxy().Scrape()
		return sample(t, text, `anabranch_ready{region="A"}`) == 0 && sample(t, text, `anabranch_status_known{region="A"}`) == 0 &&
			!strings.Contains(text, "anabranch_log_bytes{")
	})
}

// TestFiguresAreThoseOfINFO compares what has one source and three ways out.
func TestFiguresAreThoseOfINFO(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a := cluster.Region("A")
	conn := a.Dial()
	for i := range 30 {
		conn.Must("SET", fmt.Sprint("k", i), "v")
	}
	cluster.Converge()
	info := func(field string) float64 {
		text := conn.Must("INFO", "crdt").Text
		_, rest, found := strings.Cut(text, field+":")
		value, err := strconv.ParseFloat(strings.SplitN(rest, "\r", 2)[0], 64)
		if !found || err != nil {
			t.Fatalf("%s in %q: %v", field, text, err)
		}
		return value
	}
	for field, series := range map[string]string{
		"crdt_companion_keys": `anabranch_companion_keys{db="0",region="A"}`, "crdt_backlog_bytes": `anabranch_log_bytes{region="A"}`,
		"crdt_backlog_size": `anabranch_log_limit_bytes{region="A"}`, "crdt_gc_pending": `anabranch_collection_pending_keys{region="A"}`,
		"crdt_effect_reqs": `anabranch_effects_applied_total{region="A"}`, "crdt_alarms": `anabranch_alarms{region="A"}`,
	} {
		eventually(t, field+" is "+series, func() bool { return info(field) == sample(t, a.Proxy().Scrape(), series) })
	}
}
