package history

import (
	"fmt"
	"strconv"

	"pgregory.net/rapid"
)

// Numbers chooses what increments are made of. The two kinds do not mix in one history: a large integer plus a fraction
// is not exact in any binary format, so its last digits would depend on the order.
type Numbers int

const (
	Integers  Numbers = iota // small and huge 64-bit integers, up to overflow
	Fractions                // small integers and binary fractions
	Anything                 // numbers that round, and infinite ones; the model cannot follow
)

// Keys are the names that histories use. Two of them share a slot by a hash tag, one needs the third form of companion.
var Keys = []string{"a", "b", "{t}c", "}d", "{e"}

// Generator draws commands.
type Generator struct {
	Numbers Numbers
	// Deadline is the Unix time in milliseconds that all TTLs are ahead of. It must be far in the future.
	Deadline int64
	// Clash lets every key be used with every type. Without it keys keep to their favourite type, and histories go
	// deeper into the rules of that type.
	Clash bool
}

// family draws a command of one kind on a key.
type family func(Generator, *rapid.T, string) []string

// favourites lets each key be used mostly with one type, so that most commands do something; the rest clash.
var favourites = map[string]family{
	"a": Generator.text, "b": Generator.hash, "{t}c": Generator.set, "}d": Generator.sortedSet,
	"{e": Generator.list,
}

func (g Generator) favourite(t *rapid.T, key string) []string { return favourites[key](g, t, key) }

// The families take turns in these tables because rapid draws small numbers more often.
var (
	calm = []family{
		Generator.favourite, Generator.life, Generator.favourite, Generator.favourite, Generator.favourite,
	}
	clash = []family{
		Generator.favourite, Generator.set, Generator.whole, Generator.favourite, Generator.life, Generator.text, Generator.favourite,
		Generator.hash, Generator.favourite, Generator.sortedSet, Generator.life, Generator.favourite, Generator.whole,
		Generator.text, Generator.favourite, Generator.set, Generator.list, Generator.hash, Generator.life, Generator.favourite,
		Generator.list, Generator.favourite,
	}
)

// Command draws one command, with its arguments.
func (g Generator) Command(t *rapid.T) []string {
	key := g.key(t, "key")
	families := calm
	if g.Clash {
		families = clash
	}
	return rapid.SampledFrom(families).Draw(t, "family")(g, t, key)
}

func pick(t *rapid.T, label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, label)
}

func (g Generator) key(t *rapid.T, label string) string {
	return rapid.SampledFrom(Keys).Draw(t, label)
}

func (g Generator) element(t *rapid.T) string { return pick(t, "element", "m", "n", "o\x00", "") }

func (g Generator) value(t *rapid.T) string {
	if g.Numbers == Anything {
		return pick(t, "value", "x", "7", "0.1", "1e300", "-1.1", "9223372036854775807", "007", " 7", "5.0", "0x10", "")
	}
	if g.Numbers == Fractions {
		return pick(t, "value", "x", "7", "-3", "1.5", "", "\xff\x00", "100")
	}
	return pick(t, "value", "x", "7", "-3", "", "\xff\x00", "9223372036854775807", "-9223372036854775808", "9007199254740993")
}

func (g Generator) integer(t *rapid.T) string {
	if g.Numbers != Fractions && rapid.IntRange(0, 5).Draw(t, "large") == 0 {
		return pick(t, "delta", "9007199254740993", "-9007199254740993", "4611686018427387904", "-4611686018427387904",
			"4611686018427387903", "9223372036854775807", "72057594037927936")
	}
	return strconv.Itoa(rapid.SampledFrom([]int{1, -1, 2, -2, 5, -5, 0}).Draw(t, "delta"))
}

func (g Generator) fraction(t *rapid.T) string {
	if g.Numbers == Anything {
		return pick(t, "delta", "0.1", "-0.3", "1e17", "1e-7", "3.3333333", "1e300")
	}
	return pick(t, "delta", "0.5", "-0.25", "1.5", "-2", "3", "0.125")
}

func (g Generator) score(t *rapid.T) string {
	return pick(t, "score", "1", "2", "-1", "1.5", "0.25", "100")
}

func (g Generator) deadline(t *rapid.T) string {
	return strconv.FormatInt(g.Deadline+int64(rapid.IntRange(1, 4).Draw(t, "deadline"))*1000, 10)
}

// some draws one to three pairs or singles.
func some(t *rapid.T, words []string, draw func() []string) []string {
	for range rapid.IntRange(1, 3).Draw(t, "count") {
		words = append(words, draw()...)
	}
	return words
}

