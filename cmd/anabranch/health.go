package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"anabranch/haproxy"
	"anabranch/internal/status"
	"anabranch/syncer"
)

// health is what this proxy says of itself to those who send it clients. /readyz, Consul and HAProxy's agent check all say this.
type health struct {
	front   interface{ Problem() error } // why clients are not served, if they are not; asks nobody
	links   links
	clients func() (now, most int)
	limit   time.Duration // how much later this region may be than others; 0: by any time

	stopping atomic.Bool // SIGTERM has come

	mu   sync.Mutex // guards what follows
	at   time.Time  // when the rest was found out
	seen linkHealth
	away bool // clients are sent elsewhere because of the lag
	cpu  cpuMeter
}

// links is what the syncer knows of the other regions.
type links interface {
	Statuses(ctx context.Context) (syncer.RegionStatus, []syncer.PeerStatus, error)
}

// linkHealth is what of it matters to clients.
type linkHealth struct {
	behind string        // the region that this one is further behind than that one is behind it
	late   time.Duration // by how much further
	lag    time.Duration // of the effects of any region
	apart  string        // why this region's data should not be relied on yet
	load   float64       // of this process, 0 to 1
	away   string        // why clients are better off elsewhere
}

const (
	stoppingText = "is stopping: no new clients, please"
	// lookAgain is how old what was found out about the links may be: many may ask at once.
	lookAgain = 500 * time.Millisecond
	// lookLimit is less than the patience of those who ask.
	lookLimit = time.Second
)

// Health says whether clients should come, and why not. It does not block.
func (h *health) Health() (ready bool, why string) {
	if h.stopping.Load() {
		return false, stoppingText
	}
	if problem := h.front.Problem(); problem != nil {
		return false, strings.Join(status.Document{Why: problem.Error()}.NotReady(nil), ", ")
	}
	return true, ""
}

// state is for HAProxy's agent check.
func (h *health) state(ctx context.Context) haproxy.State {
	if h.stopping.Load() {
		return haproxy.State{Draining: stoppingText}
	}
	if ready, why := h.Health(); !ready {
		return haproxy.State{Down: why}
	}
	seen := h.look(ctx)
	now, most := h.clients()
	return haproxy.State{Down: seen.away, Draining: seen.apart, Lag: seen.lag, Load: max(seen.load, float64(now)/float64(most))}
}

// look asks the syncer, or remembers its last answer.
func (h *health) look(ctx context.Context) linkHealth {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) < lookAgain {
		return h.seen
	}
	h.at = time.Now()
	seen := linkHealth{load: h.cpu.load(h.at)}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	own, peers, err := h.links.Statuses(ctx)
	if err != nil {
		return h.seen // Redis does not answer, which others will notice
	}
	for _, peer := range peers {
		seen.take(own, peer)
	}
	if own.Held != "" {
		seen.apart = "this region takes no writes: " + own.Held
	}
	if h.away = h.tooLate(seen.late); h.away {
		seen.away = fmt.Sprintf("behind region %s by %v more than that one is behind this", seen.behind, seen.late.Round(time.Millisecond))
	}
	h.seen = seen
	return seen
}

// tooLate says whether clients are better off elsewhere. What counts is that elsewhere is better: regions that are equally far behind
// each other, as after a partition, both serve, or nobody would; nor does a region count that is out of reach. Who was too late
// must catch up half of it, so that clients are not sent to and fro.
func (h *health) tooLate(late time.Duration) bool {
	if h.away {
		return h.limit > 0 && late > h.limit/2
	}
	return h.limit > 0 && late > h.limit
}

// take looks at one link. During a merge of everything this region lacks what others have for long; during one of what has changed
// it is as late as the merge has taken so far.
func (s *linkHealth) take(own syncer.RegionStatus, peer syncer.PeerStatus) {
	lag := time.Duration(peer.LagMillis) * time.Millisecond
	switch peer.State {
	case syncer.StateStream, syncer.StateWaiting, syncer.StateStalled:
	case syncer.StateMerge:
		if peer.Merge != nil {
			lag = max(lag, time.Since(peer.Merge.Began))
			if peer.Merge.OfAll() {
				s.apart = "this region merges everything from region " + peer.Name
			}
		}
	default:
		return
	}
	s.lag = max(s.lag, lag)
	there := time.Duration(0) // how far behind that region is of what is written here
	if peer.AckedEntries > 0 {
		there = time.Duration(own.Clock.Millis()-peer.AckedTime.Millis()) * time.Millisecond
	}
	if late := lag - there; late > s.late {
		s.late, s.behind = late, peer.Name
	}
}

// cpuMeter measures what of its share of the machine this process uses.
type cpuMeter struct {
	at    time.Time
	spent time.Duration
}

// load is the mean since the last call, 1 for all of GOMAXPROCS.
func (m *cpuMeter) load(now time.Time) float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	before := *m
	m.at, m.spent = now, time.Duration(usage.Utime.Nano()+usage.Stime.Nano())
	passed := now.Sub(before.at)
	if before.at.IsZero() || passed <= 0 {
		return 0
	}
	return min(1, float64(m.spent-before.spent)/float64(passed)/float64(runtime.GOMAXPROCS(0)))
}
