package translate

// Strings are registers; counters are strings that only INCR and its kin have written since the last SET.
var stringCommands = rows{
	{Name: "APPEND", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: wholeValue},
	{Name: "DECR", Arity: 2, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: counter, Shape: ShapeInteger},
	{Name: "DECRBY", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: counter, Shape: ShapeInteger},
	{Name: "GET", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "GETDEL", Arity: 2, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes)), merges: observedDelete},
	{Name: "GETEX", Arity: -2, Class: Write, flags: "write fast", keys: keys(at(1, reads|writes)), merges: longestTTL},
	{Name: "GETRANGE", Arity: 4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "GETSET", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: lastWriter},
	{Name: "INCR", Arity: 2, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: counter, Shape: ShapeInteger},
	{Name: "INCRBY", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: counter, Shape: ShapeInteger},
	{Name: "INCRBYFLOAT", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, reads|writes)), merges: counter},
	{Name: "LCS", Arity: -3, Class: Read, flags: "readonly", keys: keys(span(1, 1, reads))},
	{Name: "MGET", Arity: -2, Class: Read, flags: "readonly fast", keys: keys(span(1, -1, reads))},
	{Name: "MSET", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(spanStep(1, -1, 2, writes)), merges: lastWriter},
	{Name: "MSETNX", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(spanStep(1, -1, 2, writes)), merges: lastWriterLocalTest},
	{Name: "PSETEX", Arity: 4, Class: Write, flags: "write denyoom", keys: keys(at(1, writes)), merges: lastWriter},
	{Name: "SET", Arity: -3, Class: Write, flags: "write denyoom", keys: keys(setKey), merges: lastWriter},
	{Name: "SETEX", Arity: 4, Class: Write, flags: "write denyoom", keys: keys(at(1, writes)), merges: lastWriter},
	{Name: "SETNX", Arity: 3, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: lastWriterLocalTest},
	{Name: "SETRANGE", Arity: 4, Class: Write, flags: "write denyoom", keys: keys(at(1, writes)), merges: wholeValue},
	{Name: "STRLEN", Arity: 2, Class: Read, flags: "readonly fast", keys: keys(at(1, nameOnly))},
	{Name: "SUBSTR", Arity: 4, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
}

// A bitmap is a string: its bits are not merged one by one.
var bitmapCommands = rows{
	{Name: "BITCOUNT", Arity: -2, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "BITFIELD", Arity: -2, Class: ReadOrWrite, flags: "write denyoom", keys: keys(bitfieldKey), merges: wholeValue, Shape: ShapeIntegers, decide: bitfieldDirection},
	{Name: "BITFIELD_RO", Arity: -2, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "BITOP", Arity: -4, Class: Write, flags: "write denyoom", keys: keys(at(2, writes), span(3, -1, reads)), merges: overwrites},
	{Name: "BITPOS", Arity: -3, Class: Read, flags: "readonly", keys: keys(at(1, reads))},
	{Name: "GETBIT", Arity: 3, Class: Read, flags: "readonly fast", keys: keys(at(1, reads))},
	{Name: "SETBIT", Arity: 4, Class: Write, flags: "write denyoom", keys: keys(at(1, reads|writes)), merges: wholeValue},
}

// PFCOUNT may refresh the cardinality cached in the value, and PFDEBUG may spread it out. Neither changes a register, so they
// pass as the reads they are.
var hyperloglogCommands = rows{
	{Name: "PFADD", Arity: -2, Class: Write, flags: "write denyoom fast", keys: keys(at(1, writes)), merges: registers},
	{Name: "PFCOUNT", Arity: -2, Class: Read, flags: "readonly", keys: keys(span(1, -1, reads))},
	{Name: "PFDEBUG", Arity: 3, Class: Admin, flags: "write denyoom admin", keys: keys(at(2, reads))},
	{Name: "PFMERGE", Arity: -2, Class: Write, flags: "write denyoom", keys: keys(at(1, reads|writes), span(2, -1, reads)), merges: registers},
	{Name: "PFSELFTEST", Arity: 1, Class: Admin, flags: "admin"},
}
