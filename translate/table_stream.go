package translate

// Streams can be read, for data that was there before; their writes wait for region-unique ids in the engine.
var streamCommands = rows{
	{Name: "XACK", Arity: -4, Class: Refused, flags: "write fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XADD", Arity: -5, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XAUTOCLAIM", Arity: -6, Class: Refused, flags: "write fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XCLAIM", Arity: -6, Class: Refused, flags: "write fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XDEL", Arity: -3, Class: Refused, flags: "write fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XGROUP", Arity: -2, Class: Refused, Later: true, Reason: noStreams, subcommands: rows{
		{Name: "XGROUP CREATE", Arity: -5, Class: Refused, flags: "write denyoom", keys: keys(at(2, writes)), Later: true, Reason: noStreams},
		{Name: "XGROUP CREATECONSUMER", Arity: 5, Class: Refused, flags: "write denyoom", keys: keys(at(2, writes)), Later: true, Reason: noStreams},
		{Name: "XGROUP DELCONSUMER", Arity: 5, Class: Refused, flags: "write", keys: keys(at(2, writes)), Later: true, Reason: noStreams},
		{Name: "XGROUP DESTROY", Arity: 4, Class: Refused, flags: "write", keys: keys(at(2, writes)), Later: true, Reason: noStreams},
		{Name: "XGROUP HELP", Arity: 2, Class: Read, flags: "loading stale"},
		{Name: "XGROUP SETID", Arity: -5, Class: Refused, flags: "write", keys: keys(at(2, writes)), Later: true, Reason: noStreams},
	}},
	{Name: "XINFO", Arity: -2, Class: Read, subcommands: rows{
		{Name: "XINFO CONSUMERS", Arity: 4, Class: Read, flags: "readonly", keys: keys(at(2, reads))},
		{Name: "XINFO GROUPS", Arity: 3, Class: Read, flags: "readonly", keys: keys(at(2, reads))},
		{Name: "XINFO HELP", Arity: 2, Class: Read, flags: "loading stale"},
		{Name: "XINFO STREAM", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(2, reads))},
	}},
	{Name: "XLEN", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "XPENDING", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "XRANGE", Arity: -4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "XREAD", Arity: -4, Class: Read, flags: "readonly blocking movablekeys", keys: keys(halfAfter("STREAMS", 1, reads)), decide: xreadDirection},
	{Name: "XREADGROUP", Arity: -7, Class: Refused, flags: "write blocking movablekeys", keys: keys(halfAfter("STREAMS", 4, reads)), Later: true, Reason: noStreams},
	{Name: "XREVRANGE", Arity: -4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "XSETID", Arity: -3, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
	{Name: "XTRIM", Arity: -4, Class: Refused, flags: "write", keys: keys(at(1, writes)), Later: true, Reason: noStreams},
}
