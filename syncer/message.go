package syncer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"anabranch/crdtmeta"
)

// protocolVersion changes when a proxy of before could misread what we send.
const protocolVersion = 5

// The verbs of the peer link. The puller connects and says HELLO; each side knows the other before any data moves.
//
//	puller                                  server
//	HELLO version hello nonce ──►
//	                          ◄──  CHALLENGE nonce             where regions share a secret, see secret.go
//	PROOF proof               ──►
//	                          ◄──  WELCOME version welcome proof     or ERROR code text, then the end
//	PULL frontier             ──►
//	                          ◄──  STREAM after index          or ERROR
//	                          ◄──  LOG codec index payload      …
//	ACK frontier              ──►  …
//	BEAT now echo held tail added frontier apart roster heard ◄──► each second
//	STATE request db key      ──►
//	                          ◄──  STATE request part bytes
//	                          ◄──  MESSAGE command channel text
//
// A puller that the log can no longer serve says MERGE in the place of PULL, and asks for one piece after the other:
//
//	MERGE request             ──►
//	                          ◄──  MERGING offer               or ERROR
//	NEXT                      ──►
//	                          ◄──  KEYS place codec part bytes …
//	ASK names                 ──►
//	                          ◄──  KEYS place codec part bytes …
const (
	verbHello     = "HELLO"
	verbChallenge = "CHALLENGE"
	verbProof     = "PROOF"
	verbWelcome   = "WELCOME"
	verbPull      = "PULL"
	verbStream    = "STREAM"
	verbLog       = "LOG"
	verbAck       = "ACK"
	verbBeat      = "BEAT"
	verbState     = "STATE"
	verbMessage   = "MESSAGE"
	verbError     = "ERROR"
	verbMerge     = "MERGE"
	verbMerging   = "MERGING"
	verbNext      = "NEXT"
	verbAsk       = "ASK"
	verbKeys      = "KEYS"
)

// The codes of ERROR. Texts are for people, codes for the state machine.
const (
	codeVersion  = "version"   // no common protocol version
	codeIdentity = "identity"  // wrong, unknown or doubled region
	codeSelf     = "self"      // the peer is this region itself
	codeInsecure = "insecure"  // not on loopback, and nothing authenticates the peer
	codeTLS      = "tls"       // no TLS connection came about
	codeSecret   = "secret"    // one side does not prove that it knows the shared secret
	codeNotReady = "not-ready" // the region has no epoch yet, or its Redis does not answer
	codeBehind   = "behind"    // the log no longer holds what the puller lacks
	codeAhead    = "ahead"     // the puller has what this log never held
	codeEpoch    = "epoch"     // a new epoch began: connect again
	codeProtocol = "protocol"  // a frame that makes no sense
	codeBusy     = "busy"      // too many links
)

// peerError is an ERROR frame, sent or received.
type peerError struct {
	code  string
	text  string
	heard bool // from the other side
}

func (e *peerError) Error() string { return e.text }

func refuse(code, format string, args ...any) *peerError {
	return &peerError{code: code, text: fmt.Sprintf(format, args...)}
}

