package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"anabranch/crdtmeta"
	"anabranch/haproxy"
	"anabranch/internal/metrics"
	"anabranch/internal/migration"
	"anabranch/internal/passive"
	"anabranch/internal/status"
	"anabranch/proxy"
	"anabranch/sentinel"
	"anabranch/syncer"
	"anabranch/translate"
)

// passiveService is `anabranch serve --mode passive`.
type passiveService struct {
	config   config
	log      zerolog.Logger
	security *security
	primary  *sentinel.Watcher // nil: --redis is an address
	addr     string            // then
	network  string
	redis    *redis.Client // one connection, which shows that this proxy is there
	presence *passive.Presence
	server   *passive.Server
	report   *migration.Source

	problem  atomic.Pointer[error] // why clients cannot be served
	stopping atomic.Bool
}

// connectTime bounds connecting to Redis.
const connectTime = 5 * time.Second

func servePassive(ctx context.Context, c config, log zerolog.Logger) error {
	s := &passiveService{config: c, log: log}
	var err error
	if s.security, err = newSecurity(c, log); err != nil {
		return &usageError{err}
	}
	wired := &service{config: c, security: s.security}
	if s.primary, err = wired.newWatcher(log); err != nil {
		return fmt.Errorf("sentinel: %w", err)
	}
	if err := s.wire(); err != nil {
		return &usageError{err}
	}
	defer s.redis.Close()
	log.Info().Str("version", version+commit()).Str("region", c.Region).Str("mode", c.Mode).Stringer("redis", c.Redis).Msg("starting")
	err = s.run(ctx)
	log.Info().Err(err).Msg("stopped")
	return err
}

// wire makes the parts. Nothing is dialled.
func (s *passiveService) wire() error {
	logging.Disable() // its errors are reported here
	opts, err := redis.ParseURL(s.config.Redis.full)
	if err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	s.addr, s.network = opts.Addr, cmp.Or(opts.Network, "tcp")
	secure := opts.TLSConfig != nil
	opts.TLSConfig = nil // dial does it
	opts.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx, secure) }
	opts.ClientName, opts.PoolSize, opts.MaxRetries, opts.Protocol, opts.DisableIdentity = syncer.PassiveName, 1, -1, 2, true
	opts.DialerRetries = 1
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	s.redis = redis.NewClient(opts)
	tally := migration.NewTally(translate.New(s.config.Prefix), proxy.KeptParameter)
	s.report = &migration.Source{
		Mode: modePassive, Region: s.config.Region, RunID: newRunID(), StartedAt: time.Now(), Redis: s.redis, Prefix: s.config.Prefix,
		PassiveName: syncer.PassiveName, Tally: tally, Meter: migration.NewMeter(s.redis, false),
	}
	s.presence = passive.NewPresence(s.redis, s.config.Prefix, crdtmeta.FuncPlain, s.log)
	s.server = passive.New(passive.Config{
		Listen: s.config.Listen, TLS: s.security.clientTLS(), MaxClients: s.config.MaxClients, DialTimeout: connectTime, DrainTime: s.config.ShutdownTime, Watcher: tally,
		Dial: func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, secure) },
		Log:  s.log.With().Str("part", "proxy").Logger(),
	})
	return nil
}

// dial connects to the primary of the moment.
func (s *passiveService) dial(ctx context.Context, secure bool) (net.Conn, error) {
	addr := s.addr
	if s.primary != nil {
		p, err := s.primary.Primary()
		if err != nil {
			return nil, err
		}
		addr = p.Addr
	}
	dialer := &net.Dialer{Timeout: connectTime, KeepAlive: 10 * time.Second}
	if !secure {
		return dialer.DialContext(ctx, s.network, addr)
	}
	config := s.security.redis()
	if config.ServerName == "" {
		config.ServerName = hostOf(addr)
		if parsed, err := url.Parse(s.config.Redis.full); s.primary == nil && err == nil {
			config.ServerName = parsed.Hostname()
		}
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, s.network, addr)
}

var errStarting = errors.New("is starting")

