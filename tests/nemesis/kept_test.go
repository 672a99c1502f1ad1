package nemesis

import (
	"strconv"

	"anabranch/internal/redistest"
)

// kept are works on data whose final state the ledger knows.
var kept = []work{
	{6, (*client).count},
	{3, (*client).countTwo},
	{10, (*client).mark},
	{3, (*client).markTogether},
	{3, (*client).unmark},
	{3, (*client).offer},
	{3, (*client).take},
	{4, (*client).register},
	{3, (*client).pair},
	{2, (*client).sketch},
	{2, (*client).mortal},
	{1, (*client).rename},
	{2, (*client).push},
}

// pairs of keys that are always written together with the same value.
var pairs = [][2]string{{"pair-a", "pair-b"}, {"mpair-a", "mpair-b"}, {"spair-a", "spair-b"}, {"sum-a", "sum-b"}}

// single is a deed of one command.
func single(settle func(o outcome, reply redistest.Reply), args ...string) deed {
	return deed{commands: [][]string{args}, settle: func(o outcome, replies []redistest.Reply) {
		var reply redistest.Reply
		if len(replies) > 0 {
			reply = replies[0]
		}
		settle(o, reply)
	}}
}

// transaction wraps commands, which then have one outcome.
func transaction(settle func(o outcome), commands ...[]string) deed {
	all := append([][]string{{"MULTI"}}, commands...)
	return deed{commands: append(all, []string{"EXEC"}), settle: func(o outcome, _ []redistest.Reply) { settle(o) }}
}

func (c *client) amount() (int64, string) {
	amount := int64(1 + c.random.IntN(9))
	if c.random.IntN(4) == 0 {
		amount = -amount
	}
	return amount, strconv.FormatInt(amount, 10)
}

func (c *client) hot() string { return strconv.Itoa(c.random.IntN(3)) }

// count adds to counters of all kinds, that all regions share or that are the client's own.
func (c *client) count() deed {
	amount, by := c.amount()
	hot := c.hot()
	add := func(cell string, amount int64, args ...string) deed {
		return single(func(o outcome, _ redistest.Reply) { c.ledger.increment(cell, amount, o) }, args...)
	}
	switch c.random.IntN(6) {
	case 0:
		return add(c.cell("count"+hot), 1, "INCR", "count"+hot)
	case 1:
		return add(c.cell("count"+hot), amount, "INCRBY", "count"+hot, by)
	case 2:
		return add(c.cell("count"+hot), -amount, "DECRBY", "count"+hot, by)
	case 3:
		return add(c.cell("hashcount", hot), amount, "HINCRBY", "hashcount", hot, by)
	case 4:
		return add(c.cell("zcount", hot), amount, "ZINCRBY", "zcount", by, hot)
	}
	return add(c.cell("count-"+c.name), amount, "INCRBY", "count-"+c.name, by)
}

const incrementBoth = "redis.call('INCRBY', KEYS[1], ARGV[1]) return redis.call('INCRBY', KEYS[2], ARGV[1])"

// during tells later whether something held in the client's region at some time from now on: now, or then.
func (c *client) during(spells *[3]spell) func() bool {
	held := spells[c.home].holds()
	return func() bool { return held || spells[c.home].holds() }
}

// countTwo adds to two counters at once.
func (c *client) countTwo() deed {
	amount, by := c.amount()
	doubtful := c.during(&c.doubtful)
	settle := func(o outcome) {
		c.ledger.tear(doubtful())
		c.ledger.increment(c.cell("sum-a"), amount, o)
		c.ledger.increment(c.cell("sum-b"), amount, o)
	}
	if c.random.IntN(2) == 0 {
		return transaction(settle, []string{"INCRBY", "sum-a", by}, []string{"GET", "sum-a"}, []string{"INCRBY", "sum-b", by})
	}
	return single(func(o outcome, _ redistest.Reply) { settle(o) }, "EVAL", incrementBoth, "2", "sum-a", "sum-b", by)
}

