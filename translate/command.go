package translate

// Class says which way a command takes through the proxy. Every command has exactly one.
type Class uint8

// The classes of design: read-only commands pass through as raw bytes, writes go to the engine, the rest is handled by
// the proxy itself, or refused before anything changes.
const (
	Unclassified Class = iota // never in the finished table; a test fails on it
	Read                      // raw bytes to the shared lane, raw reply bytes back
	Write                     // an op of an engine call
	ReadOrWrite               // Read or Write, by its arguments (SORT, GEORADIUS, BITFIELD); never in a Plan
	Blocking                  // may wait; queued in the proxy, popped by the engine
	PubSub                    // subscriptions and messages
	Transaction               // MULTI, EXEC, DISCARD, WATCH, UNWATCH
	Script                    // EVAL, FCALL, SCRIPT, FUNCTION
	Connection                // state of this client's connection (HELLO, SELECT, CLIENT SETNAME …)
	Admin                     // about the server, passed or answered after a check (INFO, CONFIG GET …)
	Local                     // answered by the proxy alone (PING, ECHO, TIME, COMMAND, CRDT …)
	Refused                   // answered with an error and the reason
)

// Classes is how many there are.
const Classes = int(Refused) + 1

var classNames = [...]string{
	"unclassified", "read", "write", "read-or-write", "blocking", "pubsub", "transaction", "script", "connection",
	"admin", "local", "refused",
}

func (c Class) String() string { return classNames[c] }

// Shape says how the engine's RESP2 reply becomes what Redis would have sent, in RESP2 and in RESP3.
type Shape uint8

// The shapes that need more than passing on. See docs/engine.md, section 3.
const (
	ShapePlain         Shape = iota // as it is; in RESP3 a null bulk becomes "_"
	ShapeInteger                    // a bulk of digits becomes an integer
	ShapeDouble                     // a bulk becomes a double in RESP3 (ZINCRBY, ZADD INCR)
	ShapeSet                        // an array becomes a set in RESP3 (SPOP with count)
	ShapeNullArray                  // null becomes a null array in RESP2 (LPOP with count)
	ShapeScorePairs                 // flat member, score array; RESP3: array of [member, double] pairs (ZPOPMIN with count)
	ShapeScorePair                  // flat member, score array; RESP3: flat with a double (ZPOPMIN without count)
	ShapePopScorePairs              // ZMPOP: [key, [[member, score]…]], null array when nothing was popped, doubles in RESP3
	ShapePopScore                   // [key, member, score], null array when nothing was popped, a double in RESP3 (BZPOPMIN)
	ShapeKeys                       // array of key names: companions are left out (KEYS)
	ShapeScan                       // [cursor, array of key names]: companions are left out (SCAN)
	ShapeLibraries                  // FUNCTION LIST: our own library is left out
	ShapeStreams                    // array of [key, entries]: null array when there is nothing, a map in RESP3 (XREADGROUP)
	ShapeIntegers                   // array in which a bulk of digits becomes an integer, and nulls stay (BITFIELD)
)

var shapeNames = [...]string{
	"plain", "integer", "double", "set", "null-array", "score-pairs", "score-pair", "pop-score-pairs", "pop-score", "keys",
	"scan", "libraries", "streams", "integers",
}

func (s Shape) String() string { return shapeNames[s] }

// Command is one row of the table. Rows are shared and never changed.
type Command struct {
	Name    string // upper case; a subcommand carries its container: "CLIENT LIST"
	Group   string // as COMMAND DOCS names it: "string", "sorted_set" …
	Arity   int    // as COMMAND INFO gives it: negative means "at least"
	Class   Class
	Reason  string // why it is refused; for Refused only. One that starts with "ERR " is the whole error
	Flags   Flags  // as COMMAND INFO gives them
	DenyOOM bool   // Redis refuses it over maxmemory; decides the engine's entry point
	Shape   Shape

	flags       string // the literal that becomes Flags
	keys        []keySpec
	channels    channelArgs
	merges      string // how concurrent uses merge, in words; for the documentation
	decide      func(Plan, [][]byte) Plan
	subcommands rows
	bySuffix    map[string]*Command // the subcommands by the name after the container's
	container   *Command            // of a subcommand
	refusal     string              // the error of a refused command, built once
}

// Plan is what the proxy does with one command, arguments considered.
type Plan struct {
	Command *Command // the subcommand's row where there is one; nil for an unknown command
	Class   Class    // Read or Write where the table says ReadOrWrite; Refused whenever Err is set
	Shape   Shape
	DenyOOM bool
	Err     string // non-empty: answer "-" + Err, and do nothing else. Redis's own words

	// Malformed says that Err is about an unknown command or a wrong number of arguments, which Redis answers before it
	// asks who the client is.
	Malformed bool
}