// run serves once Redis knows that this proxy is there, until ctx ends.
func (s *passiveService) run(ctx context.Context) error {
	s.problem.Store(&errStarting)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		s.stopping.Store(true)
		time.AfterFunc(s.config.DrainTime, stop)
	})()
	group, serving := errgroup.WithContext(serving)
	listener, err := net.Listen("tcp", s.config.AdminListen)
	if err != nil {
		return err
	}
	group.Go(func() error { return serveHTTP(serving, listener, s.handler()) })
	group.Go(func() error { return s.security.keep(serving) })
	if s.primary != nil {
		group.Go(func() error { return s.primary.Run(serving) })
		group.Go(func() error { s.follow(serving); return nil })
	}
	if s.config.AgentListen != "" {
		group.Go(func() error {
			return haproxy.NewAgent(s.config.AgentListen, s.agentState, s.log.With().Str("part", "agent").Logger()).Run(serving)
		})
	}
	shown := make(chan struct{})
	looking, fail := context.WithCancelCause(serving)
	group.Go(func() error {
		s.presence.Keep(looking, func(err error) { s.looked(err, shown, fail) })
		if cause := context.Cause(looking); serving.Err() == nil && cause != nil {
			return cause
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-shown:
			return s.server.Run(serving)
		case <-serving.Done():
			return nil
		}
	})
	err = group.Wait()
	fail(nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// looked takes what presence has found. What other regions would miss must not be written.
func (s *passiveService) looked(err error, shown chan struct{}, fail context.CancelCauseFunc) {
	switch before := *s.problem.Load(); {
	case err == nil && before != nil:
		if errors.Is(before, errStarting) {
			close(shown)
			ctx, cancel := context.WithTimeout(context.Background(), connectTime)
			s.report.Document(ctx) // what is measured begins now
			cancel()
		}
		s.log.Info().Msg("clients are served as by Redis itself")
	case err != nil && strings.Contains(err.Error(), "CRDTMEMBER"):
		fail(fmt.Errorf("%s: %w", s.config.Redis, err))
		return
	case err != nil && errors.Is(before, errStarting):
		s.log.Warn().Err(err).Msg("Redis does not answer yet")
		return // it still is starting
	}
	s.problem.Store(&err)
}

// follow disconnects clients when there is another primary, as its end would.
func (s *passiveService) follow(ctx context.Context) {
	last := ""
	for {
		select {
		case <-s.primary.Changed():
			p, err := s.primary.Primary()
			if err == nil && last != "" && p.Addr != last {
				s.log.Info().Str("addr", p.Addr).Msg("the primary has moved")
				s.server.Disconnect()
			}
			if err == nil {
				last = p.Addr
			}
		case <-ctx.Done():
			return
		}
	}
}

func (s *passiveService) health() (ready bool, why string) {
	if s.stopping.Load() {
		return false, stoppingText
	}
	if problem := *s.problem.Load(); problem != nil {
		return false, problem.Error()
	}
	return true, ""
}

func (s *passiveService) agentState(context.Context) haproxy.State {
	ready, why := s.health()
	now, _, _ := s.server.Clients()
	switch {
	case s.stopping.Load():
		return haproxy.State{Draining: why}
	case !ready:
		return haproxy.State{Down: why}
	}
	return haproxy.State{Load: float64(now) / float64(s.config.MaxClients)}
}

// Document is the little that a passive proxy knows: there is no engine that it could ask.
func (s *passiveService) Document(context.Context) status.Document {
	ready, why := s.health()
	now, total, rejected := s.server.Clients()
	return status.Document{
		Version: version, Commit: strings.TrimPrefix(commit(), "+"), Region: s.config.Region, RegionID: s.config.RegionID, RunID: s.report.RunID,
		Time: time.Now(), StartedAt: s.report.StartedAt, Ready: ready, Why: why,
		Clients:      status.Clients{Connected: now, Limit: s.config.MaxClients, Accepted: total, Rejected: rejected},
		Certificates: s.security.expiry(),
	}
}

// handler is the admin port of a passive proxy. It has no dashboard.
func (s *passiveService) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, why := s.health()
		code, text := http.StatusOK, "ok"
		if !ready {
			code, text = http.StatusServiceUnavailable, why
		}
		if s.stopping.Load() {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		fmt.Fprintln(w, text)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		d := s.Document(context.Background())
		writeJSON(w, http.StatusOK, map[string]any{
			"version": d.Version, "mode": modePassive, "region": d.Region, "ready": d.Ready, "not_ready_because": d.Why, "peers": []string{},
			"clients": d.Clients, "certificates_expire": d.Certificates,
		})
	})
	mux.Handle("GET /metrics", atMost(4, metrics.Handler(metrics.NewPassiveRegistry(s.config.Region, s))))
	mux.Handle("GET /migration", atMost(4, s.report))
	return mux
}
