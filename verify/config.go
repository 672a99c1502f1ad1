package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Region is one of the regions that are compared.
type Region struct {
	Name string
	// Dial opens a connection to a proxy's client port and logs in. The verifier closes it.
	Dial func(context.Context) (net.Conn, error)
}

// Config says what is compared and how.
type Config struct {
	Regions  []Region      // at least two
	Rate     int           // keys a second that are looked at first, 0 for as many as possible
	Patience time.Duration // how long a key that differs is looked at again until it counts as undecided, and one that was repaired until it is equal
	Repair   bool          // repair what differs
	Prefer   string        // the region whose value is right where nothing else tells; may be empty
}

// DefaultPatience is far above what effects take over a healthy link.
const DefaultPatience = 30 * time.Second

// Bounds.
const (
	workers      = 2                      // pages that are compared at the same time
	pageKeys     = 500                    // keys of a page
	pageBytes    = 256 << 10              // of their names
	lookKeys     = 100                    // keys of one CRDT DIGEST KEYS
	pendingKeys  = 20_000                 // keys that are not decided yet; scanning waits at the bound
	rememberKeys = 100_000                // keys that were reported, so that each is reported once
	callLimit    = 30 * time.Second       // one command
	firstDelay   = 50 * time.Millisecond  // until a key is looked at again
	mostDelay    = 500 * time.Millisecond // it doubles up to this
	endsSoon     = 10 * time.Second       // clocks of regions differ by less
)

// Validate names what is wrong.
func (c *Config) Validate() error {
	switch {
	case len(c.Regions) < 2:
		return errors.New("two regions at least are needed to compare")
	case c.Rate < 0:
		return fmt.Errorf("rate: %d is negative", c.Rate)
	case c.Patience <= 0:
		return fmt.Errorf("patience: %v is not above zero", c.Patience)
	}
	if c.Prefer != "" && !c.Repair {
		return errors.New("prefer: nothing is to be repaired")
	}
	names := map[string]bool{}
	for _, region := range c.Regions {
		if names[region.Name] {
			return fmt.Errorf("region %s is named twice", region.Name)
		}
		names[region.Name] = true
	}
	if c.Prefer != "" && !names[c.Prefer] {
		return fmt.Errorf("prefer: %s is none of the regions", c.Prefer)
	}
	return nil
}
