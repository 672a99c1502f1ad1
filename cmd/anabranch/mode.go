package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"anabranch/internal/backend"
)

// The modes of a proxy (docs/migration.md).
const (
	modePassive = "passive"
	modeShadow  = backend.ModeShadow
	modeActive  = backend.ModeActive
)

// checkMode finds options that do not go with the mode. Those about other regions may be there in each, so that from one step to the next
// only the mode changes.
func (c *config) checkMode() error {
	switch {
	case c.ShadowOf != "" && c.Mode == modeActive:
		return errors.New("--shadow-of: is for --mode shadow; in active mode each region has a Redis of its own")
	case c.CopyOf != "" && c.Mode == modeShadow:
		return errors.New("--copy-of: is for --mode active: a copy becomes a region of its own")
	case c.Password != "" && c.Mode == modePassive:
		return errors.New("--password: a passive proxy passes logins on to Redis as they are; leave it out until --mode shadow")
	}
	return nil
}

// alone takes away what leads to other regions.
func (c config) alone(log zerolog.Logger) config {
	if c.Mode == modeActive {
		return c
	}
	if len(c.Peers) > 0 || c.Consul != "" {
		log.Info().Str("mode", c.Mode).Msg("other regions do not count until --mode active: --peer, --peer-listen and --consul are not used")
	}
	c.Peers, c.PeerListen, c.Consul = nil, "", ""
	return c
}

// home is the region whose data the Redis has: another one's, where this region has none of its own yet.
func (c *config) home() (name string, id int) {
	if c.ShadowOf == "" {
		return c.Region, c.RegionID
	}
	name, text, _ := strings.Cut(c.ShadowOf, "=")
	id, _ = strconv.Atoi(text) // values.go has checked it
	return name, id
}
