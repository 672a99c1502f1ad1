package sentinel

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// runsEnv is how many fail-overs `make failover` wants.
const runsEnv = "FAILOVER_RUNS"

func runs(t *testing.T, usual int) int {
	t.Helper()
	text := os.Getenv(runsEnv)
	if text == "" {
		t.Parallel() // nobody wants to know the times
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: expected a number", runsEnv, text)
	}
	return n
}

// pair is a guarded region A and a plain region B.
func pair(t *testing.T, how redistest.Guard, opts ...redistest.ClusterOption) (*redistest.Cluster, *redistest.Guarded) {
	t.Helper()
	cluster := redistest.StartCluster(t, 2, append(opts, redistest.WithGuard("A", how))...)
	return cluster, cluster.Regions[0].Guarded
}

// A primary dies or freezes, again and again, and the Sentinels put a replica in its place.
func TestFailOver(t *testing.T) {
	redistest.Slow(t)
	n := runs(t, 2)
	cluster, g := pair(t, redistest.Guard{})
	a, b := cluster.Regions[0].Proxy(), cluster.Regions[1].Proxy()
	loadA, endA := startLoad(t, 4, 2, a)
	loadB, endB := startLoad(t, 2, 0, b)
	var times, pauses []time.Duration
	for run := range n {
		time.Sleep(2 * time.Second)
		primary := g.Primary()
		failed := g.Events("-failover-abort")
		loadA.takePause()
		how := "kill -9"
		if run%2 == 0 {
			primary.Kill()
		} else {
			how = "SIGSTOP"
			primary.Pause()
		}
		took := firstWrite(t, a.Addr)
		soon(t, "the Sentinels name another primary", func() bool { return g.Primary() != primary })
		time.Sleep(time.Second)
		pause := loadA.takePause()
		times, pauses = append(times, took), append(pauses, pause)
		t.Logf("run %d, %s: first write after %.2f s, longest time without an acknowledgement %.2f s, %d attempts of Sentinels failed",
			run+1, how, took.Seconds(), pause.Seconds(), g.Events("-failover-abort")-failed)
		if run%2 == 0 {
			primary.Follow(g.Primary())
			primary.Restart()
		} else {
			primary.Continue() // it learns what has happened meanwhile, and has still been sent commands
		}
		g.AwaitGuarded()
	}
	time.Sleep(2 * time.Second) // what was acknowledged last is replicated
	endA()
	endB()
	total := settle(t, cluster, loadA, loadB)
	report(t, "fail-overs (kill -9 and SIGSTOP by turns)", total,
		measured{"from the failure to the next acknowledged write", times}, measured{"longest time without an acknowledgement", pauses})
}

// measured is what was measured once in each run.
type measured struct {
	what  string
	times []time.Duration
}

// report prints what `make failover` is for.
func report(t *testing.T, what string, total tally, all ...measured) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "%d %s; %s\n", len(all[0].times), what, strings.Join(redistest.SentinelConfig, "; "))
	for _, m := range all {
		slices.Sort(m.times)
		fmt.Fprintf(&text, "  %s: p50 %.2f s, max %.2f s\n", m.what, m.times[(len(m.times)-1)/2].Seconds(), m.times[len(m.times)-1].Seconds())
	}
	t.Logf("%s  %v", text.String(), total)
}
