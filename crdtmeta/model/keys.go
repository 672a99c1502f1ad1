package model

import (
	"strings"
)

func del(c *call, args []string) any {
	deleted := int64(0)
	for _, key := range args {
		if c.exists(key) {
			c.emit(Effect{Kind: Delete, Key: key})
			deleted++
		}
	}
	return deleted
}

// value is what a key of a database shows, as a whole.
func (c *call) value(key string) Value {
	k := c.region.key(c.db, key)
	return k.value(k.shown())
}

func rename(c *call, args []string) any {
	from, to := args[0], args[1]
	switch {
	case !c.exists(from):
		return noSuchKey
	case from == to:
		return ok
	}
	v := c.value(from)
	c.emit(Effect{Kind: Delete, Key: from})
	c.replace(to, v)
	return ok
}

func renamenx(c *call, args []string) any {
	if !c.exists(args[0]) {
		return noSuchKey
	}
	if c.exists(args[1]) {
		return int64(0)
	}
	rename(c, args)
	return int64(1)
}

// copyKey is COPY from to [DB n] [REPLACE].
func copyKey(c *call, args []string) any {
	from, to, target, replace := args[0], args[1], c, false
	for i := 2; i < len(args); i++ {
		switch option := strings.ToUpper(args[i]); {
		case option == "REPLACE":
			replace = true
		case option == "DB" && i+1 < len(args):
			i++
			db, _ := parseInteger(args[i])
			target = c.in(int(db))
		default:
			return syntaxError
		}
	}
	switch {
	case from == to && target.db == c.db:
		return Failure("ERR source and destination objects are the same")
	case !c.exists(from), target.exists(to) && !replace:
		return int64(0)
	}
	target.replace(to, c.value(from))
	return int64(1)
}

func move(c *call, args []string) any {
	key := args[0]
	db, _ := parseInteger(args[1])
	target := c.in(int(db))
	switch {
	case target.db == c.db:
		return Failure("ERR source and destination objects are the same")
	case !c.exists(key), target.exists(key):
		return int64(0)
	}
	v := c.value(key)
	c.emit(Effect{Kind: Delete, Key: key})
	target.replace(key, v)
	return int64(1)
}

// pexpireat takes deadlines ahead only: the model has no clock that could have passed one.
func pexpireat(c *call, args []string) any {
	key := args[0]
	deadline, valid := parseInteger(args[1])
	if !valid {
		return notAnInteger
	}
	if !c.exists(key) {
		return int64(0)
	}
	if len(args) > 2 {
		// A key that does not expire counts as one with an endless TTL.
		current := c.region.key(c.db, key).deadline()
		refused := map[string]bool{
			"NX": current != 0, "XX": current == 0,
			"GT": current == 0 || deadline <= current, "LT": current != 0 && deadline >= current,
		}
		if refused[strings.ToUpper(args[2])] {
			return int64(0)
		}
	}
	c.emit(Effect{Kind: Expire, Key: key, Deadline: deadline})
	return int64(1)
}

func persist(c *call, args []string) any {
	if !c.exists(args[0]) || c.region.key(c.db, args[0]).deadline() == 0 {
		return int64(0)
	}
	c.emit(Effect{Kind: Expire, Key: args[0], Deadline: Persist})
	return int64(1)
}

func flushdb(c *call, _ []string) any {
	c.emit(Effect{Kind: Flush, DB: c.db})
	return ok
}

func flushall(c *call, _ []string) any {
	c.emit(Effect{Kind: Flush, DB: AllDatabases})
	return ok
}