// plain is an error's text without the addresses and ports of connections, which differ each time: a text is logged
// when it is new.
func plain(err error) string {
	if err == nil {
		return ""
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op != "dial" {
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// maxErrorBytes bounds the text of a peer's error in logs and status.
const maxErrorBytes = 400

// asError turns an ERROR frame into its error.
func (f frame) asError() error {
	return &peerError{code: f.text(1), text: fmt.Sprintf("peer says: %q", cut(f.text(2))), heard: true}
}

func cut(text string) string { return text[:min(len(text), maxErrorBytes)] }

// unexpected is the error of a frame that the reader has no use for: its own, if it is an ERROR.
func (f frame) unexpected() error {
	if f.verb() == verbError {
		return f.asError()
	}
	return fmt.Errorf("%w: %.20q", errProtocol, f.verb())
}

// hello is what the puller says of itself, and whom it expects.
type hello struct {
	Name       string `json:"name"`
	ID         int    `json:"id"`
	Shard      int    `json:"shard"`
	RunID      string `json:"run_id"`
	Origin     string `json:"origin"` // the puller's own origin in force
	ExpectName string `json:"expect_name"`
	ExpectID   int    `json:"expect_id"` // 0 when the puller never met that region
	Window     int    `json:"window_bytes"`

	Base    base          `json:"base"`
	Reentry crdtmeta.Time `json:"reentry"` // when the puller's region was last let out of quarantine, in its own time
}

// origin is the puller's own origin in force.
func (h hello) origin() (crdtmeta.Origin, error) {
	origin, err := crdtmeta.ParseOrigin(h.Origin)
	if err != nil || origin.Region != h.ID {
		return origin, refuse(codeProtocol, "origin %.60q is not one of region '%.128s' (id %d)", h.Origin, h.Name, h.ID)
	}
	return origin, nil
}

// welcome is the server's side of it.
type welcome struct {
	Name   string                   `json:"name"`
	ID     int                      `json:"id"`
	Shard  int                      `json:"shard"`
	RunID  string                   `json:"run_id"`
	Origin string                   `json:"origin"`
	Tail   crdtmeta.Time            `json:"tail"`   // newest log entry
	Epochs map[string]crdtmeta.Time `json:"epochs"` // the newest epochs and when they began, at most maxEpochsShown
	Base   base                     `json:"base"`
	// Collected is, by origin, what has no metadata there any more. Who lacks some of it must merge everything.
	Collected crdtmeta.Frontier `json:"collected"`
	// Frontier is what the region has applied. Who has collected more than that takes nothing from there: what the region does not have
	// it may have missed.
	Frontier crdtmeta.Frontier `json:"frontier"`
	// Later is an epoch of the caller's region that was in force when the region last heard of it, and is not older than the caller's. Two
	// servers took themselves for that region's primary, or the caller's has lost what it knew. None: the zero origin as "".
	Later string `json:"later"`
	Held  bool   `json:"held"`  // the region is in quarantine
	Apart bool   `json:"apart"` // the caller's region is in quarantine there
}

// maxEpochsShown keeps a WELCOME small, below welcomeBytes. Only the server needs all epochs.
const maxEpochsShown = 16

const welcomeBytes = 256 << 10

// decodeJSON reads an identity. Unknown fields are allowed: a later version may say more.
func decodeJSON[T any](f frame, i int) (value T, err error) {
	if err := json.Unmarshal(f.bytes(i), &value); err != nil {
		return value, fmt.Errorf("%w: %s: %w", errFrame, f.verb(), err)
	}
	return value, nil
}

func encodeJSON(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // plain structs of strings and numbers
	}
	return body
}

// beat is a heartbeat: a sign of life, the clock, and how far each side is.
type beat struct {
	now      int64 // sender's wall clock, ms
	echo     int64 // now of the newest beat that the sender received, 0 for none
	held     int64 // ms between receiving that beat and sending this one
	tail     crdtmeta.Time
	added    int64 // entries that the sender's log ever had
	frontier crdtmeta.Frontier
	apart    []string          // ids of regions that are in quarantine at the sender
	roster   []byte            // changes of the membership, JSON
	heard    crdtmeta.Frontier // how many effects the sender's epoch, and epochs of the receiver, have had as far as it knows
}

func (c *frameConn) writeBeat(b beat) error {
	return c.write(verbBeat, b.now, b.echo, b.held, int64(b.tail), b.added, b.frontier.AppendMsgpack(nil), strings.Join(b.apart, " "), b.roster, b.heard.AppendMsgpack(nil))
}

func (f frame) asBeat() (b beat, err error) {
	var numbers [5]int64
	for i := range numbers {
		if numbers[i], err = f.number(i + 1); err != nil {
			return b, err
		}
	}
	b = beat{now: numbers[0], echo: numbers[1], held: numbers[2], tail: crdtmeta.Time(numbers[3]), added: numbers[4]}
	if b.frontier, err = crdtmeta.DecodeFrontier(f.bytes(6)); err != nil {
		return b, err
	}
	b.apart, b.roster = strings.Fields(f.text(7)), f.bytes(8)
	if len(b.apart) > crdtmeta.MaxRegion || len(b.roster) > maxRosterBytes {
		return b, fmt.Errorf("%w: %s of %d regions apart, %d bytes of membership", errFrame, verbBeat, len(b.apart), len(b.roster))
	}
	for _, id := range b.apart {
		if n, err := parseCount(id); err != nil || n < crdtmeta.MinRegion || n > crdtmeta.MaxRegion {
			return b, fmt.Errorf("%w: %s: %.20q is no region's id", errFrame, verbBeat, id)
		}
	}
	b.heard, err = crdtmeta.DecodeFrontier(f.bytes(9))
	return b, err
}
