package backend

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"anabranch/crdtmeta"
)

// Backend is the region's Redis as the proxy sees it.
type Backend struct {
	cfg     Config
	opts    *redis.Options
	library string
	client  *redis.Client
	probe   *redis.Client // looks at the server, whatever it is

	mu        sync.Mutex
	lanes     map[laneKey]*Lane
	private   map[*Lane]struct{}
	server    Server
	addr      string        // of the primary, as far as it is known
	tenure    *tenure       // of that server
	ready     chan struct{} // closed while the server is ready
	lifetime  context.Context
	goroutine sync.WaitGroup

	arming     sync.Mutex   // one takeover at a time
	loadedOn   string       // run id of the server that has met our build of the engine; guarded by arming
	lastReady  atomic.Int64 // Unix milliseconds; 0: never
	lastHeard  atomic.Int64 // Unix milliseconds of the last reply while it was not ready
	isReady    atomic.Bool
	suspicions chan struct{}
	scripts    atomic.Int64 // calls with scripts under way
	strained   atomic.Bool  // memory is nearly used up

	problem      atomic.Pointer[error]  // what the last check found; see Problem
	refusal      atomic.Pointer[string] // what writes are told, where the server cannot be the primary; see WriteRefusal
	halted       atomic.Pointer[tenure] // nothing is sent in it; see halt
	fenced       atomic.Bool            // nobody confirms that the server is still the primary
	unsafePolicy atomic.Bool            // the server may evict companions
	held         atomic.Pointer[string] // why the engine takes no writes; see Held

	traffic Traffic
}

type laneKey struct{ db, proto, index int }

// Server is what the control plane found out about the Redis behind us.
type Server struct {
	Version       string // redis_version
	RunID         string
	ReplicationID string
	Origin        string // of the epoch in force (docs/engine.md, section 1)
	Databases     int    // 0: unknown
	Policy        string // maxmemory-policy at the last takeover
}

// New checks the configuration. It dials nothing.
func New(cfg Config) (*Backend, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = crdtmeta.DefaultPrefix
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	library, err := crdtmeta.Library(cfg.Prefix)
	if err != nil {
		return nil, err
	}
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	b := &Backend{
		cfg:        cfg,
		opts:       opts,
		library:    library,
		lanes:      make(map[laneKey]*Lane),
		private:    make(map[*Lane]struct{}),
		ready:      make(chan struct{}),
		lifetime:   context.Background(),
		suspicions: make(chan struct{}, 1),
	}
	if cfg.Source == nil {
		b.addr = opts.Addr
	}
	b.tenure = beginTenure()
	logging.Disable() // whoever calls the client library gets its errors, and reports them
	b.client = b.newClient(b.dialTrusted, requirePrimary)
	b.probe = b.newClient(b.dial, nil)
	return b, nil
}

// Run prepares the server, watches it, and carries lanes, until ctx ends. It returns early only when the server cannot be
// used at all and never could. It must outlive whoever submits: end it after the proxy.
func (b *Backend) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	b.lifetime = ctx
	for _, l := range b.lanes {
		b.spawn(l)
	}
	b.mu.Unlock()
	b.goroutine.Go(func() { b.followChanges(ctx) }) // ends with ctx
	err := b.watch(ctx)
	cancel()
	b.goroutine.Wait()
	b.client.Close()
	b.probe.Close()
	return err
}

// spawn runs a lane until the backend or the lane ends. The backend's lock must be held.
func (b *Backend) spawn(l *Lane) {
	ctx := b.lifetime
	b.goroutine.Go(func() {
		l.run(ctx)
		b.mu.Lock()
		delete(b.private, l)
		b.mu.Unlock()
	})
}

// Client is for slow commands, on connections of its own in RESP2. It follows the primary.
func (b *Backend) Client() *redis.Client { return b.client }

// ServiceUser returns who the connections log in as. Without a password they do not log in, and are the default user.
func (b *Backend) ServiceUser() (name, password string) {
	if b.opts.Password == "" || b.opts.Username == "" {
		return "default", b.opts.Password
	}
	return b.opts.Username, b.opts.Password
}

// Server returns what is known of the server.
func (b *Backend) Server() Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server
}

// Lane returns a shared lane, made at its first use. Callers with different hints may get different lanes of the same
// kind; a caller keeps to one hint. The database must exist, see HasDatabase.
func (b *Backend) Lane(db, proto, hint int) *Lane {
	return b.sharedLane(laneKey{db, proto, hint % b.cfg.Connections})
}

func (b *Backend) sharedLane(key laneKey) *Lane {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lanes[key]
	if l == nil {
		l = newLane(b, key.db, key.proto, nil)
		b.lanes[key] = l
		if b.lifetime != context.Background() {
			b.spawn(l)
		}
	}
	return l
}

// ScriptLane returns the lane on which scripts run. While Redis is busy with one of them for long, it answers the commands of
// the other lanes with an error, and lets the script be stopped.
func (b *Backend) ScriptLane(db, proto int) *Lane { return b.sharedLane(laneKey{db, proto, -1}) }

// Private returns a new lane for one caller alone. When its connection ends, the owner's Output is broken, since the
// state that was on the connection is gone. The owner must Close it.
func (b *Backend) Private(owner *Caller, db, proto int) *Lane {
	l := newLane(b, db, proto, owner)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.private[l] = struct{}{}
	b.spawn(l)
	return l
}

// RunsScripts reports whether a script of a client is under way, so that the server may be busy.
func (b *Backend) RunsScripts() bool { return b.scripts.Load() > 0 }

// Ready reports whether the server is armed and answered at the last check.
func (b *Backend) Ready() bool { return b.isReady.Load() }

// Serving reports whether commands may be submitted: the server is ready, or was so less than Hold ago. It is cheap.
func (b *Backend) Serving() bool {
	if b.isReady.Load() {
		return true
	}
	last := max(b.lastReady.Load(), b.lastHeard.Load())
	return last != 0 && time.Since(time.UnixMilli(last)) < b.cfg.Hold
}

// heard notes that the server answers commands although it did not pass its last check: one of them kept it for long. It is
// checked again soon.
func (b *Backend) heard() {
	if b.isReady.Load() || b.lastReady.Load() == 0 {
		return
	}
	now := time.Now().UnixMilli()
	if now-b.lastHeard.Swap(now) > 100 {
		b.Suspect()
	}
}

// Problem says why the server is not ready, as far as it is known; nil when it is.
func (b *Backend) Problem() error {
	if b.isReady.Load() {
		return nil
	}
	if found := b.problem.Load(); found != nil && *found != nil {
		return *found
	}
	return ErrNotReady
}

// WaitReady blocks until the server is ready.
func (b *Backend) WaitReady(ctx context.Context) error {
	for {
		b.mu.Lock()
		ready := b.ready
		b.mu.Unlock()
		select {
		case <-ready:
			return nil
		case <-ctx.Done():
			return ErrNotReady
		}
	}
}

// Suspect asks for a check at once: a connection broke, or a reply said that the server is not what it was.
func (b *Backend) Suspect() {
	select {
	case b.suspicions <- struct{}{}:
	default:
	}
}

// Reconnect closes every connection, shared and of the control plane, after the primary moved. Everything in flight is
// answered as lost.
func (b *Backend) Reconnect() {
	b.mu.Lock()
	b.newTenure()
	b.mu.Unlock()
	b.Suspect()
}
