package haproxy

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// A proxy dies and comes back, one is stopped in order, a whole region dies and comes back. Clients are served by the other proxy, by
// the other region, and at home again; what was acknowledged is in both regions at the end.
func TestClientsSurviveProxiesAndRegions(t *testing.T) {
	cluster := redistest.StartCluster(t, 2, redistest.WithProxiesIn("A", 2), redistest.WithAgents(), redistest.WithRedis(redistest.WithAOF()),
		redistest.WithFlags("--drain-time", "3s"))
	a, b := cluster.Region("A"), cluster.Region("B")
	listen, h := redistest.FreeAddr(t), redistest.NewHAProxy(t)
	h.Start(configure(t, h, listen, "--local", serverFlag(a, a.Proxies[0]), "--local", serverFlag(a, a.Proxies[1]), "--remote", serverFlag(b, b.Proxy())))
	eventually(t, "all three are up", func() bool { return status(h, "A-1") == "UP" && status(h, "A-2") == "UP" && status(h, "B-1") == "UP" })

	c := startClients(t, listen, 10)
	event := func(what string, do func()) {
		t.Helper()
		failed, began := c.failed.Load(), time.Now()
		do()
		c.normal(t, what, began, failed)
	}
	event("nothing happens", func() { time.Sleep(2 * time.Second) })
	if n := c.failed.Load(); n > 0 {
		t.Errorf("%d commands failed when nothing had happened: %v", n, c.why)
	}

	event("a proxy is killed", func() { a.Proxies[0].Kill() })
	eventually(t, "HAProxy sees it", func() bool { return status(h, "A-1") == "DOWN" })
	a.Proxies[0].Restart()
	eventually(t, "it is up again", func() bool { return status(h, "A-1") == "UP" })

	drained := make(chan bool, 1)
	event("a proxy is stopped in order", func() {
		go func() { // ends before the proxy does, or soon after
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if s := status(h, "A-2"); s == "DRAIN" || s == "NOLB" {
					drained <- true
					return
				}
			}
			drained <- false
		}()
		a.Proxies[1].Stop()
	})
	if !<-drained {
		t.Error("HAProxy did not hear that the proxy was stopping")
	}
	a.Proxies[1].Restart()
	eventually(t, "it is up again", func() bool { return status(h, "A-2") == "UP" })

	before := b.Dial().Must("INFO", "clients").Text
	event("the region is killed", func() {
		a.Redis.Kill()
		a.Proxies[0].Kill()
		a.Proxies[1].Kill()
	})
	if s := stat(h, "B-1")["scur"]; s != strconv.Itoa(len(c.done)) {
		t.Errorf("region B has %s clients of %d (before: %s)", s, len(c.done), before)
	}
	event("the region comes back", func() {
		a.Redis.Restart()
		a.Proxies[0].Restart()
		a.Proxies[1].Restart()
		eventually(t, "clients are home again", func() bool {
			return stat(h, "B-1")["scur"] == "0" && status(h, "A-1") == "UP" && status(h, "A-2") == "UP"
		})
	})
	event("its Redis is killed", func() { a.Redis.Kill() })
	event("its Redis comes back", func() {
		a.Redis.Restart()
		eventually(t, "clients are home again", func() bool { return stat(h, "B-1")["scur"] == "0" })
	})

	c.end()
	cluster.Converge()
	total := int64(0)
	for i := range c.done {
		key := fmt.Sprintf("client:%d", i)
		here, there := a.Dial().Must("GET", key).Text, b.Dial().Must("GET", key).Text
		n, _ := strconv.ParseInt(here, 10, 64)
		if here != there || n < c.done[i].Load() {
			t.Errorf("%s: A has %s, B has %s, %d were acknowledged", key, here, there, c.done[i].Load())
		}
		total += n
	}
	t.Logf("%d commands acknowledged, %d failed, %d of those had been carried out; connections broken: %d, %v",
		c.acknowledged(), c.failed.Load(), total-c.acknowledged(), c.broken.Load(), c.why)
}
