package backend

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"

	"anabranch/crdtmeta"
)

// By these names Redis knows our connections: those that carry clients' commands, and those of the control plane.
const (
	LaneName    = "anabranch"
	ControlName = "anabranch-control"
)

// Config says which Redis is behind the proxy, who we are in it, and how much may wait for it.
type Config struct {
	// URL of the Redis: redis://[user:password@]host:port, rediss:// for TLS, or unix://. Names no database.
	URL string

	// TLS is the configuration of one new connection, where the URL asks for TLS. It is asked each time, so certificates may
	// change. Nil: the URL's host as server name, and the system's authorities.
	TLS func() *tls.Config

	// Source says where the primary is, for a Redis that fails over; of the URL only user, password and scheme count then. Nil: it
	// is where the URL says.
	Source Source

	// FenceAfter is for how long a primary is used that neither the Source nor all of its replicas confirm. 0: for ever.
	FenceAfter time.Duration

	// RegionID (1–63), RegionName and Shard identify this region's log.
	RegionID   int
	RegionName string
	Shard      int

	// XAddIDs says which stream ids XADD takes: "strict" (no complete ones), "semi-strict" (those too; the server completes
	// partial ones with a sequence of this region) or "liberal" (partial ones as Redis completes them). Default "semi-strict".
	XAddIDs string

	// HideConflictValues keeps values of clients out of the ledger of conflicts.
	HideConflictValues bool

	// TrustFor is how long the region may have been away, without a sign of life from its leader, and still take writes before
	// another region says that it has missed nothing. 0: for ever.
	TrustFor time.Duration

	// CopyOf names the region whose Redis this one is a copy of (a promoted replica, or its RDB file), so that the data may become
	// this region's. Empty: data of another region is refused.
	CopyOf string

	// Mode is ModeActive or ModeShadow. Default ModeActive.
	Mode string

	// Prefix of the keys that belong to Anabranch. Default "crdt:".
	Prefix string

	// Connections per database and protocol version that clients share. Default 1; more than one helps only where a
	// core of the proxy is the bottleneck, and makes the batches smaller.
	Connections int

	// FlushesInFlight is how many batches may be under way on one connection. The next one gathers meanwhile. Default 2.
	FlushesInFlight int

	// PendingBytes and PendingCommands bound what waits on one connection; past them a client's reading goroutine waits.
	// Defaults 8 MiB and 65,536.
	PendingBytes    int
	PendingCommands int

	// Hold is how long commands that were not sent wait for a lost connection to come back before they are answered with
	// an error, and from when on new ones are refused at once. Default 3 s.
	Hold time.Duration

	// DialTimeout bounds connecting, and each call of the control plane. Default 5 s.
	DialTimeout time.Duration

	// HealthInterval is how often the server is checked. Default 1 s.
	HealthInterval time.Duration

	// Log receives changes of state, never traffic.
	Log zerolog.Logger
}

// DefaultConfig returns a Config that lacks only URL and region.
func DefaultConfig() Config {
	return Config{
		XAddIDs:         "semi-strict",
		Mode:            ModeActive,
		Prefix:          crdtmeta.DefaultPrefix,
		Connections:     1,
		FlushesInFlight: 2,
		PendingBytes:    8 << 20,
		PendingCommands: 65536,
		Hold:            3 * time.Second,
		DialTimeout:     5 * time.Second,
		HealthInterval:  time.Second,
		Log:             zerolog.Nop(),
	}
}

// Validate names the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case c.RegionID < 1 || c.RegionID > 63:
		return fmt.Errorf("RegionID %d: must be 1 to 63", c.RegionID)
	case c.RegionName == "":
		return fmt.Errorf("RegionName: must not be empty")
	case c.Shard < 0:
		return fmt.Errorf("Shard %d: must not be negative", c.Shard)
	case c.XAddIDs != "strict" && c.XAddIDs != "semi-strict" && c.XAddIDs != "liberal":
		return fmt.Errorf("XAddIDs %q: must be strict, semi-strict or liberal", c.XAddIDs)
	case c.Mode != ModeActive && c.Mode != ModeShadow:
		return fmt.Errorf("Mode %q: must be active or shadow", c.Mode)
	case c.Connections < 1:
		return fmt.Errorf("Connections %d: must be at least 1", c.Connections)
	case c.FlushesInFlight < 1:
		return fmt.Errorf("FlushesInFlight %d: must be at least 1", c.FlushesInFlight)
	case c.PendingBytes < 1, c.PendingCommands < 1:
		return fmt.Errorf("PendingBytes, PendingCommands: must be positive")
	case c.FenceAfter < 0:
		return fmt.Errorf("FenceAfter: must not be negative")
	case c.Hold <= 0, c.DialTimeout <= 0, c.HealthInterval <= 0:
		return fmt.Errorf("Hold, DialTimeout, HealthInterval: must be positive")
	}
	if _, err := c.options(); err != nil {
		return fmt.Errorf("URL: %w", err)
	}
	return nil
}

// options turns the URL into the options of the control plane's client.
func (c Config) options() (*redis.Options, error) {
	opts, err := redis.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if opts.DB != 0 {
		return nil, ErrDatabaseInURL
	}
	opts.Protocol = 2
	opts.PoolSize = 4
	opts.MaxRetries = -1
	opts.DialerRetries = 1
	opts.DialTimeout = c.DialTimeout
	opts.ReadTimeout = c.DialTimeout
	opts.WriteTimeout = c.DialTimeout
	opts.DisableIdentity = true
	opts.ClientName = ControlName
	if c.Source != nil && opts.TLSConfig != nil {
		opts.TLSConfig.ServerName = "" // the certificate is for the host that is connected to
	}
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return opts, nil
}

// trustMillis is TrustFor as the engine takes it.
func (c Config) trustMillis() string {
	if c.TrustFor <= 0 {
		return ""
	}
	return strconv.FormatInt(c.TrustFor.Milliseconds(), 10)
}
