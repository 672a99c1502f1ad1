package translate

// Lists can be read, for data that was there before; their writes wait for element ids in the engine.
var listCommands = rows{
	{Name: "BLMOVE", Arity: 6, Class: Refused, flags: "write denyoom noscript blocking", keys: keys(at(1, reads|writes), at(2, writes)), Later: true, Reason: noBlocking},
	{Name: "BLMPOP", Arity: -5, Class: Refused, flags: "write blocking movablekeys", keys: keys(counted(2, reads|writes)), Shape: ShapeNullArray, Later: true, Reason: noBlocking},
	{Name: "BLPOP", Arity: -3, Class: Refused, flags: "write noscript blocking", keys: keys(span(1, -2, reads|writes)), Shape: ShapeNullArray, Later: true, Reason: noBlocking},
	{Name: "BRPOP", Arity: -3, Class: Refused, flags: "write noscript blocking", keys: keys(span(1, -2, reads|writes)), Shape: ShapeNullArray, Later: true, Reason: noBlocking},
	{Name: "BRPOPLPUSH", Arity: 4, Class: Refused, flags: "write denyoom noscript blocking", keys: keys(at(1, reads|writes), at(2, writes)), Later: true, Reason: noBlocking},
	{Name: "LINDEX", Arity: 3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LINSERT", Arity: 5, Class: Refused, flags: "write denyoom", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "LLEN", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "LMOVE", Arity: 5, Class: Refused, flags: "write denyoom", keys: keys(at(1, reads|writes), at(2, writes)), Later: true, Reason: noLists},
	{Name: "LMPOP", Arity: -4, Class: Refused, flags: "write movablekeys", keys: keys(counted(1, reads|writes)), Shape: ShapeNullArray, Later: true, Reason: noLists},
	{Name: "LPOP", Arity: -2, Class: Refused, flags: "write fast", keys: keys(at(1, reads|writes)), Later: true, Reason: noLists, decide: popShape},
	{Name: "LPOS", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LPUSH", Arity: -3, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "LPUSHX", Arity: -3, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "LRANGE", Arity: 4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LREM", Arity: 4, Class: Refused, flags: "write", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "LSET", Arity: 4, Class: Refused, flags: "write denyoom", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "LTRIM", Arity: 4, Class: Refused, flags: "write", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "RPOP", Arity: -2, Class: Refused, flags: "write fast", keys: keys(at(1, reads|writes)), Later: true, Reason: noLists, decide: popShape},
	{Name: "RPOPLPUSH", Arity: 3, Class: Refused, flags: "write denyoom", keys: keys(at(1, reads|writes), at(2, writes)), Later: true, Reason: noLists},
	{Name: "RPUSH", Arity: -3, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noLists},
	{Name: "RPUSHX", Arity: -3, Class: Refused, flags: "write denyoom fast", keys: keys(at(1, writes)), Later: true, Reason: noLists},
}
