package sentinel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/rs/zerolog"
)

// Config says which Sentinels to ask about which primary.
type Config struct {
	// Sentinels are HOST:PORT. Those that they know are found by themselves, so one that lives at the start is enough; but all of
	// these count for the majority, whether they live or not.
	Sentinels []string

	// Name of the primary, as in "sentinel monitor".
	Name string

	// Username and Password are for the Sentinels themselves. Without a password there is no login.
	Username string
	Password string

	// TLS is the configuration of one new connection to a Sentinel. It is asked each time, so certificates may change. Nil: plain TCP.
	TLS func() *tls.Config

	// PollInterval is how often each Sentinel is asked. Default 1 s.
	PollInterval time.Duration

	// Timeout bounds connecting to a Sentinel, and each answer. Default 1 s.
	Timeout time.Duration

	// AnswerLife is how long an answer counts. Default 3 s; it must be longer than PollInterval and Timeout together.
	AnswerLife time.Duration

	// Log receives changes of state.
	Log zerolog.Logger
}

// maxSentinels bounds how many are asked, configured and found.
const maxSentinels = 64

// DefaultConfig returns a Config that lacks only Sentinels and Name.
func DefaultConfig() Config {
	return Config{PollInterval: time.Second, Timeout: time.Second, AnswerLife: 3 * time.Second, Log: zerolog.Nop()}
}

// Use takes over what a URL says; TLS is given separately, since a URL names no certificates.
func (c *Config) Use(u URL) {
	c.Sentinels, c.Name = u.Sentinels, u.Name
	if u.Sentinel != nil {
		c.Username = u.Sentinel.Username()
		c.Password, _ = u.Sentinel.Password()
	}
}

// Validate names the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case len(c.Sentinels) == 0 || len(c.Sentinels) > maxSentinels:
		return fmt.Errorf("Sentinels: %d, expected 1 to %d", len(c.Sentinels), maxSentinels)
	case c.Name == "":
		return errors.New("Name: must not be empty")
	case c.PollInterval <= 0, c.Timeout <= 0:
		return errors.New("PollInterval, Timeout: must be positive")
	case c.AnswerLife <= c.PollInterval+c.Timeout:
		return errors.New("AnswerLife: must be longer than PollInterval and Timeout together")
	}
	return nil
}

func (c Config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: c.Timeout}
	if c.TLS == nil {
		return dialer.DialContext(ctx, network, addr)
	}
	secure := tls.Dialer{NetDialer: dialer, Config: c.TLS()}
	return secure.DialContext(ctx, network, addr)
}

// client connects to one Sentinel, when it is used.
func (c Config) client(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, Username: c.Username, Password: c.Password, Dialer: c.dial,
		Protocol: 2, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true, ClientName: "anabranch",
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}
