package crash

import (
	"math/rand/v2"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// collecting has metadata go soon, so that it goes in the middle of all this.
var collecting = redistest.WithFlags("--gc-grace", "200ms")

// nemesis is something bad that happens to a region.
type nemesis func(*rand.Rand, *redistest.Region)

// torment runs writers in every region while the nemeses strike by turns, and settles the account.
func torment(t *testing.T, regions, strikes int, nemeses ...nemesis) {
	t.Helper()
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, regions, redistest.WithRedis(redistest.WithAOF()), collecting)
	l := newLoad(t)
	random := rand.New(rand.NewPCG(l.seed, 0))
	for _, region := range cluster.Regions {
		l.write(region.Proxy(), 4)
	}
	for i := range strikes {
		between(random, 300*time.Millisecond, 900*time.Millisecond)
		nemeses[i%len(nemeses)](random, cluster.Regions[random.IntN(regions)])
	}
	between(random, 300*time.Millisecond, 600*time.Millisecond)
	requireProgress(t, l, 100)
	settle(t, cluster, l)
}

func TestProxiesAreKilledUnderLoad(t *testing.T) { torment(t, 2, 6, killProxy) }

func TestServersAreKilledUnderLoad(t *testing.T) { torment(t, 2, 5, killRedis) }

func TestServerAndProxyAreKilledTogether(t *testing.T) { torment(t, 2, 5, killBoth) }

func TestServersFreezeUnderLoad(t *testing.T) { torment(t, 2, 5, pauseRedis) }

func TestThreeRegionsUnderEverything(t *testing.T) {
	torment(t, 3, 9, killProxy, killRedis, pauseRedis, killBoth)
}

// TestARegionComesBackAfterALongAbsence kills one region altogether while the other goes on: what it missed must arrive,
// and what it had written before must not be lost.
func TestARegionComesBackAfterALongAbsence(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithRedis(redistest.WithAOF()), collecting)
	l := newLoad(t)
	for _, region := range cluster.Regions {
		l.write(region.Proxy(), 3)
	}
	time.Sleep(500 * time.Millisecond)
	away := cluster.Regions[1]
	away.Proxy().Kill()
	away.Redis.Kill()
	time.Sleep(3 * time.Second)
	away.Redis.Restart()
	away.Proxy().Launch()
	away.Proxy().AwaitReady()
	time.Sleep(500 * time.Millisecond)
	requireProgress(t, l, 100)
	settle(t, cluster, l)
}

// TestOrderlyRestartsLoseNothing restarts every process by SIGTERM, one after the other, as an upgrade does.
func TestOrderlyRestartsLoseNothing(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithRedis(redistest.WithAOF()), collecting)
	l := newLoad(t)
	for _, region := range cluster.Regions {
		l.write(region.Proxy(), 3)
	}
	for _, region := range cluster.Regions {
		time.Sleep(300 * time.Millisecond)
		region.Proxy().Restart()
		time.Sleep(300 * time.Millisecond)
		region.Redis.Restart()
		region.Proxy().AwaitReady()
	}
	requireProgress(t, l, 100)
	settle(t, cluster, l)
}
