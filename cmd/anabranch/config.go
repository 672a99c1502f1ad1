package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/credentials"
	"anabranch/internal/dashboard"
	"anabranch/internal/registry"
	"anabranch/syncer"
)

// config is all that `anabranch serve` can be told. The fields are set by options.go, which says what each one means;
// the defaults are here.
type config struct {
	Region        string
	RegionID      int
	Mode          string
	ShadowOf      string // NAME=ID
	ShadowWindow  time.Duration
	Redis         redisURL
	Listen        string
	PeerListen    string
	AdminListen   string
	Peers         []peerAddr
	InsecurePeers bool
	AgentListen   string
	AgentMaxLag   time.Duration

	Consul            string
	ConsulToken       string
	ConsulCAFile      string
	ConsulCertFile    string
	ConsulKeyFile     string
	ConsulService     string
	ConsulDatacentres []word
	ConsulQueries     []word
	ConsulMembers     string // datacentre
	ConsulTTL         time.Duration
	ConsulForgetAfter time.Duration
	Advertise         string

	RedisTLS           credentials.Files
	RedisTLSServerName string
	PeerTLS            credentials.Files
	PeerSecret         string
	PeerSecretFile     string

	MaxClients     int
	Password       string
	TLS            credentials.Files
	TLSAuthClients string
	QueryLimit     int64 // bytes
	OutputLimit    int64 // bytes
	XAddIDs        string

	HideConflictValues bool
	DashboardConflicts string

	BackendConnections int
	BackendQueue       int64 // bytes
	BackendHold        time.Duration
	FenceAfter         time.Duration
	DrainTime          time.Duration
	ShutdownTime       time.Duration

	PeerWindow  int64 // bytes
	PeerSilence time.Duration
	LeaseTime   time.Duration
	BacklogTime time.Duration
	BacklogSize int64 // bytes
	GCGrace     time.Duration
	Quarantine  time.Duration
	AloneAfter  time.Duration
	CopyOf      string

	QuarantineMemory syncer.MemoryShare

	ShipAfterReplicas int
	DriftLimit        time.Duration
	Prefix            string

	LogLevel  string
	LogFormat string
	Pprof     bool
}

// leastFence is twice as long as it usually takes until a primary is confirmed again: Sentinels are asked and replicas acknowledge once a
// second.
const leastFence = 2 * time.Second

const defaultRedis = "redis://127.0.0.1:6379"

func defaultConfig() config {
	return config{
		Mode:         modeActive,
		ShadowWindow: time.Second,

		Redis:       redisURL{full: defaultRedis, masked: defaultRedis},
		Listen:      "127.0.0.1:6380",
		PeerListen:  "127.0.0.1:6480",
		AdminListen: "127.0.0.1:6580",
		AgentMaxLag: 30 * time.Second,

		ConsulService:     registry.DefaultService,
		ConsulTTL:         5 * time.Second,
		ConsulForgetAfter: 10 * time.Minute,

		MaxClients:     10000,
		TLSAuthClients: authNone,
		QueryLimit:     1 << 30,
		OutputLimit:    256 << 20,
		XAddIDs:        "semi-strict",

		DashboardConflicts: "rules",

		BackendConnections: 1,
		BackendQueue:       8 << 20,
		BackendHold:        3 * time.Second,
		FenceAfter:         5 * time.Second,
		ShutdownTime:       5 * time.Second,

		PeerWindow:  8 << 20,
		PeerSilence: 5 * time.Second,
		LeaseTime:   3 * time.Second,
		BacklogTime: time.Minute,
		BacklogSize: 256 << 20,
		GCGrace:     5 * time.Minute,
		Quarantine:  24 * time.Hour,
		DriftLimit:  time.Minute,
		Prefix:      crdtmeta.DefaultPrefix,

		QuarantineMemory: syncer.DefaultQuarantineMemory,

		LogLevel:  "info",
		LogFormat: "json",
	}
}

// validate checks what no single value shows. Every error names the flag.
func (c *config) validate() error {
	if c.Region == "" {
		return errors.New("--region: is required: the name of this region, the same for all its proxies")
	}
	if c.RegionID == 0 {
		return errors.New("--region-id: is required: a number from 1 to 63, another one for each region")
	}
	if err := c.checkMode(); err != nil {
		return err
	}
	for _, peer := range c.Peers {
		if peer.Region == c.Region {
			return fmt.Errorf("--peer: %s is this region; peers are the other ones", peer.Region)
		}
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	if c.FenceAfter > 0 && c.FenceAfter < leastFence {
		return fmt.Errorf("--fence-after: %v is less than the %v that Sentinels and replicas may take to confirm a primary", c.FenceAfter, leastFence)
	}
	if err := c.checkListeners(); err != nil {
		return err
	}
	if err := c.checkConsul(); err != nil {
		return err
	}
	if c.Pprof && !isLoopback(c.AdminListen) {
		return fmt.Errorf("--pprof: profiles show memory, so --admin-listen must be a loopback address, not %s", c.AdminListen)
	}
	return c.checkPeersArePrivate()
}

// conflictDetail is what the dashboard may tell. Values that are kept out of the ledger are not shown either, though older entries
// may have some.
func (c *config) conflictDetail() dashboard.Detail {
	if c.HideConflictValues && c.DashboardConflicts == string(dashboard.Values) {
		return dashboard.Keys
	}
	return dashboard.Detail(c.DashboardConflicts)
}

func (c *config) checkListeners() error {
	used := map[string]string{}
	for _, listener := range []struct{ flag, addr string }{
		{"--listen", c.Listen}, {"--peer-listen", c.PeerListen}, {"--admin-listen", c.AdminListen},
		{"--agent-listen", c.AgentListen},
	} {
		_, port, _ := net.SplitHostPort(listener.addr)
		if other, taken := used[listener.addr]; taken && port != "0" {
			return fmt.Errorf("%s: %s is already used by %s", listener.flag, listener.addr, other)
		}
		used[listener.addr] = listener.flag
	}
	return nil
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
