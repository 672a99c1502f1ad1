package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sort"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// Region is the identity of one region. All regions of a deployment have different names and different ids.
type Region struct {
	Name string
	ID   int // 1–63
}

// Config says who we are, where the region's Redis and the peers are, and how much of everything is allowed. Zero
// values of the fields from LeaseTime on mean the defaults named beside them.
type Config struct {
	Region Region
	Shard  int           // 0: a region has one shard today
	RunID  string        // of this proxy; names the holder of the lease
	Redis  *redis.Client // the region's primary; the caller closes it
	Prefix string        // of companion keys, default crdtmeta.DefaultPrefix

	Peers         map[string][]string // other regions by name, each with the addresses of its proxies
	PeerListen    string              // HOST:PORT on which peers pull our log; empty serves nobody
	InsecurePeers bool                // also talk to peers that are not on loopback when nothing authenticates them
	Dial          func(ctx context.Context, addr string) (net.Conn, error)

	// Identity makes every link mutual TLS. Nil: plain TCP.
	Identity Identity
	// Secrets are shared by all regions: the first one is proved to others, all are taken from them. Nil: none is asked for.
	Secrets func() [][]byte

	// Arm loads and arms the engine after Redis said that it is not. It may be called often and from several
	// goroutines, and must be cheap when there is nothing to do. Nil means that somebody else does it.
	Arm func(ctx context.Context) error
	// Record begins to keep metadata (backend.Record). Nil where it always is kept.
	Record func(ctx context.Context) error
	// Shadow: no other region is there yet. This proxy does not lead once one has become a member.
	Shadow bool
	// Lock decides, with the lease in Redis, which proxy of the region leads. Nil: the lease alone.
	Lock Lock
	Log  zerolog.Logger

	LeaseTime         time.Duration // 3 s; a dead leader is replaced after it. Renewed three times in that time
	BeatInterval      time.Duration // 1 s between heartbeats, both ways
	SilenceLimit      time.Duration // 5 s without a byte from the peer ends the link
	DialTimeout       time.Duration // 3 s for connect and handshake
	RetryMin          time.Duration // 100 ms before the second attempt, doubling with jitter…
	RetryMax          time.Duration // …up to 5 s
	StatusInterval    time.Duration // 1 s between publications of the status
	ExpireInterval    time.Duration // 100 ms between calls that turn due TTLs into effects
	TrimInterval      time.Duration // 2 s between trims of the log
	FootprintInterval time.Duration // 3 s between looks at how many keys there are and how large their metadata is
	CollectInterval   time.Duration // between rounds of collection: a quarter of Grace, 5 s at most
	Grace             time.Duration // 5 min from when every region has seen something until its metadata may go
	AloneAfter        time.Duration // 0: a region that was away for too long waits for another one's word without end
	QuarantineAfter   time.Duration // 24 h that a region may hold collection back before it goes on without it
	RelayAfter        time.Duration // 5 s without a link to a region before its effects are taken from another one
	KeepTime          time.Duration // 60 s of log stay although every peer has them, for one whose Redis fails over and loses them
	PausePoll         time.Duration // 10 ms between looks whether a paused region was resumed
	WaitPoll          time.Duration // 100 ms between attempts of an entry whose context has not arrived
	GatherTime        time.Duration // 5 ms between shipments of a log that grows all the time
	AckPoll           time.Duration // 3 ms between looks at crdt:acks while a CRDT WAIT waits
	DriftLimit        time.Duration // 60 s of difference between clocks raises an alarm

	// QuarantineMemory is how much metadata a region that is away may hold back before collection goes on without it. Default
	// DefaultQuarantineMemory.
	QuarantineMemory MemoryShare

	// ShipAfterReplicas is how many replicas of the region's Redis must have an effect before peers see it. Default 0.
	ShipAfterReplicas int

	WindowBytes  int           // 8 MiB sent to a peer and not acknowledged; also what we buffer of a peer
	FrameBytes   int           // 4 MiB in one frame; larger entries travel in several
	EntryBytes   int           // 1 GiB in one log entry
	BatchBytes   int           // 256 KiB of log in one frame, before compression
	CompressFrom int           // 1 KiB: smaller batches travel as they are
	ChunkEntries int           // 128 entries in one engine call
	ChunkBytes   int           // 256 KiB in one engine call; a single larger entry goes alone
	ChunkTime    time.Duration // 2 ms: calls that take longer make the next ones smaller
	// BacklogBytes is 256 MiB: a log that is larger loses its oldest entries, whoever lacks them. A peer that does takes the
	// state of keys instead, in a merge.
	BacklogBytes int
	MaxLinks     int // 128 peers connected at once
	MaxStrangers int // 64 connections at once whose other side is not known yet
	ExpireKeys   int // 100 due keys in one engine call

	negative bool // some limit or interval is below zero
}

