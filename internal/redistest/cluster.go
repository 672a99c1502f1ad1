package redistest

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// Region is one redis-server and the proxies in front of it.
type Region struct {
	Name    string
	ID      int
	Redis   *Server
	Proxies []*Proxy

	control *Conn // for CRDT commands; dialled when needed, so that a killed proxy does not poison it
	t       testing.TB
}

// Proxy is the first proxy, the one most tests talk to.
func (r *Region) Proxy() *Proxy { return r.Proxies[0] }

// Dial is a new plain connection to the region's first proxy.
func (r *Region) Dial() *Conn {
	r.t.Helper()
	return r.Proxy().Dial()
}

// Cluster is several regions that replicate to each other.
type Cluster struct {
	Regions []*Region
	t       testing.TB
	cut     map[[2]string]bool // pairs of names, smaller first, that a Partition separates
}

// ClusterOption changes how a cluster is started.
type ClusterOption func(*clusterSettings)

type clusterSettings struct {
	race    bool
	proxies int
	redis   []Option
	flags   []string
	clocks  []time.Duration
}

// WithRace runs a binary built with the race detector.
func WithRace() ClusterOption { return func(s *clusterSettings) { s.race = true } }

// WithProxies runs n proxies in front of every region's Redis; the default is 1.
func WithProxies(n int) ClusterOption { return func(s *clusterSettings) { s.proxies = n } }

// WithRedis passes options to every region's redis-server.
func WithRedis(opts ...Option) ClusterOption {
	return func(s *clusterSettings) { s.redis = append(s.redis, opts...) }
}

// WithFlags adds arguments to every `anabranch serve`.
func WithFlags(flags ...string) ClusterOption {
	return func(s *clusterSettings) { s.flags = append(s.flags, flags...) }
}

// StartCluster starts n regions named A, B, C, … with ids 1, 2, 3, … and waits until every proxy serves.
func StartCluster(t testing.TB, n int, opts ...ClusterOption) *Cluster {
	t.Helper()
	set := clusterSettings{proxies: 1}
	for _, opt := range opts {
		opt(&set)
	}
	binary := Binary(t, set.race)
	c := &Cluster{t: t, cut: map[[2]string]bool{}}
	for i := range n {
		region := &Region{Name: string(rune('A' + i)), ID: i + 1, Redis: Start(t, append(set.clockOf(t, i, n), set.redis...)...), t: t}
		for k := range set.proxies {
			region.Proxies = append(region.Proxies, &Proxy{
				Addr: FreeAddr(t), PeerAddr: FreeAddr(t), AdminAddr: FreeAddr(t),
				t: t, name: fmt.Sprintf("%s%d", region.Name, k+1), binary: binary, dir: t.TempDir(),
			})
		}
		c.Regions = append(c.Regions, region)
	}
	for _, region := range c.Regions {
		for _, proxy := range region.Proxies {
			proxy.args = append(c.serveArgs(region, proxy), set.flags...)
			t.Cleanup(proxy.cleanup)
			proxy.Launch()
		}
	}
	for _, region := range c.Regions {
		for _, proxy := range region.Proxies {
			proxy.AwaitReady()
		}
	}
	return c
}

// Region is the region with that name.
func (c *Cluster) Region(name string) *Region {
	c.t.Helper()
	for _, region := range c.Regions {
		if region.Name == name {
			return region
		}
	}
	c.t.Fatalf("redistest: no region %q", name)
	return nil
}

func (c *Cluster) serveArgs(region *Region, proxy *Proxy) []string {
	args := []string{
		"serve",
		"--region", region.Name,
		"--region-id", strconv.Itoa(region.ID),
		"--listen", proxy.Addr,
		"--redis", region.Redis.URL(),
		"--peer-listen", proxy.PeerAddr,
		"--admin-listen", proxy.AdminAddr,
	}
	for _, other := range c.Regions {
		if other == region {
			continue
		}
		for _, peer := range other.Proxies {
			args = append(args, "--peer", other.Name+"="+peer.PeerAddr)
		}
	}
	return args
}

// Close kills all processes of the cluster before the test ends; a closed cluster is of no more use.
func (c *Cluster) Close() {
	for _, region := range c.Regions {
		for _, proxy := range region.Proxies {
			proxy.Kill()
		}
		region.Redis.Kill()
	}
}
