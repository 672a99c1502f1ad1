package syncer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// Syncer is one proxy's part in the exchange between regions. Its methods may be called from any goroutine, also before
// and after Run.
type Syncer struct {
	cfg        Config
	keys       keys
	region     region
	engine     engine
	members    members
	acks       *acks
	counters   counters
	redisClock regionClock
	latest     atomic.Pointer[published] // what this proxy, as the leader, last found out

	pauses  signal // a region was paused or resumed through this proxy
	leading atomic.Bool
	armed   armer
	tally   tally

	roster   roster
	found    found
	mu       sync.Mutex   // guards what follows
	listener net.Listener // nil unless Run serves peers
	known    membership
	knownAt  time.Time
	refused  map[string]refused // by peer: why its last attempt was refused, so that it is logged once
}

// New checks the configuration. It connects to nothing.
func New(cfg Config) (*Syncer, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	k := newKeys(cfg.Prefix)
	return &Syncer{
		cfg:     cfg,
		keys:    k,
		region:  region{rdb: cfg.Redis, keys: k, me: cfg.Region},
		engine:  newEngine(cfg.Redis, cfg.Prefix),
		members: members{rdb: cfg.Redis, keys: k},
		acks:    &acks{rdb: cfg.Redis, key: k.acks, poll: cfg.AckPoll},
		armed:   armer{arm: cfg.Arm},
		refused: map[string]refused{},
		roster:  roster{current: cfg.Peers},
		found:   found{noted: map[string][]string{}},
	}, nil
}

// Run serves peers, and leads the region while it holds the lease. It returns when ctx ends and everything that it
// started has ended, or when it cannot listen.
func (s *Syncer) Run(ctx context.Context) error {
	listener, err := s.listen()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if listener != nil {
		server := newServer(s)
		group.Go(func() error { return server.accept(ctx, listener) })
	}
	group.Go(func() error { s.watchClock(ctx); return nil })
	group.Go(func() error { s.countOwn(ctx); return nil })
	group.Go(func() error {
		s.followRoster(ctx)
		return nil
	})
	group.Go(func() error {
		l := lease{rdb: s.cfg.Redis, key: s.keys.lease, holder: s.cfg.RunID, length: s.cfg.LeaseTime, lock: s.cfg.Lock, barred: s.barred, busy: s.engine.busy}
		work := s.lead
		if s.cfg.Record != nil {
			work = s.leadRecorded
		}
		l.hold(ctx, work, func(leading bool) {
			s.leading.Store(leading)
			s.cfg.Log.Info().Bool("leading", leading).Msg("leadership of the region")
		})
		return nil
	})
	return group.Wait()
}

func (s *Syncer) listen() (net.Listener, error) {
	if s.cfg.PeerListen == "" {
		return nil, nil
	}
	listener, err := net.Listen("tcp", s.cfg.PeerListen)
	if err != nil {
		return nil, fmt.Errorf("listen for peers: %w", err)
	}
	s.mu.Lock()
	s.listener = listener
	s.mu.Unlock()
	return listener, nil
}

// PeerAddr is the address on which peers are served, or "" before Run listens.
func (s *Syncer) PeerAddr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Leading says whether this proxy pulls for the region at the moment.
func (s *Syncer) Leading() bool { return s.leading.Load() }

// blockingClient has one new connection for reads that block. A new one leads to the primary of the moment, not to one
// that was primary when a pool was filled; and closing the client ends the read.
func (s *Syncer) blockingClient() *redis.Client { return s.ownConnection(0) }

// ownConnection is a client with one new connection, in a database.
func (s *Syncer) ownConnection(db int) *redis.Client {
	options := *s.cfg.Redis.Options()
	options.DB = db
	options.PoolSize, options.MaxActiveConns = 1, 1
	options.MinIdleConns, options.MaxIdleConns = 0, 0
	return redis.NewClient(&options)
}

// membership is the one in Redis, at most a second old, or less while a peer was never met.
func (s *Syncer) membership(ctx context.Context) (membership, error) {
	s.mu.Lock()
	known, at := s.known, s.knownAt
	s.mu.Unlock()
	limit := time.Second
	for name := range s.peers() {
		if known.ids[name] == 0 {
			limit = 50 * time.Millisecond
		}
	}
	if time.Since(at) < limit {
		return known, nil
	}
	known, err := s.members.load(ctx)
	if err != nil {
		return known, err
	}
	s.mu.Lock()
	s.known, s.knownAt = known, time.Now()
	s.mu.Unlock()
	return known, nil
}

// armer calls the Arm callback for one goroutine at a time: those who wait meanwhile find the engine armed.
type armer struct {
	arm func(context.Context) error
	mu  sync.Mutex
}

func (a *armer) run(ctx context.Context) error {
	if a.arm == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.arm(ctx)
}

// counters count since this process started.
type counters struct {
	streamsServed   atomic.Int64 // peers that got a stream from us
	streamsRefused  atomic.Int64 // peers that asked and got none
	entriesSent     atomic.Int64
	entriesSkipped  atomic.Int64 // log entries that are none of ours
	keysExpired     atomic.Int64
	keysEvicted     atomic.Int64
	stampsAhead     atomic.Int64 // entries applied whose stamps were too far ahead of the region's clock
	entriesTrimmed  atomic.Int64
	mergesRequested atomic.Int64 // streams that a merge was needed for
	replicaWaits    atomic.Int64 // times that too few replicas had what was to be shipped
	relays          atomic.Int64 // merges begun for effects that their origin could not give
	mergesServed    atomic.Int64 // merges that a peer began here
	mergesDone      atomic.Int64 // merges that this region has finished
	messagesDropped atomic.Int64 // published messages that were too large or too many
}
