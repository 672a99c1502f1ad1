package nemesis

import (
	"strconv"

	"anabranch/internal/redistest"
)

// wild are works after which nobody can say what must be there. All regions must show the same.
var wild = []work{
	{8, (*client).disorder},
	{1, (*client).disorderTogether},
	{1, (*client).disorderByScript},
}

// vocabulary is elements that are added and removed again and again.
var vocabulary = []string{"m0", "m1", "m2", "m3", "m4", "m5"}

// kinds are the first letters, behind the x, of keys that mostly hold one type.
const kinds = "shzltkp"

func (c *client) key(kind string) string {
	if c.random.IntN(12) == 0 {
		kind = string(kinds[c.random.IntN(len(kinds))]) // types clash now and then
	}
	return "x" + kind + c.hot()
}

func (c *client) word() string { return vocabulary[c.random.IntN(len(vocabulary))] }

// disorder is any command on any key.
func (c *client) disorder() deed {
	args := c.anything()
	return deed{wild: true, commands: [][]string{args}, settle: func(_ outcome, replies []redistest.Reply) {
		if args[0] == "XADD" && len(replies) == 1 && !replies[0].IsError() {
			c.ids[args[1]] = replies[0].Text
		}
	}}
}

func nothing(outcome, []redistest.Reply) {}

func (c *client) disorderTogether() deed {
	commands := [][]string{{"MULTI"}}
	for range 2 + c.random.IntN(3) {
		commands = append(commands, c.anything())
	}
	return deed{wild: true, commands: append(commands, []string{"EXEC"}), settle: nothing}
}

const callAll = "local first = 1 while first <= #ARGV do local n = tonumber(ARGV[first]) " +
	"redis.pcall(unpack(ARGV, first + 1, first + n)) first = first + n + 1 end return 1"

func (c *client) disorderByScript() deed {
	args := []string{"EVAL", callAll, "0"}
	for range 2 {
		command := c.anything()
		args = append(append(args, strconv.Itoa(len(command))), command...)
	}
	return deed{wild: true, commands: [][]string{args}, settle: nothing}
}

// flush empties the client's database.
func (c *client) flush() deed {
	return deed{wild: true, commands: [][]string{{"FLUSHDB"}}, settle: nothing}
}

// anything is a command on one or two keys.
func (c *client) anything() []string {
	_, by := c.amount()
	ways := [...]func() []string{
		c.anyString, c.anyHash, c.anySet, c.anySortedSet, c.anyList, c.anyStream, c.anyGroup, c.anySketch,
		func() []string { return c.anyKey(by) }, func() []string { return c.anyKey(by) },
	}
	return ways[c.random.IntN(len(ways))]()
}

func (c *client) oneOf(ways ...[]string) []string { return ways[c.random.IntN(len(ways))] }

func (c *client) anyString() []string {
	k, u := c.key("k"), c.unique()
	_, by := c.amount()
	return c.oneOf(
		[]string{"SET", k, u}, []string{"SET", k, by}, []string{"SET", k, u, "KEEPTTL"}, []string{"SET", k, u, "EX", "2"},
		[]string{"INCRBY", k, by}, []string{"INCRBYFLOAT", k, "0.5"}, []string{"APPEND", k, u}, []string{"SETRANGE", k, "3", u},
		[]string{"SETBIT", k, "77", "1"}, []string{"BITFIELD", k, "INCRBY", "u8", "8", by}, []string{"GETDEL", k}, []string{"GETEX", k, "PX", "1500"},
		[]string{"GETSET", k, u}, []string{"BITOP", "OR", k, c.key("k"), c.key("k")}, []string{"MSET", k, u, c.key("k"), u}, []string{"SETNX", k, u},
	)
}

func (c *client) anyHash() []string {
	k, f := c.key("h"), c.word()
	_, by := c.amount()
	return c.oneOf(
		[]string{"HSET", k, f, c.unique()}, []string{"HSET", k, f, by, c.word(), by}, []string{"HINCRBY", k, f, by}, []string{"HDEL", k, f},
		[]string{"HINCRBYFLOAT", k, f, "0.25"}, []string{"HSETNX", k, f, by}, []string{"HDEL", k, f, c.word(), c.word()},
	)
}

