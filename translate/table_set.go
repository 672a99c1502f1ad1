package translate

// Each member is a cell of its own.
var setCommands = rows{
	{Name: "SADD", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: addWins},
	{Name: "SCARD", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "SDIFF", Arity: -2, Class: Read, flags: "readonly", keys: keys(span(1, -1, reads))},
	{Name: "SDIFFSTORE", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(at(1, writes), span(2, -1, reads)), merges: overwrites},
	{Name: "SINTER", Arity: -2, Class: Read, flags: "readonly", keys: keys(span(1, -1, reads))},
	{Name: "SINTERCARD", Arity: -3, Class: Read, flags: "readonly movablekeys", keys: keys(counted(1, reads))},
	{Name: "SINTERSTORE", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(at(1, writes), span(2, -1, reads)), merges: overwrites},
	{Name: "SISMEMBER", Arity: 3, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "SMEMBERS", Arity: 2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "SMISMEMBER", Arity: -3, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "SMOVE", Arity: 4, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes), at(2, writes)), merges: moveMember},
	{Name: "SPOP", Arity: -2, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes)), merges: popRemoves, decide: spopShape},
	{Name: "SRANDMEMBER", Arity: -2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "SREM", Arity: -3, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: observedRemove},
	{Name: "SSCAN", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "SUNION", Arity: -2, Class: Read, flags: "readonly", keys: keys(span(1, -1, reads))},
	{Name: "SUNIONSTORE", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(at(1, writes), span(2, -1, reads)), merges: overwrites},
}