func (g Generator) text(t *rapid.T, key string) []string {
	if g.Numbers != Integers && rapid.IntRange(0, 3).Draw(t, "float") == 0 {
		return []string{"INCRBYFLOAT", key, g.fraction(t)}
	}
	switch name := pick(t, "string", "SET", "INCRBY", "INCRBY", "INCRBY", "INCR", "DECR", "DECRBY", "SET option", "SETNX", "GETSET",
		"GETDEL", "GETEX", "APPEND", "SETRANGE"); name {
	case "INCR", "DECR", "GETDEL":
		return []string{name, key}
	case "INCRBY", "DECRBY":
		return []string{name, key, g.integer(t)}
	case "SETRANGE":
		return []string{name, key, pick(t, "offset", "0", "2"), pick(t, "piece", "y", "zz", "\x00")}
	case "APPEND":
		if g.Numbers == Integers {
			// A digit more would leave 64 bits, and sums with such a text are not exact.
			return []string{name, key, pick(t, "piece", "y", "\x00")}
		}
		return []string{name, key, pick(t, "piece", "y", "1", "\x00")}
	case "GETEX":
		if rapid.Bool().Draw(t, "persist") {
			return []string{name, key, "PERSIST"}
		}
		return []string{name, key, "PXAT", g.deadline(t)}
	case "SET option":
		words := []string{"SET", key, g.value(t)}
		switch option := pick(t, "option", "NX", "XX", "GET", "KEEPTTL", "PXAT"); option {
		case "PXAT":
			return append(words, option, g.deadline(t))
		default:
			return append(words, option)
		}
	default:
		return []string{name, key, g.value(t)}
	}
}

func (g Generator) hash(t *rapid.T, key string) []string {
	if g.Numbers != Integers && rapid.IntRange(0, 3).Draw(t, "float") == 0 {
		return []string{"HINCRBYFLOAT", key, g.element(t), g.fraction(t)}
	}
	switch name := pick(t, "hash", "HSET", "HSET", "HINCRBY", "HINCRBY", "HINCRBY", "HDEL", "HDEL", "HSETNX", "HMSET"); name {
	case "HINCRBY":
		return []string{name, key, g.element(t), g.integer(t)}
	case "HDEL":
		return some(t, []string{name, key}, func() []string { return []string{g.element(t)} })
	case "HSETNX":
		return []string{name, key, g.element(t), g.value(t)}
	default:
		return some(t, []string{name, key}, func() []string { return []string{g.element(t), g.value(t)} })
	}
}

func (g Generator) set(t *rapid.T, key string) []string {
	name := pick(t, "set", "SADD", "SADD", "SREM", "SMOVE", "SPOP")
	if name == "SPOP" {
		return []string{name, key, pick(t, "count", "1", "2", "10")}
	}
	if name == "SMOVE" && g.Clash {
		return []string{name, key, g.key(t, "to"), g.element(t)}
	}
	if name == "SMOVE" {
		name = "SREM"
	}
	return some(t, []string{name, key}, func() []string { return []string{g.element(t)} })
}

func (g Generator) sortedSet(t *rapid.T, key string) []string {
	pair := func() []string { return []string{g.score(t), g.element(t)} }
	switch name := pick(t, "zset", "ZADD", "ZADD", "ZADD option", "ZINCRBY", "ZINCRBY", "ZREM", "ZPOPMIN", "ZPOPMAX", "ZREMRANGEBYRANK"); name {
	case "ZADD option":
		switch option := pick(t, "option", "NX", "XX", "GT", "LT", "CH", "INCR"); option {
		case "INCR":
			return []string{"ZADD", key, option, g.fraction(t), g.element(t)}
		default:
			return some(t, []string{"ZADD", key, option}, pair)
		}
	case "ZINCRBY":
		if g.Numbers == Anything {
			return append([]string{name, key}, pair()...)
		}
		return []string{name, key, g.fraction(t), g.element(t)}
	case "ZREM":
		return some(t, []string{name, key}, func() []string { return []string{g.element(t)} })
	case "ZPOPMIN", "ZPOPMAX":
		return []string{name, key, "1"}
	case "ZREMRANGEBYRANK":
		return []string{name, key, "0", pick(t, "last", "0", "1", "-2")}
	default:
		return some(t, []string{name, key}, pair)
	}
}

