package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"anabranch/proxy"
	"anabranch/sentinel"
	"anabranch/syncer"
)

// statusTimeout bounds what /status asks the syncer.
const statusTimeout = 3 * time.Second

// readiness is what the admin port asks the way to Redis.
type readiness interface {
	Ready() bool
	Problem() error // why not
}

// admin is the HTTP server for health checks and status. It tells no data, and no request changes anything.
//
//	/livez    200 as long as the process answers: restart it when it does not
//	/readyz   200 when clients can be served, 503 with the reason otherwise: send them elsewhere
//	/status   JSON, see statusDocument
type admin struct {
	config config
	runID  string
	redis  readiness
	watch  *sentinel.Watcher // nil without Sentinels
	peers  regionStatus
}

// regionStatus is what the syncer tells of the region and its peers.
type regionStatus interface {
	Region(ctx context.Context) (syncer.RegionStatus, []proxy.Peer, error)
}

func newAdmin(c config, runID string, redis readiness, watch *sentinel.Watcher, peers regionStatus) *admin {
	return &admin{config: c, runID: runID, redis: redis, watch: watch, peers: peers}
}

// run serves until ctx ends.
func (a *admin) run(ctx context.Context) error {
	listener, err := net.Listen("tcp", a.config.AdminListen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    16 << 10,
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
	mux.HandleFunc("GET /status", a.status)
	if a.config.Pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.redis.Ready() {
		text := "Redis is not ready"
		if problem := a.redis.Problem(); problem != nil {
			text += ": " + problem.Error()
		}
		http.Error(w, text, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *admin) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	document := statusDocument{
		Version: version, Region: a.config.Region, RegionID: a.config.RegionID, RunID: a.runID,
		Ready: a.redis.Ready(), Peers: []peerStatus{},
	}
	own, peers, err := a.peers.Region(ctx)
	if err != nil {
		document.Error = err.Error()
	}
	document.HeldBackBy, document.WritesRefused, document.Alarms = own.HeldBackBy, own.Refuses, own.Alarms
	if a.watch != nil {
		if p, err := a.watch.Primary(); err == nil {
			document.Primary = p.Addr
		}
		if trouble := a.watch.Trouble(); trouble != nil {
			document.Alarms = append(document.Alarms, "a fail-over would not be seen: "+trouble.Error())
		}
	}
	for _, peer := range peers {
		document.Peers = append(document.Peers, statusOf(peer, time.Now()))
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(document) // the client is gone; nobody to tell
}
