package haproxy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"anabranch/internal/listen"
)

// State is what a proxy knows of itself that matters to who sends it clients.
type State struct {
	Down     string        // why no client can be served; empty when they can
	Draining string        // why no new client should come; empty when they may
	Lag      time.Duration // of the effects of the region that is furthest behind here
	Load     float64       // 0 idle, 1 at the limit
}

const (
	lagFree  = time.Second      // lag that costs no weight
	lagHeavy = 30 * time.Second // lag from which on the weight is the least
	loadFree = 0.5              // load that costs no weight

	weightMost  = 100
	weightLeast = 10 // 0 would be a drain
	weightStep  = 10 // smaller changes are not worth telling
)

// Weight is the percentage of a server's configured weight that it should get.
func (s State) Weight() int {
	lag := part(float64(s.Lag-lagFree), float64(lagHeavy-lagFree))
	load := part(s.Load-loadFree, 1-loadFree)
	weight := weightMost - (weightMost-weightLeast)*max(lag, load)
	return int(weight/weightStep+0.5) * weightStep
}

// part is how much of the whole something is, from 0 to 1.
func part(some, whole float64) float64 { return min(1, max(0, some/whole)) }

// Answer is the line for the agent check. HAProxy keeps what an agent said until the agent says something else: only "ready" ends
// "drain". It also ends a drain or a maintenance that an operator has set, so it must not stand in every answer.
func (s State) Answer(endDrain bool) string {
	switch {
	case s.Down != "":
		return "down #" + oneLine(s.Down) + "\n"
	case s.Draining != "":
		return "up drain #" + oneLine(s.Draining) + "\n"
	case endDrain:
		return fmt.Sprintf("ready up %d%%\n", s.Weight())
	}
	return fmt.Sprintf("up %d%%\n", s.Weight())
}

// oneLine keeps a text from being read as something else.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	return text[:min(len(text), 200)]
}

const (
	maxAsking   = 64 // connections at once; one more is closed unanswered, which changes nothing at HAProxy
	answerLimit = 2 * time.Second
)

// Agent answers HAProxy's agent checks: one line for each connection.
type Agent struct {
	listen string
	state  func(context.Context) State
	log    zerolog.Logger

	mu     sync.Mutex           // guards what follows
	drains map[string]time.Time // host → until when a drain is ended there; zero while it is drained
	last   string               // the first word that was said last
}

// NewAgent listens to nothing yet.
func NewAgent(listen string, state func(context.Context) State, log zerolog.Logger) *Agent {
	return &Agent{listen: listen, state: state, log: log, drains: map[string]time.Time{}}
}

const (
	// endingTime is how long a host that was told to drain, or that we have never told anything, is told that it is over: it may run
	// several HAProxies.
	endingTime = 10 * time.Second
	maxHosts   = 1000 // more of them are told each time
)

// endsDrain notes what a host is told, and says whether that must end a drain: the one that it was told last, or one of an earlier life
// of this proxy.
func (a *Agent) endsDrain(host string, draining bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, known := a.drains[host]
	if !known && len(a.drains) >= maxHosts {
		return true
	}
	switch {
	case draining:
		a.drains[host] = time.Time{}
		return false
	case until.IsZero():
		until = now.Add(endingTime)
		a.drains[host] = until
	}
	return now.Before(until)
}

// Run answers until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", a.listen)
	if err != nil {
		return fmt.Errorf("listen for agent checks: %w", err)
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	places := make(chan struct{}, maxAsking)
	return listen.Serve(ctx, listener, a.log, func(conn net.Conn) {
		select {
		case places <- struct{}{}:
		default:
			_ = conn.Close()
			return
		}
		asking.Go(func() { // ends after answerLimit
			defer func() { <-places }()
			a.answer(ctx, conn)
		})
	})
}

// answer owns the connection.
func (a *Agent) answer(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	_ = conn.SetDeadline(time.Now().Add(answerLimit))
	state := a.state(ctx)
	host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	answer := state.Answer(a.endsDrain(host, state.Draining != "", time.Now()))
	_, _ = conn.Write([]byte(answer)) // whoever asks will ask again
	a.note(state, answer)
}

// note logs what is said when it is something else, and not only another weight.
func (a *Agent) note(state State, answer string) {
	kind := "up"
	if state.Down != "" || state.Draining != "" {
		kind = answer
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if kind != a.last {
		a.last = kind
		a.log.Info().Str("answer", strings.TrimSpace(answer)).Msg("agent check")
	}
}