// list draws list commands. Equal values are frequent, because they are different elements.
func (g Generator) list(t *rapid.T, key string) []string {
	value := func() []string { return []string{pick(t, "value", "x", "y", "z", "", "\xff\x00", "7")} }
	end := func() string { return pick(t, "end", "LEFT", "RIGHT") }
	index := func() string { return pick(t, "index", "0", "1", "-1", "-2", "2", "5", "-5") }
	switch name := pick(t, "list", "RPUSH", "LPUSH", "LINSERT", "RPUSH", "LSET", "LPOP", "RPOP", "LINSERT", "LREM", "LTRIM", "LPUSHX", "RPUSHX",
		"LMPOP", "LMOVE", "RPOPLPUSH"); name {
	case "LINSERT":
		words := []string{name, key, pick(t, "where", "BEFORE", "AFTER")}
		return append(append(words, value()...), value()...)
	case "LSET":
		return append([]string{name, key, index()}, value()...)
	case "LPOP", "RPOP":
		if rapid.Bool().Draw(t, "counted") {
			return []string{name, key, pick(t, "count", "1", "2", "0", "10")}
		}
		return []string{name, key}
	case "LREM":
		return append([]string{name, key, pick(t, "count", "0", "1", "-1", "2", "-2")}, value()...)
	case "LTRIM":
		return []string{name, key, index(), index()}
	case "LMPOP":
		return []string{name, "2", key, g.key(t, "other"), end(), "COUNT", pick(t, "count", "1", "2", "10")}
	case "LMOVE", "RPOPLPUSH":
		to := key
		if g.Clash && rapid.Bool().Draw(t, "elsewhere") {
			to = g.key(t, "to")
		}
		if name == "LMOVE" {
			return []string{name, key, to, end(), end()}
		}
		return []string{name, key, to}
	default:
		return some(t, []string{name, key}, value)
	}
}

// life draws what ends keys and sets their TTLs.
func (g Generator) life(t *rapid.T, key string) []string {
	switch name := pick(t, "key command", "DEL", "DEL", "UNLINK", "PEXPIREAT", "PEXPIREAT", "PEXPIREAT option", "PERSIST"); name {
	case "PEXPIREAT":
		return []string{name, key, g.deadline(t)}
	case "PEXPIREAT option":
		return []string{"PEXPIREAT", key, g.deadline(t), pick(t, "option", "NX", "XX", "GT", "LT")}
	case "DEL":
		return some(t, []string{name}, func() []string { return []string{g.key(t, "key")} })
	default:
		return []string{name, key}
	}
}

// whole draws what overwrites whole keys from others, and what empties databases.
func (g Generator) whole(t *rapid.T, key string) []string {
	other := g.key(t, "other")
	switch name := pick(t, "whole", "RENAME", "RENAMENX", "COPY", "COPY REPLACE", "COPY DB", "MOVE", "SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE",
		"ZUNIONSTORE", "ZINTERSTORE", "ZRANGESTORE", "MSET", "MSETNX", "FLUSHDB", "FLUSHALL"); name {
	case "COPY REPLACE":
		return []string{"COPY", other, key, "REPLACE"}
	case "COPY DB":
		return []string{"COPY", other, key, "DB", pick(t, "target", "0", "1"), "REPLACE"}
	case "MOVE":
		return []string{name, key, pick(t, "target", "1", "0")}
	case "RENAME", "RENAMENX", "COPY":
		return []string{name, other, key}
	case "SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE":
		return []string{name, key, other, g.key(t, "other")}
	case "ZUNIONSTORE", "ZINTERSTORE":
		return []string{name, key, "2", other, g.key(t, "other")}
	case "ZRANGESTORE":
		return []string{name, key, other, "0", pick(t, "last", "0", "-1")}
	case "MSET", "MSETNX":
		return some(t, []string{name}, func() []string { return []string{g.key(t, "key"), g.value(t)} })
	default:
		return []string{name}
	}
}

// Quote prints a command so that it can be read and pasted.
func Quote(command []string) string {
	text := ""
	for i, word := range command {
		if i > 0 {
			text += " "
		}
		plain := strconv.Quote(word)
		if i == 0 || plain == `"`+word+`"` && word != "" {
			plain = word
		}
		text += plain
	}
	return text
}

// String names the numbers for the log of a run.
func (n Numbers) String() string {
	return map[Numbers]string{Integers: "integers", Fractions: "fractions", Anything: "anything"}[n] + fmt.Sprintf("(%d)", int(n))
}
