package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/status"
)

// statusTimeout bounds what an answer may ask of Redis.
const statusTimeout = 3 * time.Second

// admin is the HTTP server for health checks, metrics and the dashboard. It tells no key and no value, unless the options say so,
// and no request changes anything (docs/admin.md).
//
//	/livez    200 as long as the process answers: restart it when it does not
//	/readyz   200 when clients can be served, 503 with the reason otherwise: send them elsewhere. 404 at the end: those that are here
//	          are served, and no new ones should come
//	/status   JSON, see status.Document
//	/metrics  Prometheus
//	/migration  JSON, see migration.Document
//	/         the dashboard
type admin struct {
	config    config
	health    *health
	source    documents
	metrics   http.Handler
	dashboard dashboardPage
	migration http.Handler
}

// documents is where answers come from.
type documents interface {
	Document(ctx context.Context) status.Document
}

// dashboardPage is the dashboard. Run keeps its history.
type dashboardPage interface {
	http.Handler
	Run(ctx context.Context)
}

// run serves until ctx ends.
func (a *admin) run(ctx context.Context) error {
	listener, err := net.Listen("tcp", a.config.AdminListen)
	if err != nil {
		return err
	}
	history, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with ctx, or with the server
		defer close(done)
		a.dashboard.Run(history)
	}()
	defer func() { end(); <-done }()
	return serveHTTP(ctx, listener, a.handler())
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler) error {
	conns := newAdminConns(maxAdminConns)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnState:         conns.changed,
	}
	// Ends the server with ctx. A health check in flight is not worth waiting for.
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /status", atMost(8, http.HandlerFunc(a.status)))
	mux.Handle("GET /metrics", atMost(4, a.metrics))
	if a.migration != nil {
		mux.Handle("GET /migration", atMost(4, a.migration))
	}
	mux.Handle("GET /", a.dashboard)
	if a.config.Pprof {
		mux.HandleFunc("GET /debug/pprof/", withoutDeadline(pprof.Index))
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", withoutDeadline(pprof.Profile))
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", withoutDeadline(pprof.Trace))
	}
	return mux
}

// readyz answers with one reason a line, or as JSON to who accepts that.
func (a *admin) readyz(w http.ResponseWriter, r *http.Request) {
	limit, err := maxLag(r.URL.Query()["max_lag"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var reasons []string
	ready, why := a.health.Health()
	switch {
	case !ready:
		reasons = []string{why}
	case limit != nil:
		ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
		defer cancel()
		reasons = a.source.Document(ctx).NotReady(limit)
	}
	w.Header().Set("Cache-Control", "no-store")
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	if a.health.stopping.Load() {
		code = http.StatusNotFound
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, code, map[string]any{"ready": len(reasons) == 0, "reasons": reasons})
		return
	}
	text := "ok"
	if len(reasons) > 0 {
		text = strings.Join(reasons, "\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, text)
}

// maxLag reads the parameter of /readyz: milliseconds, or with a unit. nil is no limit.
func maxLag(values []string) (*time.Duration, error) {
	if len(values) == 0 {
		return nil, nil
	}
	limit, err := time.ParseDuration(values[0])
	if ms, plain := strconv.ParseInt(values[0], 10, 32); plain == nil {
		limit, err = time.Duration(ms)*time.Millisecond, nil
	}
	if err != nil || limit < 0 || len(values) > 1 {
		return nil, fmt.Errorf("max_lag: %.40q: expected milliseconds, or a time like 500ms", strings.Join(values, ","))
	}
	return &limit, nil
}

func (a *admin) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusOK, a.source.Document(ctx))
}

func writeJSON(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // the client is gone; nobody to tell
}
