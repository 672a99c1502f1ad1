package migration

import (
	"bytes"
	"hash/fnv"
	"strings"

	"anabranch/translate"
)

// Kind is what a write does to a key or to one element of it, as far as its command tells.
type Kind uint8

// The kinds.
const (
	Overwrite Kind = iota + 1 // the whole value, or one element's: SET, HSET, ZADD
	Lock                      // the same, if nothing is there: SET NX, HSETNX
	Count                     // INCR, HINCRBY, ZINCRBY
	Join                      // adds what can only be there once, or at its own place: SADD, PFADD, RPUSH, XADD
	Take                      // answers what it removes: LPOP, SPOP, ZPOPMIN
	Drop                      // removes one element: SREM, HDEL
	Remove                    // removes the key: DEL
	Live                      // changes the time to live: EXPIRE
	Run                       // a script: it does what it likes
)

// Footprint is one write, without names and values.
type Footprint struct {
	Key     uint64 // hash of database and key
	Element uint32 // hash of the element; 0: the whole key, or some of it
	Kind    Kind
	Type    byte // first letter of the command's group; 0: any type
	At      int64
}

// maxFootprints bounds what one command leaves.
const maxFootprints = 64

// how is what a command does, with the position of its first element and how far the next one is; 0: without elements.
type how struct {
	kind        Kind
	first, step int
}

var hows = map[string]how{
	"SET": {kind: Overwrite}, "SETEX": {kind: Overwrite}, "PSETEX": {kind: Overwrite}, "GETSET": {kind: Overwrite}, "APPEND": {kind: Overwrite}, "SETRANGE": {kind: Overwrite},
	"SETBIT": {kind: Overwrite}, "BITFIELD": {kind: Overwrite}, "BITOP": {kind: Overwrite}, "MSET": {kind: Overwrite}, "RESTORE": {kind: Overwrite}, "COPY": {kind: Overwrite},
	"SETNX": {kind: Lock}, "MSETNX": {kind: Lock}, "HSETNX": {Lock, 2, 99},
	"INCR": {kind: Count}, "DECR": {kind: Count}, "INCRBY": {kind: Count}, "DECRBY": {kind: Count}, "INCRBYFLOAT": {kind: Count},
	"HINCRBY": {Count, 2, 99}, "HINCRBYFLOAT": {Count, 2, 99}, "ZINCRBY": {Count, 3, 99},
	"HSET": {Overwrite, 2, 2}, "HMSET": {Overwrite, 2, 2}, "ZADD": {Overwrite, 3, 2}, "GEOADD": {Overwrite, 4, 3}, "LSET": {Overwrite, 2, 99},
	"SADD": {Join, 2, 1}, "PFADD": {kind: Join}, "PFMERGE": {kind: Join}, "LPUSH": {kind: Join}, "RPUSH": {kind: Join}, "LPUSHX": {kind: Join}, "RPUSHX": {kind: Join}, "LINSERT": {kind: Join},
	"XADD": {kind: Join}, "LPOP": {kind: Take}, "RPOP": {kind: Take}, "BLPOP": {kind: Take}, "BRPOP": {kind: Take}, "LMPOP": {kind: Take}, "BLMPOP": {kind: Take}, "LMOVE": {kind: Take},
	"BLMOVE": {kind: Take}, "RPOPLPUSH": {kind: Take}, "BRPOPLPUSH": {kind: Take}, "SPOP": {kind: Take}, "ZPOPMIN": {kind: Take}, "ZPOPMAX": {kind: Take},
	"BZPOPMIN": {kind: Take}, "BZPOPMAX": {kind: Take}, "ZMPOP": {kind: Take}, "BZMPOP": {kind: Take},
	"SREM": {Drop, 2, 1}, "HDEL": {Drop, 2, 1}, "ZREM": {Drop, 2, 1}, "XDEL": {Drop, 2, 1}, "LREM": {kind: Drop}, "LTRIM": {kind: Drop}, "XTRIM": {kind: Drop},
	"DEL": {kind: Remove}, "UNLINK": {kind: Remove}, "GETDEL": {kind: Remove}, "RENAME": {kind: Remove}, "RENAMENX": {kind: Remove}, "MOVE": {kind: Remove},
	"EXPIRE": {kind: Live}, "PEXPIRE": {kind: Live}, "EXPIREAT": {kind: Live}, "PEXPIREAT": {kind: Live}, "PERSIST": {kind: Live}, "GETEX": {kind: Live},
	"EVAL": {kind: Run}, "EVALSHA": {kind: Run}, "FCALL": {kind: Run},
}

// howOf is what a command does. Those that are not listed and write leave something whole behind, as SINTERSTORE does.
func howOf(plan *translate.Plan, args [][]byte) (h how, ok bool) {
	name := plan.Command.Name
	h, ok = hows[name]
	switch {
	case name == "SET" && has(args[3:], "NX"):
		h.kind = Lock
	case name == "ZADD":
		for h.first = 2; h.first < len(args) && isZaddOption(args[h.first]); h.first++ {
			if bytes.EqualFold(args[h.first], []byte("INCR")) {
				h.kind = Count
			}
		}
		h.first++
	case !ok && plan.Command.Flags&translate.FlagWrite != 0 && plan.Class != translate.Read:
		return how{kind: Overwrite}, true
	}
	return h, ok
}

func has(args [][]byte, option string) bool {
	for _, arg := range args {
		if strings.EqualFold(string(arg), option) {
			return true
		}
	}
	return false
}

func isZaddOption(arg []byte) bool {
	switch strings.ToUpper(string(arg)) {
	case "NX", "XX", "GT", "LT", "CH", "INCR":
		return true
	}
	return false
}

var types = map[string]byte{"string": 's', "bitmap": 's', "hash": 'h', "list": 'l', "set": 'S', "sorted_set": 'z', "geo": 'z', "stream": 'x', "hyperloglog": 'p'}

// footprints lists what a command leaves; named hears the hash of each key with its name.
func footprints(plan *translate.Plan, args [][]byte, db int, at int64, named func(uint64, []byte)) (list []Footprint) {
	if plan.Err != "" || plan.Command == nil {
		return nil
	}
	h, ok := howOf(plan, args)
	if !ok {
		return nil
	}
	plan.Command.EachKey(args, func(position int, access translate.Access) bool {
		if access&translate.AccessWrite == 0 && h.kind != Run {
			return true
		}
		f := Footprint{Key: hashKey(db, args[position]), Kind: h.kind, Type: types[plan.Command.Group], At: at}
		named(f.Key, args[position])
		if h.first == 0 || h.first >= len(args) {
			list = append(list, f)
		}
		for i := h.first; i > 0 && i < len(args) && len(list) < maxFootprints; i += h.step {
			f.Element = hashElement(args[i])
			list = append(list, f)
		}
		return len(list) < maxFootprints
	})
	return list
}

func hashKey(db int, key []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte{byte(db), byte(db >> 8)})
	_, _ = h.Write(key)
	return h.Sum64()
}

func hashElement(element []byte) uint32 {
	h := fnv.New32a()
	_, _ = h.Write(element)
	return max(1, h.Sum32())
}
