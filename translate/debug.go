package translate

import "strings"

// DEBUG shows the inside of the server, and some of it changes data or ends the process. What only shows, or changes how this
// server works and not what it holds, passes where the operator allows DEBUG at all (enable-debug-command).

// debugPasses has the subcommands that may pass.
var debugPasses = map[string]bool{
	"AOF-FLUSH-SLEEP": true, "CLIENT-EVICTION": true, "CONFIG-REWRITE-FORCE-ALL": true, "DIGEST": true, "DIGEST-VALUE": true,
	"ERROR": true, "HELP": true, "HTSTATS": true, "HTSTATS-KEY": true, "LISTPACK": true, "LOADAOF": true, "LOG": true, "MALLCTL": true,
	"MALLCTL-STR": true, "OBJECT": true, "PAUSE-CRON": true, "PROTOCOL": true, "QUICKLIST": true, "QUICKLIST-PACKED-THRESHOLD": true,
	"REPLYBUFFER": true, "SDSLEN": true, "SET-ACTIVE-EXPIRE": true, "SLEEP": true, "STRINGMATCH-TEST": true, "STRUCTSIZE": true,
}

// debugRefusals has the others, and why. What is in neither list is not known well enough.
var debugRefusals = map[string]string{
	"ASSERT": noShutdown, "CRASH-AND-RECOVER": noShutdown, "OOM": noShutdown, "PANIC": noShutdown, "RESTART": noShutdown, "SEGFAULT": noShutdown,
	"POPULATE": noDebug, "REPLICATE": noDebug, "SET-DISABLE-DENY-SCRIPTS": noDebug, "LEAK": "it wastes the server's memory for good",
	"CHANGE-REPL-ID": rolesBelong, "DROP-CLUSTER-PACKET-FILTER": clusterOnly, "CLUSTERLINK": clusterOnly,
	"SET-SKIP-CHECKSUM-VALIDATION": "damaged values would be taken for good ones",
}

const oldData = "data from an older file would come back with stamps that are in use by now"

func debugDirection(plan Plan, args [][]byte) Plan {
	name := strings.ToUpper(string(echo(args[1], maxEchoBytes)))
	reason, refused := debugRefusals[name]
	switch {
	case name == "RELOAD" && len(args) == 2, debugPasses[name]:
		return plan
	case name == "RELOAD":
		reason = oldData
	case !refused:
		reason = noDebug
	}
	return refuse(plan.Command, oneLine("ERR 'debug "+strings.ToLower(name)+"' is not available through Anabranch: "+reason))
}
