package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"anabranch/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is how long something that happens by itself may take.
const limit = 90 * time.Second

func eventually(t *testing.T, what string, done func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !done() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

func port(addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err) // an address of our own
	}
	return port
}

// serverFlag is a proxy as haproxy-config takes it.
func serverFlag(region *redistest.Region, proxy *redistest.Proxy) string {
	return fmt.Sprintf("%s=%s,admin=%s,agent=%s", region.Name, proxy.Addr, port(proxy.AdminAddr), port(proxy.AgentAddr))
}

// configure runs `anabranch haproxy-config`.
func configure(t *testing.T, h *redistest.HAProxy, listen string, args ...string) string {
	t.Helper()
	args = append([]string{"haproxy-config", "--listen", listen, "--stats", redistest.FreeAddr(t), "--socket", h.Socket}, args...)
	cmd := exec.CommandContext(t.Context(), redistest.Binary(t, false), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("anabranch %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// stat is one server's row of HAProxy's statistics, by column.
func stat(h *redistest.HAProxy, server string) map[string]string {
	row := map[string]string{}
	var columns []string
	for line := range strings.Lines(h.Ask("show stat redis 4 -1")) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if heading, is := strings.CutPrefix(fields[0], "# "); is {
			columns = append([]string{heading}, fields[1:]...)
			continue
		}
		if len(fields) > 1 && fields[1] == server {
			for i, column := range columns {
				row[column] = fields[i]
			}
		}
	}
	return row
}

// status is like UP, DOWN, DRAIN, MAINT or NOLB.
func status(h *redistest.HAProxy, server string) string {
	word, _, _ := strings.Cut(stat(h, server)["status"], " ")
	return word
}

// clients write through HAProxy without end, each over one connection, and connect again when it breaks.
type clients struct {
	addr    string
	stop    chan struct{}
	running sync.WaitGroup

	done   []atomic.Int64 // INCRs of each client that were acknowledged
	failed atomic.Int64   // commands without an answer, or with an error
	broken atomic.Int64   // connections that ended, or were refused

	mu   sync.Mutex
	last []time.Time // when each client last succeeded
	why  map[string]int
}

func startClients(t *testing.T, addr string, n int) *clients {
	c := &clients{addr: addr, stop: make(chan struct{}), done: make([]atomic.Int64, n), last: make([]time.Time, n), why: map[string]int{}}
	for i := range n {
		c.running.Go(func() { c.run(i) }) // ends with stop
	}
	t.Cleanup(c.end)
	return c
}

func (c *clients) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
}

func (c *clients) run(i int) {
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := c.session(i); err != nil {
			c.broken.Add(1)
			c.mu.Lock()
			c.why[err.Error()]++
			c.mu.Unlock()
			time.Sleep(20 * time.Millisecond)
		}
	}
}

var errReply = errors.New("error reply")

// session is one connection. A command counts as failed when its answer is missing or an error.
func (c *clients) session(i int) error {
	conn, err := net.DialTimeout("tcp", c.addr, 2*time.Second)
	if err != nil {
		c.failed.Add(1)
		return err
	}
	defer conn.Close()
	command := redistest.AppendCommand(nil, "INCR", fmt.Sprintf("client:%d", i))
	answer := make([]byte, 256)
	for {
		select {
		case <-c.stop:
			return nil
		default:
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(command); err != nil {
			c.failed.Add(1)
			return io.ErrClosedPipe
		}
		n, err := conn.Read(answer)
		if err != nil {
			c.failed.Add(1)
			return io.EOF
		}
		if answer[0] != ':' {
			c.failed.Add(1)
			return fmt.Errorf("%w %q", errReply, answer[:min(n, 60)])
		}
		c.done[i].Add(1)
		c.mu.Lock()
		c.last[i] = time.Now()
		c.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
	}
}

// acknowledged is the sum of all clients' INCRs.
func (c *clients) acknowledged() (sum int64) {
	for i := range c.done {
		sum += c.done[i].Load()
	}
	return sum
}

// normal waits until every client has succeeded since, and none has failed for a second. It logs what it has cost.
func (c *clients) normal(t *testing.T, what string, since time.Time, failedBefore int64) {
	t.Helper()
	var good, end time.Time
	seen := c.failed.Load()
	good = time.Now()
	eventually(t, "clients are served after: "+what, func() bool {
		if now := c.failed.Load(); now != seen {
			seen, good = now, time.Now()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, at := range c.last {
			if at.Before(good) || at.Before(since) {
				return false
			}
		}
		end = time.Now()
		return end.Sub(good) > time.Second
	})
	t.Logf("%s: %d commands failed, all clients normal after %.1f s", what, c.failed.Load()-failedBefore, good.Sub(since).Seconds())
}

// agent asks a proxy as HAProxy's agent check does.
func agent(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	line, _ := io.ReadAll(conn) // what came until then
	return strings.TrimSpace(string(line))
}
