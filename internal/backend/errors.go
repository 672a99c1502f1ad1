package backend

import "errors"

// Reasons why a server cannot be the backend.
var (
	ErrNoFunctions    = errors.New("Redis 7.0 or newer, or Valkey, is needed: this server has no FUNCTION command")
	ErrNotPrimary     = errors.New("the backend is a replica, not a primary")
	ErrUnconfirmed    = errors.New("no majority of the Sentinels confirms the primary, and neither do all of its replicas")
	ErrEvictionPolicy = errors.New("maxmemory-policy evicts any key, also the metadata that merging needs: use noeviction or a volatile policy")
	ErrWrongRegion    = errors.New("the data belongs to another region")
	ErrFormat         = errors.New("the metadata in this Redis is of another version of Anabranch")
	ErrDatabaseInURL  = errors.New("the backend URL must not name a database: all of them are served")
	ErrNotReady       = errors.New("the backend is not ready")
)

// errProtocol means that the server's replies do not fit what was sent. The connection is closed.
var errProtocol = errors.New("backend: unexpected reply")

// What a client is told, without the leading "-" and the final CRLF. Its connection stays open: an error says plainly
// what is known of this command, whereas after a closed connection many client libraries send their unanswered commands
// again on their own, writes included.
const (
	errLostWrite = "ERR backend connection lost; the command may or may not have been executed"
	errLostRead  = "ERR backend connection lost"
	errNotSent   = "LOADING Anabranch has no connection to its Redis; the command was not executed"
	errReplica   = "READONLY You can't write against a read only replica."
	errFenced    = "NOREPLICAS Not enough good replicas to write."
	errNotArmed  = "LOADING Anabranch is taking over its Redis; the command was not executed"

	// Redis's words for a command; for a function it has others.
	errOutOfMemory = "OOM command not allowed when used memory > 'maxmemory'."
)
