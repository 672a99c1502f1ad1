package registry

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/rs/zerolog"
)

// The meta data of a service.
const (
	metaRegion   = "region"
	metaRegionID = "region-id"
	metaVersion  = "version"
	metaRole     = "role"
	metaRunID    = "run-id"
	metaAdmin    = "admin-port"
	metaAgent    = "agent-port"
)

// DefaultService is the name of the service for clients; that of peers is called NAME-peer.
const DefaultService = "anabranch"

func peerService(service string) string { return service + "-peer" }

// Source says where proxies are looked for. Without datacentres and queries it is the agent's own datacentre.
type Source struct {
	Service     string   // default DefaultService
	Datacentres []string // each is followed by itself; those that do not answer keep what they said last
	// Queries are names of prepared queries, executed in the agent's datacentre. Consul cannot tell when their results change, so
	// they are asked every QueryInterval.
	Queries       []string
	QueryInterval time.Duration // default 10 s
}

// Proxy is one that is registered.
type Proxy struct {
	Region    string
	Addr      string // HOST:PORT
	AdminPort int    // 0: out of reach from other machines
	AgentPort int    // 0: none
	Passing   bool   // all its checks pass
}

// Catalogue follows a service of Consul.
type Catalogue struct {
	source    Source
	service   string
	client    *api.Client
	transport *http.Transport
	said      *said

	mu    sync.Mutex // guards found
	found map[string][]Proxy
}

// NewCatalogue follows the service for clients. It asks nothing yet.
func NewCatalogue(access Access, source Source, log zerolog.Logger) (*Catalogue, error) {
	client, transport, err := access.client()
	if err != nil {
		return nil, err
	}
	source = source.withDefaults()
	return newCatalogue(client, transport, source, source.Service, newSaid(log)), nil
}

func newCatalogue(client *api.Client, transport *http.Transport, source Source, service string, said *said) *Catalogue {
	return &Catalogue{source: source, service: service, client: client, transport: transport, said: said, found: map[string][]Proxy{}}
}

func (s Source) withDefaults() Source {
	if s.Service == "" {
		s.Service = DefaultService
	}
	if len(s.Datacentres) == 0 && len(s.Queries) == 0 {
		s.Datacentres = []string{""}
	}
	if s.QueryInterval == 0 {
		s.QueryInterval = 10 * time.Second
	}
	return s
}

// Follow tells all proxies, in a steady order, at the beginning and whenever they change, until ctx ends. Proxies of a datacentre or
// query that does not answer are those of its last answer.
func (c *Catalogue) Follow(ctx context.Context, tell func([]Proxy)) {
	defer c.transport.CloseIdleConnections()
	var sources sync.WaitGroup // each ends with ctx
	for _, datacentre := range c.source.Datacentres {
		sources.Go(func() { c.followDatacentre(ctx, datacentre, tell) })
	}
	for _, name := range c.source.Queries {
		sources.Go(func() { c.repeatQuery(ctx, name, tell) })
	}
	sources.Wait()
}

// List asks all datacentres and queries once.
func (c *Catalogue) List(ctx context.Context) ([]Proxy, error) {
	defer c.transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	var failed []error
	keep := func(source string, entries []*api.ServiceEntry, err error) {
		if err != nil {
			failed = append(failed, errors.New(source+": "+plain(err)))
			return
		}
		c.found[source] = proxiesOf(entries)
	}
	for _, datacentre := range c.source.Datacentres {
		entries, _, err := c.client.Health().Service(c.service, "", false, (&api.QueryOptions{Datacenter: datacentre}).WithContext(ctx))
		keep(sourceName(datacentre), entries, err)
	}
	for _, name := range c.source.Queries {
		entries, err := c.query(ctx, name)
		keep("query "+name, entries, err)
	}
	return c.all(), errors.Join(failed...)
}

func sourceName(datacentre string) string {
	if datacentre == "" {
		return "the agent's datacentre"
	}
	return "datacentre " + datacentre
}

func (c *Catalogue) followDatacentre(ctx context.Context, datacentre string, tell func([]Proxy)) {
	source := sourceName(datacentre)
	follow(ctx, c.said, "proxies of "+source, func(_ context.Context, options *api.QueryOptions) (*api.QueryMeta, error) {
		options.Datacenter = datacentre
		entries, meta, err := c.client.Health().Service(c.service, "", false, options)
		if err == nil {
			c.learn(source, entries, tell)
		}
		return meta, err
	})
}

func (c *Catalogue) repeatQuery(ctx context.Context, name string, tell func([]Proxy)) {
	for retry := newRetry(); ctx.Err() == nil; {
		asking, cancel := context.WithTimeout(ctx, requestLimit)
		entries, err := c.query(asking, name)
		cancel()
		if ctx.Err() != nil {
			return
		}
		c.said.note("prepared query "+name, err)
		if err != nil {
			pause(ctx, retry.NextBackOff())
			continue
		}
		retry.Reset()
		c.learn("query "+name, entries, tell)
		pause(ctx, c.source.QueryInterval)
	}
}

func (c *Catalogue) query(ctx context.Context, name string) ([]*api.ServiceEntry, error) {
	reply, _, err := c.client.PreparedQuery().Execute(name, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	var entries []*api.ServiceEntry
	for i := range reply.Nodes {
		entries = append(entries, &reply.Nodes[i])
	}
	return entries, nil
}

// learn takes what one source says now.
func (c *Catalogue) learn(source string, entries []*api.ServiceEntry, tell func([]Proxy)) {
	proxies := proxiesOf(entries)
	c.mu.Lock()
	defer c.mu.Unlock() // also while telling, so that the last one told is the newest
	before, known := c.found[source]
	c.found[source] = proxies
	if !known || !slices.Equal(before, proxies) {
		tell(c.all())
	}
}

// all joins what the sources say: what is in two of them counts once.
func (c *Catalogue) all() (list []Proxy) {
	known := map[string]bool{}
	for _, source := range slices.Sorted(maps.Keys(c.found)) {
		for _, proxy := range c.found[source] {
			if !known[proxy.Region+" "+proxy.Addr] {
				known[proxy.Region+" "+proxy.Addr] = true
				list = append(list, proxy)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Proxy) int { return strings.Compare(a.Region+" "+a.Addr, b.Region+" "+b.Addr) })
	return list
}

// proxiesOf reads what has the meta data of ours; another service may have the same name.
func proxiesOf(entries []*api.ServiceEntry) (list []Proxy) {
	for _, entry := range entries {
		if entry.Service == nil || entry.Node == nil || entry.Service.Meta[metaRegion] == "" {
			continue
		}
		host := entry.Service.Address
		if host == "" {
			host = entry.Node.Address
		}
		list = append(list, Proxy{
			Region:    entry.Service.Meta[metaRegion],
			Addr:      net.JoinHostPort(host, strconv.Itoa(entry.Service.Port)),
			AdminPort: portOf(entry.Service.Meta[metaAdmin]),
			AgentPort: portOf(entry.Service.Meta[metaAgent]),
			Passing:   entry.Checks.AggregatedStatus() == api.HealthPassing,
		})
	}
	slices.SortFunc(list, func(a, b Proxy) int { return strings.Compare(a.Region+" "+a.Addr, b.Region+" "+b.Addr) })
	return list
}

func portOf(text string) int {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	return port
}

// passingByRegion lists the addresses of proxies that are well.
func passingByRegion(proxies []Proxy) map[string][]string {
	regions := map[string][]string{}
	for _, proxy := range proxies {
		if proxy.Passing {
			regions[proxy.Region] = append(regions[proxy.Region], proxy.Addr)
		}
	}
	return regions
}
