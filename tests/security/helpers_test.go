package security

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// soon is for what takes little time on a machine that is not busy.
const soon = 40 * time.Second

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", soon, what)
		}
	}
}

// says waits until a proxy has logged something.
func says(t *testing.T, p *redistest.Proxy, words ...string) {
	t.Helper()
	eventually(t, "a log with "+strings.Join(words, " … "), func() bool {
		for line := range strings.Lines(p.Log()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// hup has a proxy look at its files.
func hup(t *testing.T, p *redistest.Proxy) {
	t.Helper()
	if err := syscall.Kill(p.PID(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// streams waits until each region pulls from each other one.
func streams(t *testing.T, c *redistest.Cluster) {
	t.Helper()
	for _, region := range c.Regions {
		eventually(t, "links of "+region.Name, func() bool {
			up := 0
			for _, row := range region.CRDT("PEERS").Items {
				if text := row.String(); strings.Contains(text, `"stream"`) {
					up++
				}
			}
			return up == len(c.Regions)-1
		})
	}
}

// replicate writes in each region and waits until all have it.
func replicate(t *testing.T, c *redistest.Cluster, key string) {
	t.Helper()
	for _, region := range c.Regions {
		region.Dial().Must("SADD", key, region.Name)
	}
	for _, region := range c.Regions {
		conn := region.Dial()
		eventually(t, "all has arrived in "+region.Name, func() bool { return conn.Must("SCARD", key).Int() == int64(len(c.Regions)) })
	}
}

// farHost is an address of this machine that is none of loopback.
func farHost(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Fatal("this machine has no address besides loopback, and the test needs one")
	return ""
}

// moveAway has all regions listen for each other on an address that is not loopback, from their next start on.
func moveAway(t *testing.T, c *redistest.Cluster) {
	t.Helper()
	host := farHost(t)
	far := func(p *redistest.Proxy) string {
		_, port, _ := net.SplitHostPort(p.PeerAddr)
		return net.JoinHostPort(host, port)
	}
	for _, region := range c.Regions {
		region.Proxy().AddFlags("--peer-listen=" + far(region.Proxy()))
		for _, other := range c.Regions {
			if other != region {
				region.Proxy().AddFlags("--peer=" + other.Name + "=" + far(other.Proxy()))
			}
		}
	}
}
