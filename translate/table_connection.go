package translate

// The state of a connection lives in the proxy, because backend connections are shared.
var connectionCommands = rows{
	{Name: "AUTH", Arity: -2, Class: Connection, flags: "noscript loading stale fast no_auth allow_busy"},
	{Name: "CLIENT", Arity: -2, Class: Connection, subcommands: rows{
		{Name: "CLIENT CACHING", Arity: 3, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT GETNAME", Arity: 2, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT GETREDIR", Arity: 2, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT HELP", Arity: 2, Class: Connection, flags: "loading stale"},
		{Name: "CLIENT ID", Arity: 2, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT INFO", Arity: 2, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT KILL", Arity: -3, Class: Connection, flags: "admin noscript loading stale"},
		{Name: "CLIENT LIST", Arity: -2, Class: Connection, flags: "admin noscript loading stale"},
		{Name: "CLIENT NO-EVICT", Arity: 3, Class: Connection, flags: "admin noscript loading stale"},
		{Name: "CLIENT PAUSE", Arity: -3, Class: Connection, flags: "admin noscript loading stale"},
		{Name: "CLIENT REPLY", Arity: 3, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT SETNAME", Arity: 3, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT TRACKING", Arity: -3, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT TRACKINGINFO", Arity: 2, Class: Connection, flags: "noscript loading stale"},
		{Name: "CLIENT UNBLOCK", Arity: -3, Class: Connection, flags: "admin noscript loading stale"},
		{Name: "CLIENT UNPAUSE", Arity: 2, Class: Connection, flags: "admin noscript loading stale"},
	}},
	{Name: "ECHO", Arity: 2, Class: Local, flags: "loading stale fast"},
	{Name: "HELLO", Arity: -1, Class: Connection, flags: "noscript loading stale fast no_auth allow_busy"},
	{Name: "PING", Arity: -1, Class: Local, flags: "fast"},
	{Name: "QUIT", Arity: -1, Class: Connection, flags: "noscript loading stale fast no_auth allow_busy"},
	{Name: "RESET", Arity: 1, Class: Connection, flags: "noscript loading stale fast no_auth allow_busy"},
	{Name: "SELECT", Arity: 2, Class: Connection, flags: "loading stale fast"},
}
