package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"anabranch/haproxy"
	"anabranch/internal/backend"
	"anabranch/internal/dashboard"
	"anabranch/internal/metrics"
	"anabranch/internal/migration"
	"anabranch/internal/registry"
	"anabranch/internal/status"
	"anabranch/proxy"
	"anabranch/sentinel"
	"anabranch/syncer"
	"anabranch/translate"
)

func runServe(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	c, err := loadConfig(args, os.Getenv, stdout)
	if err != nil {
		return err
	}
	log := newLogger(c, stderr)
	c = c.alone(log)
	if c.Mode == modePassive {
		return servePassive(ctx, c, log)
	}
	s, err := newService(c, log)
	if err != nil {
		return err
	}
	log.Info().Str("version", version+commit()).Str("region", c.Region).Int("region_id", c.RegionID).
		Str("mode", c.Mode).Stringer("redis", c.Redis).Msg("starting")
	err = s.run(ctx)
	log.Info().Err(err).Msg("stopped")
	return err
}

// service is one `anabranch serve`: everything that runs, wired together.
type service struct {
	config   config
	runID    string
	security *security
	primary  *sentinel.Watcher // nil: --redis is an address
	backend  *backend.Backend
	syncer   *syncer.Syncer
	proxy    *proxy.Server
	health   *health
	admin    *admin

	registry *registry.Registry // nil without Consul
	agent    *haproxy.Agent     // nil without agent checks

	migration *migration.Source
}

// newService allocates and validates; nothing is dialled or listened to.
func newService(c config, log zerolog.Logger) (*service, error) {
	s := &service{config: c, runID: newRunID()}
	var err error
	if s.security, err = newSecurity(c, log); err != nil {
		return nil, &usageError{err}
	}
	if s.primary, err = s.newWatcher(log); err != nil {
		return nil, fmt.Errorf("sentinel: %w", err)
	}
	if s.backend, err = backend.New(s.backendConfig(log)); err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	if s.registry, err = newRegistry(c, s.runID, log); err != nil {
		return nil, err
	}
	if s.syncer, err = syncer.New(s.syncerConfig(log)); err != nil {
		return nil, err
	}
	control := &control{s.syncer}
	proxyConfig := proxyConfig(c, log)
	proxyConfig.Backend, proxyConfig.Control = s.backend, control
	proxyConfig.TLS = s.security.clientTLS()
	s.migration = s.newMigration()
	if c.Mode == modeShadow {
		proxyConfig.Observer = s.migration
	}
	if s.proxy, err = proxy.New(proxyConfig); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	s.health = &health{front: s.proxy, links: s.syncer, clients: func() (now, most int) { return s.proxy.Clients(), c.MaxClients }, limit: c.AgentMaxLag}
	if c.AgentListen != "" {
		s.agent = haproxy.NewAgent(c.AgentListen, s.health.state, log.With().Str("part", "agent").Logger())
	}
	s.admin, err = s.newAdmin()
	return s, err
}

// newAdmin wires what the admin port shows to where it comes from.
func (s *service) newAdmin() (*admin, error) {
	source := &status.Source{
		Version: version, Commit: strings.TrimPrefix(commit(), "+"), Region: s.config.Region, RegionID: s.config.RegionID, RunID: s.runID,
		StartedAt: time.Now(), MaxClients: s.config.MaxClients, Certificates: s.security.expiry, Backend: s.backend, Watcher: s.primary, Proxy: s.proxy, Syncer: s.syncer,
	}
	page, err := dashboard.New(dashboard.Config{Source: source, Ledger: s.syncer, Detail: s.config.conflictDetail()})
	if err != nil {
		return nil, err
	}
	registry := metrics.NewRegistry(s.config.Region, source, s.backend.Traffic())
	return &admin{config: s.config, health: s.health, source: source, metrics: metrics.Handler(registry), dashboard: page, migration: s.migration}, nil
}

