package trap

import (
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// trapped is a cluster with one plain connection per region.
type trapped struct {
	*redistest.Cluster
	t       *testing.T
	a, b, c *redistest.Conn // c only with three regions
}

func start(t *testing.T, regions int, opts ...redistest.ClusterOption) *trapped {
	t.Helper()
	redistest.Slow(t)
	p := &trapped{t: t, Cluster: redistest.StartCluster(t, regions, opts...)}
	p.dial()
	return p
}

// dial connects anew, after processes were restarted.
func (p *trapped) dial() {
	p.t.Helper()
	p.a = p.Regions[0].Dial()
	if len(p.Regions) > 1 {
		p.b = p.Regions[1].Dial()
	}
	if len(p.Regions) > 2 {
		p.c = p.Regions[2].Dial()
	}
}

// do sends a command given as one line of words.
func do(c *redistest.Conn, command string) redistest.Reply { return c.Must(strings.Fields(command)...) }

// want asserts one reply, printed as Reply.String does.
func want(t *testing.T, c *redistest.Conn, command, reply string) {
	t.Helper()
	if got := c.Do(strings.Fields(command)...).String(); got != reply {
		t.Errorf("%s answers %s, want %s", command, got, reply)
	}
}

// wantSoon asserts a reply that needs time to come true.
func wantSoon(t *testing.T, c *redistest.Conn, command, reply string, limit time.Duration) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = c.Do(strings.Fields(command)...).String(); got == reply {
			return
		}
	}
	t.Errorf("%s still answers %s after %v, want %s", command, got, limit, reply)
}

// everywhere asserts the same reply in all regions.
func (p *trapped) everywhere(command, reply string) {
	p.t.Helper()
	for _, c := range []*redistest.Conn{p.a, p.b, p.c} {
		if c != nil {
			want(p.t, c, command, reply)
		}
	}
}
