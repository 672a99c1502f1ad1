package crash

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// TestTwoProxiesCountTogether: increments through two proxies of one server are one sequence, so every answer is another
// number and none is left out.
func TestTwoProxiesCountTogether(t *testing.T) {
	const (
		writers = 6
		each    = 300
	)
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 1, redistest.WithProxies(2))
	region := cluster.Regions[0]
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		answers []int64
	)
	for i := range writers {
		c := region.Proxies[i%2].Dial()
		all.Add(1)
		go func() { // ends after its share of increments
			defer all.Done()
			for range each {
				reply, err := c.Try("INCR", "shared")
				if err != nil || reply.IsError() {
					t.Errorf("INCR: %s, %v", reply, err)
					return
				}
				mu.Lock()
				answers = append(answers, reply.Int())
				mu.Unlock()
			}
		}()
	}
	all.Wait()
	slices.Sort(answers)
	for i, answer := range answers {
		if answer != int64(i+1) {
			t.Fatalf("the %dth smallest answer is %d", i+1, answer)
		}
	}
	if len(answers) != writers*each {
		t.Fatalf("%d answers, want %d", len(answers), writers*each)
	}
}

// TestTwoProxiesShareAServerWithoutLoss writes the same keys through two proxies per region, without any kill: nothing
// may be unknown, so the counters must be exact.
func TestTwoProxiesShareAServerWithoutLoss(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithProxies(2))
	l := newLoad(t)
	for _, region := range cluster.Regions {
		for _, proxy := range region.Proxies {
			l.write(proxy, 3)
		}
	}
	time.Sleep(2 * time.Second)
	l.end()
	if _, unknown := l.ledger.counts(); unknown > 0 {
		t.Errorf("%d writes failed although nothing was killed", unknown)
	}
	requireProgress(t, l, 500)
	settle(t, cluster, l)
}

// TestLeaderIsKilledAndAnotherTakesOver kills each proxy of each region in turn, so that whoever leads is hit, while the
// other serves on. Effects must keep flowing between the regions afterwards.
func TestLeaderIsKilledAndAnotherTakesOver(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithProxies(2), redistest.WithRedis(redistest.WithAOF()))
	l := newLoad(t)
	random := rand.New(rand.NewPCG(l.seed, 0))
	for _, region := range cluster.Regions {
		for _, proxy := range region.Proxies {
			l.write(proxy, 2)
		}
	}
	for i := range 2 {
		for _, region := range cluster.Regions {
			between(random, 300*time.Millisecond, 700*time.Millisecond)
			killed := region.Proxies[i]
			killed.Kill()
			// The other proxy must take over while the first stays dead: wait until effects arrive both ways.
			cluster.Converge()
			killed.Launch()
			killed.AwaitReady()
		}
	}
	requireProgress(t, l, 200)
	settle(t, cluster, l)
}
