package haproxy

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// serverAt is the slot that has an address, or "".
func serverAt(h *redistest.HAProxy, addr string) string {
	for line := range strings.Lines(h.Ask("show servers state redis")) {
		fields := strings.Fields(line)
		if len(fields) > 18 && fields[4]+":"+fields[18] == addr {
			return fields[3]
		}
	}
	return ""
}

// pidLine names the process.
var pidLine = regexp.MustCompile(`(?m)^Pid: (\d+)`)

// Proxies come and go in Consul's catalogue. HAProxy follows without a reload, and clients of a proxy that stays notice nothing.
func TestHAProxyFollowsTheCatalogue(t *testing.T) {
	consul := redistest.StartConsul(t)
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(), redistest.WithProxiesIn("A", 3), redistest.WithAgents(),
		redistest.WithFlags("--consul", consul.URL, "--consul-ttl", "2s", "--drain-time", "2s"))
	a, b := cluster.Region("A"), cluster.Region("B")
	first, second, third := a.Proxies[0], a.Proxies[1], a.Proxies[2]
	second.Stop()
	third.Stop()
	listed := func() int {
		return strings.Count(configure(t, redistest.NewHAProxy(t), ":6379", "--region", "A", "--consul", consul.URL), "\n    server ")
	}
	eventually(t, "Consul knows one proxy of each region", func() bool { return listed() == 2 })

	listen, h := redistest.FreeAddr(t), redistest.NewHAProxy(t)
	config := configure(t, h, listen, "--region", "A", "--consul", consul.URL, "--slots", "3")
	h.Start(config)
	process := pidLine.FindString(h.Ask("show info"))
	sync := redistest.StartCommand(t, "haproxy-sync", "--consul", consul.URL, "--socket", h.Socket, "--interval", "500ms")
	eventually(t, "both are up", func() bool { return status(h, "A-1") == "UP" && status(h, "B-1") == "UP" })

	c := startClients(t, listen, 4)
	eventually(t, "clients are served", func() bool { return c.acknowledged() > 100 })
	quiet := func(what string) {
		t.Helper()
		before := c.acknowledged()
		eventually(t, "clients go on after: "+what, func() bool { return c.acknowledged() > before+100 })
		if n := c.broken.Load(); n > 0 {
			t.Fatalf("%d connections to a healthy proxy were broken after: %s: %v", n, what, c.why)
		}
	}

	second.Restart()
	took := eventually(t, "a proxy that came has a slot and is up", func() bool { s := serverAt(h, second.Addr); return s != "" && status(h, s) == "UP" })
	t.Logf("the second proxy was in HAProxy %v after it served", took)
	quiet("a proxy came")
	more := startClients(t, listen, 4)
	eventually(t, "it gets new clients", func() bool { n, _ := strconv.Atoi(stat(h, serverAt(h, second.Addr))["scur"]); return n > 0 })
	more.end()

	slot := serverAt(h, second.Addr)
	second.Stop()
	eventually(t, "its slot is free when it has gone", func() bool { return serverAt(h, second.Addr) == "" && status(h, slot) == "MAINT" })
	quiet("a proxy went")

	third.Restart()
	eventually(t, "the next one gets it", func() bool { return serverAt(h, third.Addr) == slot && status(h, slot) == "UP" })
	quiet("another one came")

	// An operator's maintenance is nobody else's business, once the agent has ended what it had said in its life before.
	eventually(t, "the agent ends no drain any more", func() bool { return strings.HasPrefix(agent(third.AgentAddr), "up ") })
	h.Ask("set server redis/" + slot + " state maint")
	time.Sleep(1500 * time.Millisecond)
	if s := status(h, slot); s != "MAINT" {
		t.Errorf("an operator's maintenance became %s", s)
	}
	h.Ask("set server redis/" + slot + " state ready")

	// Consul is dead, and empty when it comes back. HAProxy keeps what it has.
	consul.Kill()
	time.Sleep(1500 * time.Millisecond)
	consul.Forget()
	consul.Restart()
	eventually(t, "all are registered again", func() bool { return listed() == 3 })
	time.Sleep(1500 * time.Millisecond)
	if serverAt(h, first.Addr) != "A-1" || serverAt(h, third.Addr) != slot || serverAt(h, b.Proxy().Addr) != "B-1" {
		t.Errorf("after Consul was emptied: %s", h.Ask("show servers state redis"))
	}
	quiet("Consul was dead, and emptied")
	if now := pidLine.FindString(h.Ask("show info")); now != process {
		t.Errorf("HAProxy was another process: %s, now %s", process, now)
	}
	c.end()

	// A HAProxy that was started anew has forgotten what it was told.
	h.Start(config)
	eventually(t, "it is told again", func() bool { s := serverAt(h, third.Addr); return s != "" && status(h, s) == "UP" })
	sync.Stop()
	if log := sync.Log(); strings.Contains(log, "answers") {
		t.Errorf("HAProxy did not do what it was told:\n%s", log)
	}
}
