package translate

// Each entry is a cell of its own, and each group; consumers and pending entries belong to their region.
var streamCommands = rows{
	{Name: "XACK", Arity: -4, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: acknowledged},
	{Name: "XADD", Arity: -5, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: entryAddWins},
	{Name: "XAUTOCLAIM", Arity: -6, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: ownRegion},
	{Name: "XCLAIM", Arity: -6, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: ownRegion},
	{Name: "XDEL", Arity: -3, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: observedRemove},
	{Name: "XGROUP", Arity: -2, Class: Write, subcommands: rows{
		{Name: "XGROUP CREATE", Arity: -5, Class: Write, flags: "write denyoom", keys: keys(at(2, writes)), merges: groupUnion},
		{Name: "XGROUP CREATECONSUMER", Arity: 5, Class: Write, flags: "write denyoom", keys: keys(at(2, writes)), merges: ownRegion},
		{Name: "XGROUP DELCONSUMER", Arity: 5, Class: Write, flags: "write", keys: keys(at(2, writes)), merges: ownRegion},
		{Name: "XGROUP DESTROY", Arity: 4, Class: Write, flags: "write", keys: keys(at(2, writes)), merges: groupDestroyWins},
		{Name: "XGROUP HELP", Arity: 2, Class: Read, flags: "loading stale"},
		{Name: "XGROUP SETID", Arity: -5, Class: Write, flags: "write", keys: keys(at(2, writes)), merges: ownRegion},
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
	{Name: "XREADGROUP", Arity: -7, Class: Write, flags: "write blocking movablekeys", keys: keys(halfAfter("STREAMS", 4, reads)), Shape: ShapeStreams, merges: ownRegion, decide: xreadgroupDirection},
	{Name: "XREVRANGE", Arity: -4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "XSETID", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: lastIDGrows},
	{Name: "XTRIM", Arity: -4, Class: Write, flags: "write", keys: keys(at(1, writes)), merges: observedRemove},
}