// run blocks until ctx ends or a part fails. Whoever sends clients here is told first; the way to Redis is closed last, since clients
// are still owed replies.
func (s *service) run(ctx context.Context) error {
	backendCtx, endBackend := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackend()
	backendEnded := make(chan error, 1)
	go func() { backendEnded <- s.runBackend(backendCtx) }() // ends with endBackend, or because Redis cannot be used

	told := s.tell(backendCtx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { s.wind(serving, stop) })()
	front, ctx := errgroup.WithContext(serving)
	front.Go(func() error { return s.proxy.Run(ctx) })
	front.Go(func() error { return s.syncer.Run(ctx) })
	if s.migration.Rehearsal != nil {
		front.Go(func() error { s.migration.Rehearsal.Run(ctx); return nil })
	}
	front.Go(func() error { return s.admin.run(ctx) })
	front.Go(func() error { return s.security.keep(ctx) })
	front.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-backendEnded:
			backendEnded <- nil // for whoever waits below
			return fmt.Errorf("%s: %w", s.config.Redis, err)
		}
	})
	front.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case err := <-told.failed:
			return err
		}
	})
	err := front.Wait()
	told.end()
	endBackend()
	<-backendEnded
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runBackend keeps the way to Redis, and to the Sentinels that know where it is.
func (s *service) runBackend(ctx context.Context) error {
	ctx, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	if s.primary != nil {
		watching.Go(func() { _ = s.primary.Run(ctx) }) // ends with ctx
	}
	err := s.backend.Run(ctx)
	end()
	watching.Wait()
	return err
}

func (s *service) backendConfig(log zerolog.Logger) backend.Config {
	c := s.config
	b := backend.DefaultConfig()
	b.URL, b.TLS = c.Redis.full, s.security.redis
	if s.primary != nil {
		b.Source = primarySource{s.primary}
	}
	b.RegionName, b.RegionID = c.home()
	b.Mode = c.Mode
	b.Prefix = c.Prefix
	b.XAddIDs, b.HideConflictValues = c.XAddIDs, c.HideConflictValues
	b.TrustFor, b.CopyOf = c.GCGrace/2, c.CopyOf
	b.Connections = c.BackendConnections
	b.PendingBytes = int(c.BackendQueue)
	b.Hold = c.BackendHold
	b.FenceAfter = c.FenceAfter
	b.Log = log.With().Str("part", "backend").Logger()
	return b
}

func proxyConfig(c config, log zerolog.Logger) proxy.Config {
	p := proxy.DefaultConfig()
	p.Listen = c.Listen
	p.Classifier = translate.New(c.Prefix)
	p.Password = c.Password
	if len(c.Peers) > 0 || c.Consul != "" {
		p.MessageChannel = syncer.MessageChannel(c.Prefix)
	}
	p.MaxClients = c.MaxClients
	p.QueryBytes, p.OutputBytes = int(c.QueryLimit), int(c.OutputLimit)
	p.ShutdownTimeout = c.ShutdownTime
	p.Log = log.With().Str("part", "proxy").Logger()
	return p
}

func (s *service) syncerConfig(log zerolog.Logger) syncer.Config {
	c := s.config
	peers := map[string][]string{}
	for _, peer := range c.Peers {
		peers[peer.Region] = append(peers[peer.Region], peer.Addr)
	}
	var lock syncer.Lock
	if s.registry != nil {
		lock = s.registry.Lock()
	}
	name, id := c.home()
	return syncer.Config{
		Record:        s.backend.Record,
		Shadow:        c.Mode == modeShadow,
		Lock:          lock,
		Region:        syncer.Region{Name: name, ID: id},
		RunID:         s.runID,
		Redis:         s.backend.Client(),
		Prefix:        c.Prefix,
		Peers:         peers,
		PeerListen:    c.PeerListen,
		InsecurePeers: c.InsecurePeers,
		Identity:      s.security.peerIdentity(),
		Secrets:       s.security.peerSecrets(),
		Arm:           s.backend.Arm,
		LeaseTime:     c.LeaseTime,
		SilenceLimit:  c.PeerSilence,
		WindowBytes:   int(c.PeerWindow),
		KeepTime:      c.BacklogTime,
		BacklogBytes:  int(c.BacklogSize),
		Grace:         c.GCGrace,

		QuarantineAfter:  c.Quarantine,
		QuarantineMemory: c.QuarantineMemory,
		AloneAfter:       c.AloneAfter,

		ShipAfterReplicas: c.ShipAfterReplicas,
		DriftLimit:        c.DriftLimit,
		Log:               log.With().Str("part", "syncer").Logger(),
	}
}

func newLogger(c config, stderr io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	if c.LogFormat == "console" {
		stderr = zerolog.ConsoleWriter{Out: stderr, NoColor: !isTerminal(stderr), TimeFormat: "15:04:05.000"}
	}
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel // options.go has allowed only levels that exist
	}
	return zerolog.New(stderr).Level(level).With().Timestamp().Logger()
}

// newRunID names this process among the proxies of its region, in the form of Redis's run_id.
func newRunID() string {
	var random [20]byte
	if _, err := rand.Read(random[:]); err != nil {
		panic(err) // crypto/rand never fails on systems that Go supports
	}
	return hex.EncodeToString(random[:])
}
