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
	Replica *Server // of Redis, with WithReplicas
	Proxies []*Proxy
	Guarded *Guarded // with WithGuard: Redis is the first of its servers, whether it is the primary or not

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
	relays  map[[2]string][]*Relay // by puller and server, with WithRelays
	cut     map[[2]string]bool     // pairs of names, smaller first, that a Partition separates
}

// ClusterOption changes how a cluster is started.
type ClusterOption func(*clusterSettings)

type clusterSettings struct {
	race     bool
	proxies  int
	more     map[string]int // proxies of single regions
	replicas bool
	guards   map[string]Guard // by region
	relays   bool
	redis    []Option
	flags    []string
	flagsOf  []func(region string) []string
	noPeers  bool
	agents   bool
	clocks   []time.Duration
}

// WithRace runs a binary built with the race detector.
func WithRace() ClusterOption { return func(s *clusterSettings) { s.race = true } }

// WithProxies runs n proxies in front of every region's Redis; the default is 1.
func WithProxies(n int) ClusterOption { return func(s *clusterSettings) { s.proxies = n } }

// WithProxiesIn runs n proxies in front of one region's Redis.
func WithProxiesIn(region string, n int) ClusterOption {
	return func(s *clusterSettings) { s.more[region] = n }
}

// WithReplicas gives every region's Redis a replica, with the same options.
func WithReplicas() ClusterOption { return func(s *clusterSettings) { s.replicas = true } }

// WithGuard gives a region replicas and Sentinels.
func WithGuard(region string, how Guard) ClusterOption {
	return func(s *clusterSettings) { s.guards[region] = how }
}

// WithRelays puts a relay into every peer link, see Relays.
func WithRelays() ClusterOption { return func(s *clusterSettings) { s.relays = true } }

// WithRedis passes options to every region's redis-server.
func WithRedis(opts ...Option) ClusterOption {
	return func(s *clusterSettings) { s.redis = append(s.redis, opts...) }
}

// WithFlags adds arguments to every `anabranch serve`.
func WithFlags(flags ...string) ClusterOption {
	return func(s *clusterSettings) { s.flags = append(s.flags, flags...) }
}

// WithFlagsOf adds arguments that are different in each region.
func WithFlagsOf(flags func(region string) []string) ClusterOption {
	return func(s *clusterSettings) { s.flagsOf = append(s.flagsOf, flags) }
}

// WithFlagsIn adds arguments to every `anabranch serve` of one region.
func WithFlagsIn(region string, flags ...string) ClusterOption {
	return WithFlagsOf(func(name string) []string {
		if name != region {
			return nil
		}
		return flags
	})
}

// WithoutPeers tells no proxy where the other regions are.
func WithoutPeers() ClusterOption { return func(s *clusterSettings) { s.noPeers = true } }

// WithAgents has every proxy answer HAProxy's agent checks.
func WithAgents() ClusterOption { return func(s *clusterSettings) { s.agents = true } }

// StartCluster starts n regions named A, B, C, … with ids 1, 2, 3, … and waits until every proxy serves.
func StartCluster(t testing.TB, n int, opts ...ClusterOption) *Cluster {
	t.Helper()
	set := clusterSettings{proxies: 1, more: map[string]int{}, guards: map[string]Guard{}}
	for _, opt := range opts {
		opt(&set)
	}
	binary := Binary(t, set.race)
	c := &Cluster{t: t, cut: map[[2]string]bool{}, relays: map[[2]string][]*Relay{}}
	for i := range n {
		region := &Region{Name: string(rune('A' + i)), ID: i + 1, t: t}
		if how, guarded := set.guards[region.Name]; guarded {
			region.Guarded = StartGuarded(t, how)
			region.Redis = region.Guarded.Servers[0]
		} else {
			region.Redis = Start(t, append(set.clockOf(t, i, n), set.redis...)...)
		}
		if set.replicas {
			region.Replica = StartReplica(t, region.Redis, set.redis...)
		}
		for k := range max(set.proxies, set.more[region.Name]) {
			region.Proxies = append(region.Proxies, &Proxy{
				Addr: FreeAddr(t), PeerAddr: FreeAddr(t), AdminAddr: FreeAddr(t),
				t: t, name: fmt.Sprintf("%s%d", region.Name, k+1), binary: binary, dir: t.TempDir(),
			})
		}
		if region.Guarded != nil {
			region.Guarded.Proxies = region.Proxies
		}
		c.Regions = append(c.Regions, region)
	}
	if set.relays {
		c.startRelays()
	}
	for _, region := range c.Regions {
		for _, proxy := range region.Proxies {
			proxy.args = append(c.serveArgs(region, proxy, set.noPeers), set.flags...)
			for _, flags := range set.flagsOf {
				proxy.args = append(proxy.args, flags(region.Name)...)
			}
			if set.agents {
				proxy.AgentAddr = FreeAddr(t)
				proxy.AddFlags("--agent-listen", proxy.AgentAddr)
			}
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

func (c *Cluster) serveArgs(region *Region, proxy *Proxy, alone bool) []string {
	args := []string{
		"serve",
		"--region", region.Name,
		"--region-id", strconv.Itoa(region.ID),
		"--listen", proxy.Addr,
		"--redis", region.redisURL(),
		"--peer-listen", proxy.PeerAddr,
		"--admin-listen", proxy.AdminAddr,
	}
	for _, other := range c.Regions {
		if other == region || alone {
			continue
		}
		for i, peer := range other.Proxies {
			addr := peer.PeerAddr
			if relays := c.Relays(region.Name, other.Name); relays != nil {
				addr = relays[i].Addr
			}
			args = append(args, "--peer", other.Name+"="+addr)
		}
	}
	return args
}

func (r *Region) redisURL() string {
	if r.Guarded != nil {
		return r.Guarded.URL()
	}
	return r.Redis.URL()
}

// Relays is what the link on which region puller pulls from region server goes through: one relay for each proxy of
// server.
func (c *Cluster) Relays(puller, server string) []*Relay { return c.relays[[2]string{puller, server}] }

func (c *Cluster) startRelays() {
	for _, puller := range c.Regions {
		for _, server := range c.Regions {
			if server == puller {
				continue
			}
			link := [2]string{puller.Name, server.Name}
			for _, proxy := range server.Proxies {
				c.relays[link] = append(c.relays[link], StartRelay(c.t, proxy.PeerAddr))
			}
		}
	}
}

// Close kills all processes of the cluster before the test ends; a closed cluster is of no more use.
func (c *Cluster) Close() {
	for _, region := range c.Regions {
		for _, proxy := range region.Proxies {
			proxy.Kill()
		}
		region.Redis.Kill()
		if region.Guarded != nil {
			region.Guarded.Close()
		}
		if region.Replica != nil {
			region.Replica.Kill()
		}
	}
}
