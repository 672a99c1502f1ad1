package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
	"anabranch/internal/status"
)

func TestReadyzFollowsTheLag(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A"), cluster.Region("B")
	admin := "http://" + a.Proxy().AdminAddr
	eventually(t, "a region that has everything is ready", func() bool {
		code, body := get(t, admin+"/readyz?max_lag=0")
		return code == http.StatusOK && body == "ok\n"
	})
	a.CRDT("PAUSE", "B")
	b.Dial().Must("SET", "k", "v")
	eventually(t, "one that lacks something is not", func() bool {
		code, body := get(t, admin+"/readyz?max_lag=100")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "behind region 'B'")
	})
	if code, body := get(t, admin+"/readyz?max_lag=1h"); code != http.StatusOK {
		t.Errorf("within the limit: %d %s", code, body)
	}
	if code, body := get(t, admin+"/readyz"); code != http.StatusOK {
		t.Errorf("without a limit: %d %s", code, body)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/readyz?max_lag=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "application/json")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Ready   bool
		Reasons []string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Ready || len(answer.Reasons) != 1 || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("as JSON: %s, %+v, %v", response.Status, answer, err)
	}
	a.CRDT("RESUME", "B")
	eventually(t, "it is ready again", func() bool {
		code, _ := get(t, admin+"/readyz?max_lag=100ms")
		return code == http.StatusOK
	})
	for _, value := range []string{"", "x", "-1", "-1s", "1,2", "99999999999999999999", "1&max_lag=2"} {
		if code, body := get(t, admin+"/readyz?max_lag="+value); code != http.StatusBadRequest || !strings.Contains(body, "max_lag") {
			t.Errorf("%q: %d %s", value, code, body)
		}
	}

	// A dead region must not take the others out of service.
	b.Proxy().Kill()
	eventually(t, "the link is lost", func() bool {
		_, body := get(t, admin+"/status")
		return strings.Contains(body, `"state": "probe"`)
	})
	if code, body := get(t, admin+"/readyz?max_lag=100"); code != http.StatusOK {
		t.Errorf("beside a dead region: %d %s", code, body)
	}
	addr := a.Proxy().AdminAddr
	if code, _, _ := call(t, "status", "--admin", addr); code != exitFailure {
		t.Errorf("anabranch status beside a dead region: %d", code)
	}
	if code, stdout, stderr := call(t, "status", "--ready", "--admin", addr); code != exitOK || stdout != "ok\n" {
		t.Errorf("anabranch status --ready beside a dead region: %d %q %q", code, stdout, stderr)
	}
	a.Redis.Kill()
	eventually(t, "the health check of a container fails without Redis", func() bool {
		code, stdout, _ := call(t, "status", "--ready", "--admin", addr)
		return code == exitFailure && stdout != "" && stdout != "ok\n"
	})
	a.Proxy().Kill()
	if code, _, stderr := call(t, "status", "--ready", "--admin", addr); code != exitFailure || stderr == "" {
		t.Errorf("without a proxy: %d %q", code, stderr)
	}
	if code, _, stderr := call(t, "status", "--ready", "--redis", addr); code != exitUsage || !strings.Contains(stderr, "--ready: ") {
		t.Errorf("--ready --redis: %d %q", code, stderr)
	}
}

func TestStatusTellsOfThisProxyAndItsRegion(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a := cluster.Region("A")
	conn := a.Dial()
	conn.Must("SET", "k", "v")
	conn.Must("GET", "k")
	cluster.Converge()
	var d status.Document
	eventually(t, "everything is known", func() bool {
		_, body := get(t, "http://"+a.Proxy().AdminAddr+"/status")
		d = status.Document{}
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		return d.Keys.Total == 1 && d.Keys.Companions == 1 && d.Memory.UsedBytes > 0
	})
	if d.Version != version || d.Region != "A" || !d.Ready || !d.Leads || d.Leader != d.RunID || d.Epoch != 1 || d.StartedAt.IsZero() || len(d.Alerts) > 0 {
		t.Errorf("got %+v", d)
	}
	if d.Commands["read"].OK == 0 || d.Commands["write"].OK == 0 || d.Clients.Connected == 0 || d.Clients.Limit != 10000 || d.Log.LimitBytes != 256<<20 {
		t.Errorf("got %+v %+v %+v", d.Commands, d.Clients, d.Log)
	}
	if len(d.Peers) != 1 || d.Peers[0].State != "stream" || d.Peers[0].HeardAt == nil || d.Peers[0].Connects == 0 || d.Peers[0].UnackedEffects != 0 {
		t.Errorf("got %+v", d.Peers)
	}
}