var errConfig = errors.New("syncer")

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = crdtmeta.DefaultPrefix
	}
	if c.QuarantineMemory == (MemoryShare{}) {
		c.QuarantineMemory = DefaultQuarantineMemory
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.LeaseTime, 3 * time.Second},
		{&c.BeatInterval, time.Second},
		{&c.SilenceLimit, 5 * time.Second},
		{&c.DialTimeout, 3 * time.Second},
		{&c.RetryMin, 100 * time.Millisecond},
		{&c.RetryMax, 5 * time.Second},
		{&c.StatusInterval, time.Second},
		{&c.ExpireInterval, 100 * time.Millisecond},
		{&c.TrimInterval, 2 * time.Second},
		{&c.FootprintInterval, 3 * time.Second},
		{&c.Grace, 5 * time.Minute},
		{&c.QuarantineAfter, 24 * time.Hour},
		{&c.RelayAfter, 5 * time.Second},
		{&c.KeepTime, 60 * time.Second},
		{&c.PausePoll, 10 * time.Millisecond},
		{&c.WaitPoll, 100 * time.Millisecond},
		{&c.GatherTime, 5 * time.Millisecond},
		{&c.AckPoll, 3 * time.Millisecond},
		{&c.DriftLimit, 60 * time.Second},
		{&c.ChunkTime, 2 * time.Millisecond},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
		c.negative = c.negative || *d.field < 0
	}
	if c.CollectInterval == 0 {
		c.CollectInterval = min(5*time.Second, max(c.Grace/4, 50*time.Millisecond))
	}
	c.negative = c.negative || c.CollectInterval < 0
	for _, n := range []struct {
		field *int
		value int
	}{
		{&c.WindowBytes, 8 << 20},
		{&c.FrameBytes, 4 << 20},
		{&c.EntryBytes, 1 << 30},
		{&c.BatchBytes, 256 << 10},
		{&c.CompressFrom, 1 << 10},
		{&c.ChunkEntries, 128},
		{&c.ChunkBytes, 256 << 10},
		{&c.BacklogBytes, 256 << 20},
		{&c.MaxLinks, 128},
		{&c.MaxStrangers, 64},
		{&c.ExpireKeys, 100},
	} {
		if *n.field == 0 {
			*n.field = n.value
		}
		c.negative = c.negative || *n.field < 0
	}
	return c
}

// Validate names the first field that cannot be.
func (c Config) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", errConfig, fmt.Sprintf(format, args...))
	}
	switch {
	case c.Region.Name == "" || len(c.Region.Name) > maxNameBytes:
		return bad("Region.Name must have 1 to %d bytes", maxNameBytes)
	case c.Region.ID < crdtmeta.MinRegion || c.Region.ID > crdtmeta.MaxRegion:
		return bad("Region.ID %d is not in %d–%d", c.Region.ID, crdtmeta.MinRegion, crdtmeta.MaxRegion)
	case c.Shard != 0:
		return bad("Shard %d: a region has one shard, 0", c.Shard)
	case c.RunID == "" || len(c.RunID) > maxNameBytes:
		return bad("RunID must have 1 to %d bytes", maxNameBytes)
	case c.Redis == nil:
		return bad("Redis is missing")
	case len(c.Peers) >= crdtmeta.MaxRegion:
		return bad("Peers: %d regions, at most %d can be", len(c.Peers)+1, crdtmeta.MaxRegion)
	case c.negative:
		return bad("limits and intervals cannot be negative")
	case c.SilenceLimit <= c.BeatInterval:
		return bad("SilenceLimit %v must be longer than BeatInterval %v", c.SilenceLimit, c.BeatInterval)
	case c.BatchBytes > c.FrameBytes/2:
		return bad("BatchBytes %d must be at most half of FrameBytes %d", c.BatchBytes, c.FrameBytes)
	}
	if err := c.QuarantineMemory.validate(); err != nil {
		return bad("QuarantineMemory %v", err)
	}
	for _, name := range c.peerNames() {
		if name == c.Region.Name {
			return bad("Peers: %q is this region itself", name)
		}
		if name == "" || len(name) > maxNameBytes || name == AllRegions || isNumber(name) {
			return bad("Peers: %q cannot be the name of a region", name)
		}
		if len(c.Peers[name]) == 0 {
			return bad("Peers: %q has no address", name)
		}
	}
	return nil
}

// peerNames is in a fixed order, so that logs and status do not jump.
func (c Config) peerNames() []string {
	names := make([]string, 0, len(c.Peers))
	for name := range c.Peers {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// maxNameBytes keeps a HELLO below its limit.
const maxNameBytes = 128

func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", addr)
}
