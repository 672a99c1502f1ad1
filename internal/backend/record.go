package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"anabranch/crdtmeta"
)

// How a region's data is written (docs/migration.md).
const (
	ModeActive = "active" // with a record, which other regions take part in
	ModeShadow = "shadow" // with a record that nobody else has anything of yet; without, while somebody may write past the engine

	modeRecord = "record" // begin to record
)

// Where arming fails because of what others do.
var (
	ErrUnrecorded = errors.New("nothing is recorded in this Redis: passive proxies are in front of it, or were until just now")
	ErrMember     = errors.New("this Redis has other regions as members, and would lose what they write: remove them first (anabranch members remove)")
)

// Record begins to keep metadata, with the data there is now as the region's beginning. It fails with ErrUnrecorded when a passive proxy
// has come since the server was told that this is about to happen (crdt:plain).
func (b *Backend) Record(ctx context.Context) error {
	b.arming.Lock()
	defer b.arming.Unlock()
	server, _, err := b.identify(ctx)
	if err != nil {
		return err
	}
	server.Databases = b.Server().Databases
	if server.Origin, err = b.armAs(ctx, server, modeRecord); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.server = server
	b.cfg.Log.Info().Str("origin", server.Origin).Msg("metadata is recorded from now on")
	return nil
}

// armError names what an engine that was not armed has said.
func armError(err error) error {
	for code, reason := range map[string]error{"CRDTREGION": ErrWrongRegion, "CRDTFORMAT": ErrFormat, "CRDTPLAIN": ErrUnrecorded, "CRDTMEMBER": ErrMember} {
		if strings.HasPrefix(err.Error(), code) {
			return fmt.Errorf("%w: %s", reason, err)
		}
	}
	return fmt.Errorf("%s: %w", crdtmeta.FuncArm, err)
}
