package crash

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// seedEnv replays the choices of a run.
const seedEnv = "ANABRANCH_TEST_SEED"

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(seedEnv); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
		seed = given
	}
	t.Logf("seed %d; again: %s=%d go test ./tests/crash -run '^%s$'", seed, seedEnv, seed, t.Name())
	return seed
}

// between pauses the nemesis for a random while, so that kills hit different moments.
func between(random *rand.Rand, low, high time.Duration) {
	time.Sleep(low + time.Duration(random.Int64N(int64(high-low))))
}

// killProxy ends a proxy in the middle of its work and brings it back.
func killProxy(random *rand.Rand, region *redistest.Region) {
	proxy := region.Proxies[random.IntN(len(region.Proxies))]
	proxy.Kill()
	between(random, 50*time.Millisecond, 400*time.Millisecond)
	proxy.Launch()
	proxy.AwaitReady()
}

// killRedis ends the region's server and brings it back with what it had on disk. The proxies must notice by themselves.
func killRedis(random *rand.Rand, region *redistest.Region) {
	region.Redis.Kill()
	between(random, 50*time.Millisecond, 700*time.Millisecond)
	region.Redis.Restart()
	for _, proxy := range region.Proxies {
		proxy.AwaitReady()
	}
}

// killBoth ends the server and one proxy at once.
func killBoth(random *rand.Rand, region *redistest.Region) {
	proxy := region.Proxies[random.IntN(len(region.Proxies))]
	region.Redis.Kill()
	proxy.Kill()
	between(random, 50*time.Millisecond, 400*time.Millisecond)
	if random.IntN(2) == 0 { // the proxy comes back to a server that is still down
		proxy.Launch()
		between(random, 50*time.Millisecond, 400*time.Millisecond)
		region.Redis.Restart()
	} else {
		region.Redis.Restart()
		proxy.Launch()
	}
	for _, proxy := range region.Proxies {
		proxy.AwaitReady()
	}
}

// pauseRedis freezes the server for a moment: nothing is lost, everything is late.
func pauseRedis(random *rand.Rand, region *redistest.Region) {
	region.Redis.Pause()
	between(random, 100*time.Millisecond, 600*time.Millisecond)
	region.Redis.Continue()
}

// settle stops the load and holds the promises: all regions equal, nothing acknowledged lost, nothing counted twice,
// no metadata visible.
func settle(t *testing.T, cluster *redistest.Cluster, l *load) {
	t.Helper()
	l.end()
	cluster.Converge()
	space := cluster.RequireEqual(t)
	l.ledger.check(t, space)
	for _, region := range cluster.Regions {
		region.RequireNoMetadata(t)
	}
}

// requireProgress fails a run in which hardly anything was written: it would pass without having tried anything.
func requireProgress(t *testing.T, l *load, least int) {
	t.Helper()
	if acked, unknown := l.ledger.counts(); acked < least {
		t.Errorf("only %d writes were acknowledged and %d not", acked, unknown)
	}
}
