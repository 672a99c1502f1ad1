package translate

import "strings"

// Flags are the command flags of COMMAND INFO, one bit each.
type Flags uint32

// Each flag means what Redis means by it. The proxy acts on some of them; all are kept, so that a test can compare whole
// rows with a real server.
const (
	FlagWrite           Flags = 1 << iota // may change data
	FlagReadOnly                          // only reads data
	FlagDenyOOM                           // refused over maxmemory
	FlagAdmin                             // for operators
	FlagPubSub                            // allowed in RESP2 while subscribed, if it is about subscriptions
	FlagNoScript                          // not callable from scripts
	FlagBlocking                          // may wait
	FlagLoading                           // allowed while the data set loads
	FlagStale                             // allowed on a replica with stale data
	FlagNoAsyncLoading                    // refused while a replica loads asynchronously
	FlagFast                              // constant or logarithmic time
	FlagNoAuth                            // allowed before authentication
	FlagNoMulti                           // not allowed inside MULTI
	FlagAllowBusy                         // allowed while a script runs too long
	FlagNoMandatoryKeys                   // may have no keys at all
	FlagMovableKeys                       // first, last, step do not tell all its keys
	FlagSkipMonitor                       // not shown by MONITOR
	FlagSkipSlowlog                       // not logged as slow
	FlagAsking                            // implies ASKING
)

var flagNames = [...]string{
	"write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "no_async_loading",
	"fast", "no_auth", "no_multi", "allow_busy", "no_mandatory_keys", "movablekeys", "skip_monitor", "skip_slowlog",
	"asking",
}

// parseFlags reads the names that a row lists. A name that is no flag is a mistake in the table.
func parseFlags(list string) Flags {
	var flags Flags
	for _, name := range strings.Fields(list) {
		flags |= parseFlag(name)
	}
	return flags
}

func parseFlag(name string) Flags {
	for bit, known := range flagNames {
		if known == name {
			return 1 << bit
		}
	}
	panic("translate: no such command flag: " + name)
}

// Names lists the flags as COMMAND INFO does.
func (f Flags) Names() []string {
	var names []string
	for bit, name := range flagNames {
		if f&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return names
}
