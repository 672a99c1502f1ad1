package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/rs/zerolog"
)

// Endpoint is an address that others connect to.
type Endpoint struct {
	Host string // empty: that of the Consul agent's node
	Port int
}

func (e Endpoint) String() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// Config says what is registered, and what is looked for.
type Config struct {
	Access Access
	Source Source // where the other regions' proxies are; its Service is also what ours is called
	// MembersDatacentre is the datacentre whose KV store holds the membership, since a KV store belongs to one; empty: the agent's.
	MembersDatacentre string

	Region   string
	RegionID int
	RunID    string
	Version  string
	Client   Endpoint // for clients
	Peer     Endpoint // for other regions
	// AdminPort and AgentPort are said to those who check the proxy's health; 0: they are out of reach from other machines.
	AdminPort, AgentPort int

	// TTL is how long after the last sign of life the proxy counts as dead. Default 5 s.
	TTL time.Duration
	// ForgetAfter is how long a proxy that is dead or not ready stays in the catalogue. Default 10 min; Consul allows no less than 1 min.
	ForgetAfter time.Duration

	Log zerolog.Logger
}

// Self is the proxy that is registered.
type Self interface {
	// Health says whether the proxy takes clients, and why not. It is asked often and must not block.
	Health() (ready bool, why string)
	// Leading says whether the proxy leads its region.
	Leading() bool
	// Found takes where the other regions' proxies are: addresses by region. It must not block.
	Found(regions map[string][]string)
	Members
}

var (
	errConfig      = errors.New("registry")
	servicePattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?$`)
)

// ParseService checks the name of a service: it becomes a part of names in the DNS.
func ParseService(text string) (string, error) {
	if !servicePattern.MatchString(text) {
		return "", fmt.Errorf("%q: expected up to 42 letters, digits and -", text)
	}
	return text, nil
}

func (c Config) validate() error {
	switch {
	case c.Access.Address == "":
		return fmt.Errorf("%w: Access.Address is missing", errConfig)
	case c.Client.Port == 0 || c.Peer.Port == 0:
		return fmt.Errorf("%w: Client and Peer need a port", errConfig)
	case c.ForgetAfter < time.Minute:
		return fmt.Errorf("%w: ForgetAfter %v is below one minute", errConfig, c.ForgetAfter)
	case c.TTL < time.Second:
		return fmt.Errorf("%w: TTL %v is below one second", errConfig, c.TTL)
	}
	return nil
}

// Registry is one proxy's part in Consul.
type Registry struct {
	cfg       Config
	client    *api.Client
	transport *http.Transport
	said      *said
	lock      *Lock
	catalogue *Catalogue
	public    *api.AgentServiceRegistration // the service for clients
	peer      *api.AgentServiceRegistration
}

// New checks the configuration. It asks nothing.
func New(cfg Config) (*Registry, error) {
	cfg.Source = cfg.Source.withDefaults()
	if cfg.TTL == 0 {
		cfg.TTL = 5 * time.Second
	}
	if cfg.ForgetAfter == 0 {
		cfg.ForgetAfter = 10 * time.Minute
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	client, transport, err := cfg.Access.client()
	if err != nil {
		return nil, err
	}
	r := &Registry{cfg: cfg, client: client, transport: transport, said: newSaid(cfg.Log)}
	r.public = r.service(cfg.Source.Service, cfg.Client)
	r.peer = r.service(peerService(cfg.Source.Service), cfg.Peer)
	r.lock = r.newLock()
	r.catalogue = newCatalogue(client, transport, cfg.Source, r.peer.Name, r.said)
	return r, nil
}

// Lock is what the region's leader holds.
func (r *Registry) Lock() *Lock { return r.lock }

// Run registers the proxy and follows what Consul says, until ctx ends. Then it takes the proxy out of the catalogue.
func (r *Registry) Run(ctx context.Context, self Self) error {
	defer r.transport.CloseIdleConnections()
	members := &membership{
		client: r.client, said: r.said, key: r.cfg.Source.Service + "/members", datacentre: r.cfg.MembersDatacentre, members: self,
	}
	var tasks sync.WaitGroup // each ends with ctx
	tasks.Go(func() { r.keepRegistered(ctx, self) })
	tasks.Go(func() { r.catalogue.Follow(ctx, func(proxies []Proxy) { self.Found(passingByRegion(proxies)) }) })
	tasks.Go(func() { members.run(ctx) })
	tasks.Wait()
	return nil
}
