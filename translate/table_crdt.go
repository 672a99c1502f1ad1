package translate

// CRDT is Anabranch's own container command. No server has it; everything else about it is as if one had.
var crdtCommands = rows{
	{Name: "CRDT", Arity: -2, Class: Local, subcommands: rows{
		{Name: "CRDT CONFLICTS", Arity: -2, Class: Local, flags: "noscript"},
		{Name: "CRDT DIGEST", Arity: -4, Class: Local, flags: "readonly admin noscript", keys: keys(span(3, -1, reads))},
		{Name: "CRDT EXPLAIN", Arity: 3, Class: Local, flags: "readonly noscript", keys: keys(at(2, reads))},
		{Name: "CRDT HELP", Arity: 2, Class: Local, flags: "loading stale"},
		{Name: "CRDT INFO", Arity: 2, Class: Local, flags: "noscript loading stale"},
		{Name: "CRDT MEMBERS", Arity: -2, Class: Local, flags: "admin noscript"},
		{Name: "CRDT PAUSE", Arity: 3, Class: Local, flags: "admin noscript"},
		{Name: "CRDT PEERS", Arity: 2, Class: Local, flags: "noscript loading stale"},
		{Name: "CRDT REPAIR", Arity: -3, Class: Local, flags: "write denyoom admin noscript", keys: keys(span(2, -1, reads|writes))},
		{Name: "CRDT RESUME", Arity: 3, Class: Local, flags: "admin noscript"},
		{Name: "CRDT STATUS", Arity: 2, Class: Local, flags: "noscript loading stale"},
		{Name: "CRDT VERIFY", Arity: -2, Class: Refused, flags: "admin noscript", Reason: noVerify},
		{Name: "CRDT WAIT", Arity: 4, Class: Local, flags: "noscript"},
	}},
}