func (c *client) anySet() []string {
	k, m := c.key("s"), c.word()
	return c.oneOf(
		[]string{"SADD", k, m}, []string{"SADD", k, m, c.word(), c.word()}, []string{"SREM", k, m}, []string{"SPOP", k},
		[]string{"SMOVE", k, c.key("s"), m}, []string{"SUNIONSTORE", k, c.key("s"), c.key("s")}, []string{"SINTERSTORE", k, c.key("s"), c.key("s")},
	)
}

func (c *client) anySortedSet() []string {
	k, m := c.key("z"), c.word()
	_, by := c.amount()
	return c.oneOf(
		[]string{"ZADD", k, by, m}, []string{"ZADD", k, "GT", by, m}, []string{"ZADD", k, "INCR", by, m}, []string{"ZINCRBY", k, by, m}, []string{"ZREM", k, m},
		[]string{"ZPOPMIN", k}, []string{"ZREMRANGEBYRANK", k, "0", "0"}, []string{"ZUNIONSTORE", k, "2", c.key("z"), c.key("z")},
		[]string{"GEOADD", k, "13.36", "38.11", m},
	)
}

func (c *client) anyList() []string {
	k, u := c.key("l"), c.unique()
	return c.oneOf(
		[]string{"RPUSH", k, u}, []string{"LPUSH", k, u, c.unique()}, []string{"LPOP", k}, []string{"RPOP", k, "2"}, []string{"LSET", k, "0", u},
		[]string{"LSET", k, "-1", u}, []string{"RPUSH", k, c.word()}, []string{"LINSERT", k, "BEFORE", c.word(), u}, []string{"LREM", k, "0", c.word()},
		[]string{"LTRIM", k, "0", "30"}, []string{"LMOVE", k, c.key("l"), "LEFT", "RIGHT"}, []string{"RPOPLPUSH", k, k}, []string{"LPUSHX", k, u},
	)
}

func (c *client) anyStream() []string {
	k := c.key("t")
	id := c.ids[k]
	if id == "" {
		id = "0-1"
	}
	return c.oneOf(
		[]string{"XADD", k, "*", "f", c.unique()}, []string{"XADD", k, "MAXLEN", "20", "*", "f", c.unique(), "g", "v"}, []string{"XADD", k, "*", "f", c.unique()},
		[]string{"XDEL", k, id}, []string{"XTRIM", k, "MAXLEN", "15"}, []string{"XTRIM", k, "MINID", id},
	)
}

func (c *client) anyGroup() []string {
	k, group := c.key("t"), "group"+c.hot()
	id := c.ids[k]
	if id == "" {
		id = "0-1"
	}
	return c.oneOf(
		[]string{"XGROUP", "CREATE", k, group, "0", "MKSTREAM"}, []string{"XGROUP", "CREATE", k, group, "$"}, []string{"XGROUP", "DESTROY", k, group},
		[]string{"XREADGROUP", "GROUP", group, c.name, "COUNT", "3", "STREAMS", k, ">"}, []string{"XREADGROUP", "GROUP", group, c.name, "STREAMS", k, ">"},
		[]string{"XACK", k, group, id}, []string{"XAUTOCLAIM", k, group, c.name, "0", "0"}, []string{"XGROUP", "DELCONSUMER", k, group, c.name},
	)
}

func (c *client) anySketch() []string {
	k := c.key("p")
	return c.oneOf([]string{"PFADD", k, c.unique()}, []string{"PFADD", k, c.unique(), c.unique()}, []string{"PFMERGE", k, c.key("p")}, []string{"PFCOUNT", k})
}

// anyKey is what works on keys of any type.
func (c *client) anyKey(by string) []string {
	k := c.key(string(kinds[c.random.IntN(len(kinds))]))
	same := c.key(k[1:2])
	return c.oneOf(
		[]string{"DEL", k}, []string{"DEL", k, same}, []string{"UNLINK", k}, []string{"EXPIRE", k, "2"}, []string{"PEXPIRE", k, "400"}, []string{"EXPIRE", k, "100000"},
		[]string{"EXPIRE", k, "200000", "GT"}, []string{"EXPIRE", k, "-1"}, []string{"PERSIST", k}, []string{"PERSIST", k}, []string{"RENAME", k, same}, []string{"RENAMENX", k, same},
		[]string{"COPY", k, same, "REPLACE"}, []string{"MOVE", k, "2"}, []string{"COPY", k, same, "DB", "2"}, []string{"SET", k, by}, []string{"TOUCH", k},
	)
}