// mark writes an element or key that nobody else writes, and remembers how to remove it.
func (c *client) mark() deed {
	var (
		u     = c.unique()
		hot   = c.hot()
		value = strconv.Itoa(c.n)
	)
	write := func(cell, value string, remove []string, args ...string) deed {
		c.ledger.announce(cell, value)
		return single(func(o outcome, _ redistest.Reply) {
			c.ledger.mark(cell, o)
			c.own(o, cell, remove)
		}, args...)
	}
	switch c.random.IntN(8) {
	case 0:
		return write(c.cell("set"+hot, u), "", []string{"SREM", "set" + hot, u}, "SADD", "set"+hot, u)
	case 1:
		return write(c.cell("hash"+hot, u), value, []string{"HDEL", "hash" + hot, u}, "HSET", "hash"+hot, u, value)
	case 2:
		return write(c.cell("zset"+hot, u), value, []string{"ZREM", "zset" + hot, u}, "ZADD", "zset"+hot, value, u)
	case 3:
		return write(c.cell("list"+hot, u), "", []string{"LREM", "list" + hot, "0", u}, "LPUSH", "list"+hot, u)
	case 4:
		return write(c.cell("own-"+u), value, []string{"DEL", "own-" + u}, "SET", "own-"+u, value)
	case 5:
		return write(c.cell("own-"+u), value, []string{"UNLINK", "own-" + u}, "SET", "own-"+u, value, "EX", "100000")
	case 6:
		return write(c.cell("own-"+u), value, []string{"GETDEL", "own-" + u}, "APPEND", "own-"+u, value)
	}
	cell := c.cell("stream"+hot, u)
	c.ledger.announce(cell, "")
	return single(func(o outcome, id redistest.Reply) {
		c.ledger.mark(cell, o)
		c.own(o, cell, []string{"XDEL", "stream" + hot, id.Text})
	}, "XADD", "stream"+hot, "*", u, value)
}

// own remembers a marker that was acknowledged.
func (c *client) own(o outcome, cell string, remove []string) {
	if o == acknowledged && len(c.mine) < 200 {
		c.mine = append(c.mine, owned{cell, remove})
	}
}

// markTogether writes several elements in one transaction: all are there in the end, or none.
func (c *client) markTogether() deed {
	u, hot := c.unique(), c.hot()
	cells := []string{c.cell("set"+hot, u), c.cell("hash"+hot, u), c.cell("list"+hot, u), c.cell("own-" + u)}
	for i, value := range []string{"", "v", "", "v"} {
		c.ledger.announce(cells[i], value)
	}
	doubtful := c.during(&c.doubtful)
	return transaction(func(o outcome) {
		for _, cell := range cells {
			c.ledger.mark(cell, o)
		}
		// Of what a server has lost, a merge that was under way may have brought a part elsewhere.
		if !doubtful() {
			c.ledger.together(cells)
		}
	}, []string{"SADD", "set" + hot, u}, []string{"HSET", "hash" + hot, u, "v"}, []string{"RPUSH", "list" + hot, u}, []string{"SET", "own-" + u, "v"})
}

// unmark removes a marker of the client's own, which must be there.
func (c *client) unmark() deed {
	if len(c.mine) == 0 {
		return c.mark()
	}
	i := c.random.IntN(len(c.mine))
	it := c.mine[i]
	c.mine[i] = c.mine[len(c.mine)-1]
	c.mine = c.mine[:len(c.mine)-1]
	outdated := c.during(&c.outdated)
	return single(func(o outcome, reply redistest.Reply) {
		if o == acknowledged && (reply.Null || reply.Kind == ':' && reply.Int() != 1) {
			if !outdated() {
				c.ledger.missed(it.cell)
			}
			return // it is not here yet, and comes back
		}
		c.ledger.unmark(it.cell, o)
	}, it.remove...)
}

// offer puts an element where every region takes some.
func (c *client) offer() deed {
	u := c.unique()
	commands := [][]string{{"RPUSH", "queue", u}, {"LPUSH", "queue", u}, {"SADD", "pool", u}, {"ZADD", "ranked", strconv.Itoa(c.n), u}}
	args := commands[c.random.IntN(len(commands))]
	cell, value := c.cell(args[1], u), ""
	if args[0] == "ZADD" {
		value = args[2]
	}
	c.ledger.announce(cell, value)
	return single(func(o outcome, _ redistest.Reply) { c.ledger.mark(cell, o) }, args...)
}

// take takes what was offered. Two regions may be given the same; nobody is given it later.
func (c *client) take() deed {
	args := [][]string{{"LPOP", "queue"}, {"RPOP", "queue", "2"}, {"SPOP", "pool"}, {"SPOP", "pool", "2"}, {"ZPOPMIN", "ranked"}, {"ZPOPMAX", "ranked"}}[c.random.IntN(6)]
	key := args[1]
	most := 1
	if len(args) == 3 {
		most = 2
	}
	return single(func(o outcome, reply redistest.Reply) {
		if o == unknown {
			c.ledger.popped(c.cell(key), most)
		}
		if reply.IsError() || reply.Null {
			return
		}
		elements := []string{reply.Text}
		if reply.Kind == '*' {
			elements = reply.Strings()
		}
		if key == "ranked" {
			elements = elements[:min(1, len(elements))] // the score follows
		}
		for _, element := range elements {
			if element != "" {
				c.ledger.unmark(c.cell(key, element), o)
			}
		}
	}, args...)
}