func TestAdminPortOnlyTells(t *testing.T) {
	region := redistest.StartCluster(t, 1).Region("A")
	admin := "http://" + region.Proxy().AdminAddr
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/", "/livez", "/readyz", "/status", "/metrics", "/dashboard/data"} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, "X"} {
			request, err := http.NewRequestWithContext(t.Context(), method, admin+path, strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, response.Status)
			}
		}
		if code, _ := get(t, admin+path); code != http.StatusOK {
			t.Errorf("GET %s: %d", path, code)
		}
	}
	for _, path := range []string{"/nothing", "/debug/pprof/", "/dashboard/../../etc/passwd"} {
		if code, _ := get(t, admin+path); code != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, code)
		}
	}
	for _, nonsense := range []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/9.9\r\n\r\n", "*1\r\n$4\r\nPING\r\n", strings.Repeat("A", 1<<20),
		"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
		"GET /readyz?max_lag=%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /status HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", region.Proxy().AdminAddr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, nonsense)
		_, _ = io.CopyN(io.Discard, conn, 16) // an error, or the end
		conn.Close()
	}
	if code, _ := get(t, admin+"/livez"); code != http.StatusOK {
		t.Errorf("after nonsense: %d", code)
	}
}

func TestHealthChecksGetThroughWhateverIsHeldOpen(t *testing.T) {
	region := redistest.StartCluster(t, 1).Region("A")
	for i := range 3 * maxAdminConns {
		conn, err := net.Dial("tcp", region.Proxy().AdminAddr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n") // then idle
		} else {
			fmt.Fprint(conn, "GET /livez HTTP/1.1\r\n") // never more
		}
	}
	for range 5 {
		if code, _ := get(t, "http://"+region.Proxy().AdminAddr+"/livez"); code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
}

func TestAdminConnsCloseWhoHasAskedNothingForLongest(t *testing.T) {
	conns := newAdminConns(2)
	pipe := func() net.Conn {
		one, other := net.Pipe()
		t.Cleanup(func() { one.Close(); other.Close() })
		return one
	}
	closed := func(conn net.Conn) bool { return conn.SetDeadline(time.Now()) != nil }
	busy, idle, next, last := pipe(), pipe(), pipe(), pipe()
	conns.changed(busy, http.StateNew)
	conns.changed(busy, http.StateActive)
	conns.changed(idle, http.StateNew)
	conns.changed(idle, http.StateActive)
	conns.changed(idle, http.StateIdle)
	conns.changed(next, http.StateNew)
	if !closed(idle) || closed(busy) || closed(next) {
		t.Errorf("idle %v, busy %v, next %v", closed(idle), closed(busy), closed(next))
	}
	conns.changed(idle, http.StateClosed)
	conns.changed(next, http.StateActive)
	conns.changed(last, http.StateNew)
	if !closed(last) || closed(busy) || closed(next) {
		t.Error("who is being answered was closed for somebody who comes")
	}
	conns.changed(busy, http.StateClosed)
	conns.changed(next, http.StateClosed)
	if len(conns.quiet) != 0 {
		t.Errorf("%d connections are not forgotten", len(conns.quiet))
	}
}

func TestAtMostTellsOthersToComeAgain(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	handler := atMost(1, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-leave
	}))
	go handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)) // ends with leave
	<-inside
	second := httptest.NewRecorder()
	handler.ServeHTTP(second, httptest.NewRequest("GET", "/", nil))
	if second.Code != http.StatusServiceUnavailable || second.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v", second.Code, second.Header())
	}
	close(leave)
}
