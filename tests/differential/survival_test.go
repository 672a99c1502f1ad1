package differential

import (
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// TestRandomHistoriesSurviveKills kills proxies and servers in the middle of random histories. What a dying process had
// not acknowledged may be there or not, but everywhere the same.
func TestRandomHistoriesSurviveKills(t *testing.T) {
	h := newHistories(t, redistest.WithRedis(redistest.WithAOF()))
	for round := range 5 {
		h.cluster.ResumeAll()
		for range 4 {
			for range 60 {
				h.write()
			}
			h.strike()
		}
		h.cluster.Sync()
		h.compare(round)
	}
}

// strike kills one process of one region, sometimes with commands under way, and brings it back.
func (h *histories) strike() {
	h.t.Helper()
	random := h.grammar.random
	at := random.IntN(len(h.conns))
	region := h.cluster.Regions[at]
	for range random.IntN(20) {
		command := h.grammar.command().args
		h.tell(command[1:], "%s: %q, and nobody waits for the answer", region.Name, command)
		if err := h.conns[at].Send(command...); err != nil {
			h.t.Fatal(err)
		}
	}
	if random.IntN(2) == 0 {
		h.tell(nil, "-- kill proxy %s", region.Name)
		region.Proxy().Kill()
		region.Proxy().Launch()
	} else {
		h.tell(nil, "-- kill server %s", region.Name)
		region.Redis.Kill()
		time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		region.Redis.Restart()
	}
	region.Proxy().AwaitReady()
	h.conns[at].Close()
	h.conns[at] = region.Dial()
}
