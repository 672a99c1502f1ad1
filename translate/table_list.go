package translate

// Each element is a cell of its own, also among equal values.
var listCommands = rows{
	{Name: "BLMOVE", Arity: 6, Class: Blocking, flags: "write denyoom noscript blocking", keys: keys(at(1, reads|writes), at(2, writes)), merges: moveElement},
	{Name: "BLMPOP", Arity: -5, Class: Blocking, flags: "write blocking movablekeys", keys: keys(counted(2, reads|writes)), Shape: ShapeNullArray, merges: popElement},
	{Name: "BLPOP", Arity: -3, Class: Blocking, flags: "write noscript blocking", keys: keys(span(1, -2, reads|writes)), Shape: ShapeNullArray, merges: popElement},
	{Name: "BRPOP", Arity: -3, Class: Blocking, flags: "write noscript blocking", keys: keys(span(1, -2, reads|writes)), Shape: ShapeNullArray, merges: popElement},
	{Name: "BRPOPLPUSH", Arity: 4, Class: Blocking, flags: "write denyoom noscript blocking", keys: keys(at(1, reads|writes), at(2, writes)), merges: moveElement},
	{Name: "LINDEX", Arity: 3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LINSERT", Arity: 5, Class: Write, flags: "write denyoom", keys: keys(at(1, writes)), merges: elementsKept},
	{Name: "LLEN", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "LMOVE", Arity: 5, Class: Write, flags: "write denyoom", keys: keys(at(1, reads|writes), at(2, writes)), merges: moveElement},
	{Name: "LMPOP", Arity: -4, Class: Write, flags: "write movablekeys", keys: keys(counted(1, reads|writes)), Shape: ShapeNullArray, merges: popElement},
	{Name: "LPOP", Arity: -2, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes)), merges: popElement, decide: popShape},
	{Name: "LPOS", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LPUSH", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: elementsKept},
	{Name: "LPUSHX", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: elementsKeptLocalTest},
	{Name: "LRANGE", Arity: 4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "LREM", Arity: 4, Class: Write, flags: "write", keys: keys(at(1, writes)), merges: elementsRemoved},
	{Name: "LSET", Arity: 4, Class: Write, flags: "write denyoom", keys: keys(at(1, writes)), merges: elementSet},
	{Name: "LTRIM", Arity: 4, Class: Write, flags: "write", keys: keys(at(1, writes)), merges: elementsRemoved},
	{Name: "RPOP", Arity: -2, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes)), merges: popElement, decide: popShape},
	{Name: "RPOPLPUSH", Arity: 3, Class: Write, flags: "write denyoom", keys: keys(at(1, reads|writes), at(2, writes)), merges: moveElement},
	{Name: "RPUSH", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: elementsKept},
	{Name: "RPUSHX", Arity: -3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: elementsKeptLocalTest},
}
