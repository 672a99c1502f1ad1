package syncer

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

var nemesisSeed = flag.Uint64("nemesis-seed", 0, "seed of the random test, 0 for a new one")

// TestRandomTroubleLosesAndDoublesNothing writes in three regions while links are cut and frozen, regions are paused,
// proxies are stopped and started, and Redis is killed (with its data on disk). In the end all regions hold the same,
// and every counter is exact.
func TestRandomTroubleLosesAndDoublesNothing(t *testing.T) {
	randomTrouble(t, func(*Config) {})
}

// The same with a log so short that regions fall behind it all the time, and merge.
func TestRandomTroubleAmongMergesLosesAndDoublesNothing(t *testing.T) {
	merges := randomTrouble(t, func(cfg *Config) {
		cfg.BacklogBytes, cfg.KeepTime, cfg.Grace = 2<<10, time.Millisecond, 200*time.Millisecond
		cfg.TrimInterval = 20 * time.Millisecond
	})
	t.Logf("%d merges", merges) // on a machine that is busy there may be none in the time
}

func randomTrouble(t *testing.T, change func(*Config)) (merges int64) {
	t.Helper()
	seed := *nemesisSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay with -nemesis-seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	regions := newRegionsWith(t, 3, redistest.WithAOF())
	var links []*breaker
	peers := map[*testRegion]map[string][]string{}
	for _, r := range regions {
		peers[r] = map[string][]string{}
		for _, other := range regions {
			if other != r {
				link := newBreaker(t, other.listen)
				links = append(links, link)
				peers[r][other.name] = []string{link.addr}
			}
		}
		r.run(peers[r], change)
	}
	ctx := context.Background()
	increments, trouble := 0, map[string]int{}
	write := func() {
		r := regions[random.IntN(len(regions))]
		if r.tryWrite("INCR n") == nil {
			increments++
		}
		_ = r.tryWrite(fmt.Sprintf("SADD s %d", random.IntN(40)), fmt.Sprintf("SET k%d %d", random.IntN(20), random.IntN(1000)),
			fmt.Sprintf("SREM s %d", random.IntN(40)), fmt.Sprintf("DEL k%d", random.IntN(20)))
	}
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); {
		for range random.IntN(15) {
			write()
		}
		r, link := regions[random.IntN(len(regions))], links[random.IntN(len(links))]
		kind := []string{"cut", "freeze", "thaw", "thaw", "pause", "resume", "resume", "restart", "kill", ""}[random.IntN(10)]
		trouble[kind]++
		switch kind {
		case "cut":
			link.cut()
		case "freeze":
			link.freeze()
		case "thaw":
			link.thaw()
		case "pause":
			_ = r.Pause(ctx, slices.Sorted(maps.Keys(peers[r]))[random.IntN(2)])
		case "resume":
			_ = r.Resume(ctx, AllRegions)
		case "restart":
			r.stop()
			merges += r.counters.mergesDone.Load()
			for range 20 {
				write()
			}
			r.run(peers[r], change)
		case "kill":
			r.server.Kill()
			r.server.Restart()
			eventually(t, "armed", func() bool { return r.arm(ctx) == nil })
		}
		time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
	}
	t.Logf("%d increments, trouble: %v", increments, trouble)
	for _, link := range links {
		link.thaw()
	}
	for _, r := range regions {
		if err := r.Resume(ctx, AllRegions); err != nil {
			t.Fatal(err)
		}
	}
	synced(t, regions...)
	want := regions[0].data()
	if !strings.Contains(want, fmt.Sprintf("n=%d\n", increments)) {
		t.Errorf("want n=%d in:\n%s", increments, want)
	}
	for _, r := range regions[1:] {
		if got := r.data(); got != want {
			t.Errorf("%s differs from %s:\n%s\n%s", r.name, regions[0].name, got, want)
		}
	}
	for _, r := range regions {
		merges += r.counters.mergesDone.Load()
	}
	return merges
}

// data is all that a client sees.
func (r *testRegion) data() string {
	ctx := context.Background()
	var text strings.Builder
	keys := r.rdb.Keys(ctx, "*").Val()
	slices.Sort(keys)
	for _, key := range keys {
		switch {
		case strings.HasPrefix(key, "crdt:"):
		case key == "s":
			members := r.rdb.SMembers(ctx, key).Val()
			slices.Sort(members)
			fmt.Fprintf(&text, "s=%v\n", members)
		default:
			fmt.Fprintf(&text, "%s=%s\n", key, r.get(key))
		}
	}
	return text.String()
}
