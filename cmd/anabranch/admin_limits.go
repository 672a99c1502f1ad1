package main

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// maxAdminConns bounds the connections of the admin port.
const maxAdminConns = 128

// adminConns keeps health checks working however many connections somebody holds open: past the limit it closes the one that has
// asked nothing for longest. Only where all are being answered it closes the new one.
type adminConns struct {
	most int

	mu    sync.Mutex
	quiet map[net.Conn]time.Time // since when nothing is asked; zero while a request is being answered
}

func newAdminConns(most int) *adminConns {
	return &adminConns{most: most, quiet: map[net.Conn]time.Time{}}
}

// changed is the server's ConnState.
func (a *adminConns) changed(conn net.Conn, state http.ConnState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(a.quiet) >= a.most && !a.closeQuiet() {
			conn.Close() // the server finds it closed
			return
		}
		a.quiet[conn] = time.Now()
	case http.StateIdle:
		if _, known := a.quiet[conn]; known {
			a.quiet[conn] = time.Now()
		}
	case http.StateActive:
		if _, known := a.quiet[conn]; known {
			a.quiet[conn] = time.Time{}
		}
	default:
		delete(a.quiet, conn)
	}
}

// closeQuiet closes the connection that has been quiet for longest, if one is. The lock must be held.
func (a *adminConns) closeQuiet() bool {
	var oldest net.Conn
	for conn, since := range a.quiet {
		if !since.IsZero() && (oldest == nil || since.Before(a.quiet[oldest])) {
			oldest = conn
		}
	}
	if oldest == nil {
		return false
	}
	oldest.Close()
	delete(a.quiet, oldest)
	return true
}

// atMost lets so many requests in at a time; others are told to come again.
func atMost(n int, next http.Handler) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at a time", http.StatusServiceUnavailable)
		}
	})
}

// withoutDeadline is for answers that take as long as the request says.
func withoutDeadline(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // the server's own connections can
		next(w, r)
	}
}
