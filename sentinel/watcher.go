package sentinel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

// Primary is where to find the server that takes writes.
type Primary struct {
	Addr      string    // HOST:PORT
	Confirmed time.Time // when a majority of Sentinels last said so
	Replicas  []string  // that could be promoted in its place, by the addresses under which the primary lists them
	Leaving   time.Time // when a Sentinel last announced that it promotes another one; this much is believed of a single one
}

// Watcher follows one primary.
type Watcher struct {
	cfg     Config
	changed chan struct{}

	mu      sync.Mutex
	current verdict
	trouble error    // why current cannot be confirmed now
	asked   []string // addresses of Sentinels
	leaving time.Time
}

// New checks the configuration. It dials nothing.
func New(cfg Config) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	logging.Disable() // it would write to standard error about every attempt to reach a Sentinel that is down
	return &Watcher{cfg: cfg, changed: make(chan struct{}, 1), trouble: errNobodyYet}, nil
}

var errNobodyYet = errors.New("no Sentinel has answered yet")

// Primary is what a majority of the Sentinels said last. It never blocks. An error means that there was no majority yet.
func (w *Watcher) Primary() (Primary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current.primary == "" {
		return Primary{}, fmt.Errorf("sentinel: %w", w.trouble)
	}
	return Primary{w.current.primary, w.current.confirmed, w.current.replicas, w.leaving}, nil
}

// Changed has a value when the primary has moved, or is about to.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Trouble says why the primary cannot be confirmed at the moment; nil when a majority answers.
func (w *Watcher) Trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// Sentinels are the addresses of those that are asked: as configured, and found.
func (w *Watcher) Sentinels() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// Run asks and listens until ctx ends, and returns when all goroutines have.
func (w *Watcher) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	a := &assembly{
		Watcher: w, ctx: ctx, council: newCouncil(w.cfg.Sentinels, w.cfg.AnswerLife), members: map[string]*member{},
		reports: make(chan report), announced: make(chan struct{}, 1), silent: map[string]bool{},
	}
	for _, addr := range w.cfg.Sentinels {
		a.add(addr)
	}
	tick := time.NewTicker(w.cfg.PollInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case r := <-a.reports:
			a.hear(r)
		case <-a.announced:
			for _, m := range a.members {
				m.askSoon()
			}
			continue
		case <-tick.C: // answers grow old
		case <-ctx.Done():
			continue
		}
		a.decide(time.Now())
	}
	cancel()
	a.running.Wait()
	return nil
}

// publish makes a verdict known.
func (w *Watcher) publish(v verdict, trouble error) (moved bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	moved = v.primary != w.current.primary
	w.current, w.trouble = v, trouble
	if moved {
		w.leaving = time.Time{}
		w.signal()
	}
	return moved
}

// leave notes that a replica is about to be promoted in the place of the primary at addr. That may be heard later than that it was.
func (w *Watcher) leave(addr string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if addr == w.current.primary {
		w.leaving = now
		w.signal()
	}
}

func (w *Watcher) signal() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
