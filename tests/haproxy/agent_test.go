package haproxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// The agent and /readyz say the same: ready, down without Redis, drain at the end, and drain while a region merges everything.
func TestTheAgentSaysWhatTheProxyIs(t *testing.T) {
	cluster := redistest.StartCluster(t, 2, redistest.WithAgents(), redistest.WithRelays(),
		redistest.WithFlags("--drain-time", "2s", "--backlog-size", "1mb", "--backlog-time", "1s"))
	a, b := cluster.Region("A"), cluster.Region("B")
	says := func(region *redistest.Region, code int, words string) {
		t.Helper()
		var last string
		eventually(t, fmt.Sprintf("the agent of %s says %q, and /readyz answers %d", region.Name, words, code), func() bool {
			last = agent(region.Proxy().AgentAddr)
			return strings.HasPrefix(strings.TrimPrefix(last, "ready "), words) && (code == 0 || readyz(t, region.Proxy()) == code)
		})
	}
	says(a, http.StatusOK, "up 100%")
	b.Redis.Kill()
	says(b, http.StatusServiceUnavailable, "down #Redis is not ready")
	says(a, http.StatusOK, "up 1") // a dead region does not disturb the others

	// B comes back empty when the log has lost its beginning, and takes everything over a slow link.
	load := a.Proxy().Client().Pipeline()
	for i := range 4000 {
		load.Set(t.Context(), fmt.Sprintf("key:%d", i), strings.Repeat(fmt.Sprint(i), 500), 0)
	}
	if _, err := load.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := a.Redis.Client()
	eventually(t, "the log has lost its beginning", func() bool { return log.XLen(t.Context(), "crdt:log").Val() < 100 })
	for _, relay := range cluster.Relays("B", "A") {
		relay.Set(redistest.Trouble{BytesPerSecond: 10_000})
	}
	b.Redis.Restart()
	says(b, http.StatusOK, "up drain #this region")
	for _, relay := range cluster.Relays("B", "A") {
		relay.Set(redistest.Trouble{})
	}
	says(b, http.StatusOK, "up 1")
	cluster.Converge()

	stopped := make(chan struct{})
	go func() { // ends when the proxy has drained
		defer close(stopped)
		a.Proxy().Stop()
	}()
	says(a, http.StatusNotFound, "up drain #is stopping")
	conn, err := redistest.TryDial(t, a.Proxy().Addr)
	if err != nil {
		t.Fatalf("a proxy that drains takes no connection: %v", err)
	}
	if reply := conn.Do("GET", "key:1"); reply.IsError() {
		t.Errorf("a proxy that drains answers %s", reply)
	}
	<-stopped
}

func readyz(t *testing.T, proxy *redistest.Proxy) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + proxy.AdminAddr + "/readyz")
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}
