package proxy

import (
	"context"
	"time"
)

// Control is what the CRDT command, INFO crdt and PING need to know about the rest of the process. The syncer
// implements it. Methods may block until ctx ends; they are never called from the goroutine that serves other clients.
// An error that a method returns is shown to the client, after "ERR " unless its text begins with an upper-case code.
type Control interface {
	// Pause stops taking effects from a region, for the whole region and not for this proxy alone. The region is a
	// name or a numeric id; AllRegions means every peer.
	Pause(ctx context.Context, region string) error

	// Resume takes them again. Resuming what is not paused is no error.
	Resume(ctx context.Context, region string) error

	// Wait blocks until that many other regions have applied everything that this region's log holds at the moment of
	// the call, or until the timeout (0 means no limit but ctx). It returns how many have, also after the timeout.
	Wait(ctx context.Context, regions int, timeout time.Duration) (int, error)

	// Peers lists the other regions in the order of their ids.
	Peers(ctx context.Context) ([]Peer, error)

	// Info returns the fields of the "# CRDT" section of INFO, in the order in which they are shown.
	Info(ctx context.Context) ([]Field, error)

	// Status returns what CRDT STATUS prints: what each link does now, and what waits for what.
	Status(ctx context.Context) ([]Field, error)

	// Members lists all other regions that are or were members.
	Members(ctx context.Context) ([]Member, error)

	// AddMember makes a region a member, in all regions. addrs are its proxies' addresses for peers.
	AddMember(ctx context.Context, name string, addrs []string) error

	// RemoveMember ends a region's membership, in all regions.
	RemoveMember(ctx context.Context, name string) error

	// Conflicts returns the newest n resolved conflicts, the newest first.
	Conflicts(ctx context.Context, n int) ([]Conflict, error)
}

// Member is another region, as the membership has it.
type Member struct {
	Name    string
	ID      int // 0 until it was met
	Addrs   []string
	Removed bool
}

// AllRegions is the region argument of CRDT PAUSE and RESUME that means every peer.
const AllRegions = "ALL"

// PeerState says what the link to a region does at the moment.
type PeerState string

// The states of a link.
const (
	PeerProbe       PeerState = "probe"       // looking for a healthy proxy of that region
	PeerStream      PeerState = "stream"      // applying that region's log
	PeerMerge       PeerState = "merge"       // catching up by a key-level merge
	PeerPaused      PeerState = "paused"      // held by CRDT PAUSE
	PeerRefused     PeerState = "refused"     // that region does not take us, see LastError
	PeerQuarantined PeerState = "quarantined" // silent past the limit; must merge before it counts again
)

// Peer is one other region, as this one sees it.
type Peer struct {
	Name       string
	ID         int
	Addr       string // the proxy that the link leads to; empty when there is none
	State      PeerState
	Lag        time.Duration // age of the oldest effect of that region that is not applied here; 0 when none is known
	LagEffects int64         // effects known to wait there
	Drift      time.Duration // the clock of that region's Redis minus the one of ours; 0 when unknown
	Connected  time.Time     // since when the link is up; zero when it is down
	LastError  string        // why the link was last lost or refused; empty when it never was
	AckedTime  time.Time     // up to this time of our log that region has applied everything
}

// Field is one name and value of INFO.
type Field struct {
	Name  string
	Value string
}

// Conflict is one entry of the ledger of resolved conflicts (docs/engine.md, section 7).
type Conflict struct {
	ID      string // later entries have higher ones
	DB      int
	Key     string
	Element string
	Type    string
	Rule    string
	Winner  ConflictSide
	Loser   ConflictSide
	At      time.Time
}

// ConflictSide is one of the two concurrent writes. Value is cut at 256 bytes.
type ConflictSide struct {
	Origin string
	Time   time.Time
	Value  string
}
