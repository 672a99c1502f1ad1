package model

import (
	"math/big"
	"strings"
)

// Replies: nil, int64, string (bulk), Status, Failure and []any.
type (
	Status  string
	Failure string
)

func (f Failure) Error() string { return string(f) }

// The error texts are Redis's own.
const (
	wrongType     = Failure("WRONGTYPE Operation against a key holding the wrong kind of value")
	syntaxError   = Failure("ERR syntax error")
	notAnInteger  = Failure("ERR value is not an integer or out of range")
	hashInteger   = Failure("ERR hash value is not an integer")
	notAFloat     = Failure("ERR value is not a valid float")
	hashFloat     = Failure("ERR hash value is not a float")
	wouldOverflow = Failure("ERR increment or decrement would overflow")
	noSuchKey     = Failure("ERR no such key")
	unknown       = Failure("ERR unknown command")
	ok            = Status("OK")
)

// call is one engine call in progress: its effects so far are merged already, so each command sees those before it.
type call struct {
	region *Region
	db     int
	entry  *Entry
}

// in is the same call with another database selected, for the commands that reach across.
func (c *call) in(db int) *call { return &call{c.region, db, c.entry} }

type command struct {
	arity int // the least number of words
	run   func(c *call, args []string) any
}

var commands map[string]command

func init() {
	commands = map[string]command{
		"SET": {3, set}, "SETNX": {3, setnx}, "GETSET": {3, getset}, "GETDEL": {2, getdel}, "GETEX": {2, getex},
		"APPEND": {3, appendString}, "SETRANGE": {4, setrange}, "MSET": {3, mset}, "MSETNX": {3, msetnx},
		"INCR": {2, incr}, "DECR": {2, decr}, "INCRBY": {3, incrby}, "DECRBY": {3, decrby}, "INCRBYFLOAT": {3, incrbyfloat},
		"HSET": {4, hset}, "HMSET": {4, hmset}, "HSETNX": {4, hsetnx}, "HDEL": {3, hdel},
		"HINCRBY": {4, hincrby}, "HINCRBYFLOAT": {4, hincrbyfloat},
		"SADD": {3, sadd}, "SREM": {3, srem}, "SPOP": {2, spop}, "SMOVE": {4, smove},
		"SINTERSTORE": {3, sinterstore}, "SUNIONSTORE": {3, sunionstore}, "SDIFFSTORE": {3, sdiffstore},
		"ZADD": {4, zadd}, "ZINCRBY": {4, zincrby}, "ZREM": {3, zrem}, "ZPOPMIN": {2, zpopmin}, "ZPOPMAX": {2, zpopmax},
		"ZREMRANGEBYRANK": {4, zremrangebyrank}, "ZRANGESTORE": {5, zrangestore},
		"ZUNIONSTORE": {4, zunionstore}, "ZINTERSTORE": {4, zinterstore},
		"LPUSH": {3, lpush}, "RPUSH": {3, rpush}, "LPUSHX": {3, lpushx}, "RPUSHX": {3, rpushx}, "LPOP": {2, lpop}, "RPOP": {2, rpop},
		"LMPOP": {4, lmpop}, "LMOVE": {5, lmove}, "RPOPLPUSH": {3, rpoplpush}, "LINSERT": {5, linsert}, "LSET": {4, lset},
		"LREM": {4, lrem}, "LTRIM": {4, ltrim},
		"DEL": {2, del}, "UNLINK": {2, del}, "RENAME": {3, rename}, "RENAMENX": {3, renamenx}, "COPY": {3, copyKey}, "MOVE": {3, move},
		"PEXPIREAT": {3, pexpireat}, "PERSIST": {2, persist}, "FLUSHDB": {1, flushdb}, "FLUSHALL": {1, flushall},
	}
}

func (c *call) execute(words []string) any {
	cmd, known := commands[strings.ToUpper(words[0])]
	if !known || len(words) < cmd.arity {
		return unknown
	}
	return cmd.run(c, words[1:])
}

// emit gives the effect its ordinal and the offsets of what it resets, merges it, and adds it to the entry.
func (c *call) emit(e Effect) {
	if e.Kind != Flush {
		e.DB = c.db
	}
	self := Stamp{c.region.origin, c.entry.T, len(c.entry.Effects) + 1}
	e.Offsets = c.region.offsets(e)
	c.region.merge(context{self, c.entry.Context}, e)
	c.entry.Effects = append(c.entry.Effects, e)
}

// create emits a write, and before it, where the key does not exist, that the TTLs of its earlier life are void.
func (c *call) create(e Effect) {
	k := c.region.key(c.db, e.Key)
	if k.shown() == None && len(k.candidates) > 0 {
		c.emit(Effect{Kind: Expire, Key: e.Key, Deadline: Void})
	}
	c.emit(e)
}

// replace emits the overwrite of a whole key with a value computed elsewhere. An empty value only deletes.
func (c *call) replace(key string, v Value) {
	if v.Type == String {
		c.emit(Effect{Kind: Overwrite, Key: key, Value: v.String})
	} else {
		c.emit(Effect{Kind: Delete, Key: key})
		switch {
		case v.Type == List:
			c.insert(key, atEnd, v.List...)
		case len(v.Elements) == 0:
			return
		default:
			c.emit(Effect{Kind: Add, Key: key, Type: v.Type, Elements: elementList(v.Elements)})
		}
	}
	if v.Deadline != 0 {
		c.emit(Effect{Kind: Expire, Key: key, Deadline: v.Deadline})
	}
}

// increment emits the origin's new share of a cell. A share that is wholly offset starts anew at zero; one that would
// leave its range is folded into a write of the result, which resets it.
func (c *call) increment(t Type, key, element string, delta *big.Rat, float bool, result string) {
	e := Effect{Kind: Increment, Key: key, Type: t, Elements: []Element{{Name: element}}, sum: delta, float: float}
	if s := c.region.key(c.db, key).cell(t, element).shares[c.region.origin]; s != nil && s.live() {
		e.start, e.sum, e.float = s.start, new(big.Rat).Add(s.sum, delta), float || s.float
	}
	if !inShareRange(e.sum) {
		e = Effect{Kind: Add, Key: key, Type: t, Value: result, Elements: []Element{{element, result}}}
		if t == String {
			e.Kind = Edit
		}
	}
	c.create(e)
}

// typed returns the key when it shows type t or nothing.
func (c *call) typed(key string, t Type) (*Key, bool) {
	k := c.region.key(c.db, key)
	shown := k.shown()
	return k, shown == None || shown == t
}

func (c *call) exists(key string) bool { return c.region.key(c.db, key).shown() != None }

func elementList(m map[string]string) []Element {
	var list []Element
	for _, name := range sortedNames(m) {
		list = append(list, Element{name, m[name]})
	}
	return list
}