// register overwrites a value in which the newest counts.
func (c *client) register() deed {
	u, key := c.unique(), "register"+c.hot()
	if c.random.IntN(3) == 0 {
		key = "register-" + c.name
	}
	outdated := c.during(&c.outdated)
	args, cell := []string{"SET", key, u}, c.cell(key)
	if c.random.IntN(3) == 0 {
		args, cell = []string{"HSET", "registers", key, u}, c.cell("registers", key)
	}
	write := c.ledger.beginRegister(cell, c.home, u)
	return single(func(o outcome, _ redistest.Reply) {
		if o == acknowledged && outdated() {
			o = unknown // what the region has lost comes back, and this write did not know it
		}
		c.ledger.endRegister(write, o)
	}, args...)
}

const setBoth = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('SET', KEYS[2], ARGV[1])"

// pair writes two keys in one step, in one of three ways.
func (c *client) pair() deed {
	u, which := c.unique(), c.random.IntN(3)
	var writes []*registerWrite
	for _, key := range pairs[which] {
		writes = append(writes, c.ledger.beginRegister(c.cell(key), c.home, u))
	}
	doubtful, outdated := c.during(&c.doubtful), c.during(&c.outdated)
	settle := func(o outcome) {
		c.ledger.tear(doubtful())
		for _, write := range writes {
			if o == acknowledged && outdated() {
				o = unknown
			}
			c.ledger.endRegister(write, o)
		}
	}
	a, b := pairs[which][0], pairs[which][1]
	switch which {
	case 0:
		return transaction(settle, []string{"SET", a, u}, []string{"SET", b, u})
	case 1:
		return single(func(o outcome, _ redistest.Reply) { settle(o) }, "MSET", a, u, b, u)
	}
	return single(func(o outcome, _ redistest.Reply) { settle(o) }, "EVAL", setBoth, "2", a, b, u)
}

// sketch counts elements in a HyperLogLog.
func (c *client) sketch() deed {
	u, key := c.unique(), "sketch"+c.hot()
	return single(func(o outcome, _ redistest.Reply) { c.ledger.sketch(c.cell(key), u, o) }, "PFADD", key, u)
}

// mortal writes a key whose time is soon up.
func (c *client) mortal() deed {
	key := "mortal-" + c.unique()
	odd := c.odd[c.home].holds()
	life := strconv.Itoa(200 + c.random.IntN(4000))
	settle := func(outcome, redistest.Reply) { c.ledger.mortal(c.cell(key), !odd && !c.odd[c.home].holds()) }
	if c.random.IntN(2) == 0 {
		return single(settle, "SET", key, "v", "PX", life)
	}
	return deed{commands: [][]string{{"MULTI"}, {"RPUSH", key, "v"}, {"PEXPIRE", key, life}, {"EXEC"}},
		settle: func(o outcome, _ []redistest.Reply) { settle(o, redistest.Reply{}) }}
}

// rename moves a key that was just written.
func (c *client) rename() deed {
	u := c.unique()
	from, to := "own-"+u, "moved-"+u
	c.ledger.announce(c.cell(from), "v")
	c.ledger.announce(c.cell(to), "v")
	return deed{commands: [][]string{{"SET", from, "v"}, {"RENAME", from, to}}, settle: func(o outcome, replies []redistest.Reply) {
		written := unknown
		if len(replies) > 0 {
			written = acknowledged
			if replies[0].IsError() {
				written, _ = judge(replies[0].Text)
			}
			if written == acknowledged && c.doubtful[c.home].holds() {
				written = unknown
			}
		}
		c.ledger.mark(c.cell(from), written)
		c.ledger.mark(c.cell(to), o)
		if o != refused {
			c.ledger.unmark(c.cell(from), o)
		}
	}}
}

// push puts an element at the end of a list, where the elements of each client stay in order.
func (c *client) push() deed {
	u, list := c.unique(), "order"+c.hot()
	cell := c.cell(list, u)
	c.ledger.announce(cell, "")
	outdated := c.during(&c.outdated)
	return single(func(o outcome, _ redistest.Reply) {
		c.ledger.mark(cell, o)
		// What the region has lost comes back as something that this push did not know.
		if o == acknowledged && !outdated() {
			c.ledger.pushed(c.cell(list), c.name, u)
		}
	}, "RPUSH", list, u)
}
