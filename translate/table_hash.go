package translate

// Each field is a cell of its own.
var hashCommands = rows{
	{Name: "HDEL", Arity: -3, Class: Write, flags: "write fast", keys: keys(at(1, writes)), merges: observedRemove},
	{Name: "HEXISTS", Arity: 3, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "HGET", Arity: 3, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "HGETALL", Arity: 2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "HINCRBY", Arity: 4, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: fieldCounter, Shape: ShapeInteger},
	{Name: "HINCRBYFLOAT", Arity: 4, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: fieldCounter},
	{Name: "HKEYS", Arity: 2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "HLEN", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "HMGET", Arity: -3, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "HMSET", Arity: -4, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: fieldAddWins},
	{Name: "HRANDFIELD", Arity: -2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "HSCAN", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "HSET", Arity: -4, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: fieldAddWins},
	{Name: "HSETNX", Arity: 4, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: fieldAddWinsLocalTest},
	{Name: "HSTRLEN", Arity: 3, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "HVALS", Arity: 2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
}
