package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/rs/zerolog"

	"anabranch/internal/backend"
	"anabranch/translate"
)

// Config says where clients connect and how much each of them may take.
type Config struct {
	// Listen is the address for clients, HOST:PORT. Default "127.0.0.1:6380".
	Listen string

	// TLS is what clients must use; nil for plain TCP.
	TLS *tls.Config

	// Backend is the region's Redis. Its Run must outlive the server's.
	Backend *backend.Backend

	// Control answers CRDT commands and INFO crdt. Nil: they are answered with an error.
	Control Control

	// Classifier knows the commands and the reserved prefix. Nil: the one with the default prefix.
	Classifier *translate.Classifier

	// MessageChannel is the shard channel on which other regions' proxies hear what clients publish (syncer.MessageChannel);
	// empty when there is none.
	MessageChannel string

	// Observer sees every command that is accepted or refused, before it is known how it ends. Nil: nobody does, and nothing is paid for it.
	Observer Observer

	// Password of the default user, in the place of those that it has on the server. Empty: the server's count.
	Password string

	// UsersInterval is how often the server is asked for its users, and so how long a change that was not made through this
	// proxy may take to count here. Default 1 s.
	UsersInterval time.Duration

	// Loops is how many goroutines read clients' commands. 0 gives each client a goroutine of its own, which costs more.
	// Default: half of GOMAXPROCS, at least 1; the rest is for those who read replies.
	Loops int

	// MaxClients is how many clients may be connected; the next one gets an error. Default 10,000.
	MaxClients int

	// QueryBytes bounds one command, as client-query-buffer-limit does. Default 1 GiB.
	QueryBytes int

	// OutputBytes bounds the replies that a client has not taken yet, as client-output-buffer-limit does: past it the
	// client is disconnected. Default 256 MiB.
	OutputBytes int

	// ControlTimeout bounds calls of Control and slow commands of the proxy's own, except CRDT WAIT, and the beginning of TLS. Default 5 s.
	ControlTimeout time.Duration

	// ShutdownTimeout is how long replies in flight may take at the end. Default 5 s.
	ShutdownTimeout time.Duration

	// Log receives changes of state, never traffic.
	Log zerolog.Logger
}

// Observer looks at commands as they come. It may not block, and args are valid during the call only.
type Observer interface {
	Saw(plan *translate.Plan, args [][]byte, db int)
}

// DefaultConfig returns a Config that lacks only Backend.
func DefaultConfig() Config {
	return Config{
		Listen:          "127.0.0.1:6380",
		Loops:           max(1, runtime.GOMAXPROCS(0)/2),
		MaxClients:      10000,
		QueryBytes:      1 << 30,
		OutputBytes:     256 << 20,
		UsersInterval:   time.Second,
		ControlTimeout:  5 * time.Second,
		ShutdownTimeout: 5 * time.Second,
		Log:             zerolog.Nop(),
	}
}

// Validate names the first field that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Listen == "":
		return errors.New("Listen: must not be empty")
	case c.Backend == nil:
		return errors.New("Backend: is required")
	case c.Loops < 0:
		return fmt.Errorf("Loops %d: must not be negative", c.Loops)
	case c.MaxClients < 1:
		return fmt.Errorf("MaxClients %d: must be at least 1", c.MaxClients)
	case c.QueryBytes < 1<<20:
		return fmt.Errorf("QueryBytes %d: must be at least 1 MiB", c.QueryBytes)
	case c.OutputBytes < 1<<20:
		return fmt.Errorf("OutputBytes %d: must be at least 1 MiB", c.OutputBytes)
	case c.UsersInterval <= 0:
		return errors.New("UsersInterval: must be positive")
	case c.ControlTimeout <= 0, c.ShutdownTimeout <= 0:
		return errors.New("ControlTimeout, ShutdownTimeout: must be positive")
	}
	return nil
}
