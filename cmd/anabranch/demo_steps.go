package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidwall/resp"
)

// demoStep is one conflict: what both regions know, what each writes unseen by the other, what both must answer.
type demoStep struct {
	title  string
	before []string // written in A and carried to B before the link is paused
	during []write
	reads  []read
	rule   string
}

// write is a command in one region while the link is paused.
type write struct {
	region  string
	command string
}

// read is a command in both regions after the link has been resumed.
type read struct {
	command string
	want    string                 // the reply as redis-cli would show it on one line…
	check   func(resp.Value) error // …or a check, where no single reply is right
	sorted  bool                   // the order of the reply means nothing (SMEMBERS)
	differs bool                   // the regions may answer differently (a remaining time)
}

func demoSteps() []demoStep {
	return []demoStep{
		{
			title:  "String: both regions set it",
			during: []write{{"A", "SET city Oslo"}, {"B", "SET city Bergen"}},
			reads:  []read{{command: "GET city", want: `"Bergen"`}},
			rule:   "the later of two concurrent writes wins, in every region alike",
		},
		{
			title:  "Counter: both regions add to it",
			before: []string{"SET likes 10"},
			during: []write{{"A", "INCRBY likes 5"}, {"B", "INCR likes"}, {"B", "INCRBY likes 2"}},
			reads:  []read{{command: "GET likes", want: `"18"`}},
			rule:   "no increment is lost: 10 + 5 + 3",
		},
		{
			title:  "Hash: one region changes a field, the other removes it",
			before: []string{"HSET user name Ada visits 1"},
			during: []write{
				{"A", "HSET user name Grace"}, {"A", "HINCRBY user visits 2"},
				{"B", "HDEL user name"}, {"B", "HINCRBY user visits 4"}, {"B", "HSET user city Paris"},
			},
			reads: []read{{command: "HMGET user name visits city", want: `["Grace" "7" "Paris"]`}},
			rule:  "fields merge one by one; a write wins over a concurrent HDEL; HINCRBY adds up",
		},
		{
			title:  "Set: one region adds a member again, the other removes it",
			before: []string{"SADD tags red green"},
			during: []write{{"A", "SADD tags red blue"}, {"B", "SREM tags red green"}},
			reads:  []read{{command: "SMEMBERS tags", want: `["blue" "red"]`, sorted: true}},
			rule:   "SREM removes what its region has seen; the concurrent SADD of red wins",
		},
		{
			title:  "Sorted set: scores are raised in both regions",
			before: []string{"ZADD board 10 ann 5 bob"},
			during: []write{{"A", "ZINCRBY board 5 ann"}, {"A", "ZADD board 1 cem"}, {"B", "ZINCRBY board 7 ann"}, {"B", "ZREM board bob"}},
			reads:  []read{{command: "ZRANGE board 0 -1 WITHSCORES", want: `["cem" "1" "ann" "22"]`}},
			rule:   "members merge as in a set, ZINCRBY adds up: 10 + 5 + 7",
		},
		{
			title:  "List: both regions push, and one pops",
			before: []string{"RPUSH jobs build test"},
			during: []write{{"A", "RPUSH jobs deploy"}, {"A", "LPOP jobs"}, {"B", "RPUSH jobs notify"}, {"B", "LPUSH jobs checkout"}},
			reads:  []read{{command: "LRANGE jobs 0 -1", want: `["checkout" "test" "deploy" "notify"]`}},
			rule:   "every element is kept in one order, the same everywhere; a pop takes the element that it has seen",
		},
		{
			title:  "Stream: both regions add entries",
			during: []write{{"A", "XADD events 100-1 from A"}, {"B", "XADD events 200-2 from B"}, {"A", "XADD events 300-1 from A"}},
			reads:  []read{{command: "XLEN events", want: "(integer) 3"}, {command: "XRANGE events 150 250", want: `[["200-2" ["from" "B"]]]`}},
			rule:   "entries of all regions, in the order of their ids; generated ids never collide",
		},
		{
			title:  "HyperLogLog: both regions count visitors",
			during: []write{{"A", "PFADD visitors ann bob"}, {"B", "PFADD visitors bob cem dan"}},
			reads:  []read{{command: "PFCOUNT visitors", want: "(integer) 4"}},
			rule:   "what the regions have counted is joined",
		},
		{
			title:  "Transaction: what is written together is seen together",
			before: []string{"MSET a 10 b 0"},
			during: []write{{"A", "EVAL redis.call('DECRBY','a',3)redis.call('INCRBY','b',3) 0"}, {"B", "INCRBY b 1"}},
			reads:  []read{{command: "MGET a b", want: `["7" "4"]`}},
			rule:   "a script or a MULTI becomes visible elsewhere in one step, and its writes merge by their own rules",
		},
		{
			title:  "Geo: each region adds a place",
			during: []write{{"A", "GEOADD cafes 10.75 59.91 Oslo"}, {"B", "GEOADD cafes 18.07 59.33 Stockholm"}},
			reads:  []read{{command: "GEODIST cafes Oslo Stockholm km", want: `"416.5558"`}},
			rule:   "a geo index is a sorted set: both places are there",
		},
		{
			title:  "Expiry: two different times to live",
			before: []string{"SET session open"},
			during: []write{{"A", "EXPIRE session 1000"}, {"B", "EXPIRE session 100"}},
			reads: []read{
				{command: "TTL session", check: between(990, 1000), differs: true},
				{command: "PEXPIRETIME session", check: future},
			},
			rule: "the longest of concurrent times to live wins, to the millisecond the same everywhere",
		},
		{
			title:  "Delete against update",
			before: []string{"SADD cart apple", "SET note old"},
			during: []write{{"B", "SADD cart pear"}, {"B", "SET note new"}, {"A", "DEL cart note"}},
			reads:  []read{{command: "SMEMBERS cart", want: `["pear"]`, sorted: true}, {command: "GET note", want: `"new"`}},
			rule:   "DEL removes what its region has seen, and nothing else; a concurrent write survives",
		},
		{
			title:  "Type clash: one key, two types",
			during: []write{{"A", "SET thing text"}, {"B", "SADD thing member"}},
			reads:  []read{{command: "TYPE thing", want: "set"}, {command: "SMEMBERS thing", want: `["member"]`, sorted: true}},
			rule:   "the type of the latest write is shown, in both regions the same",
		},
	}
}

func between(low, high int) func(resp.Value) error {
	return func(reply resp.Value) error {
		if reply.Type() != resp.Integer || reply.Integer() < low || reply.Integer() > high {
			return fmt.Errorf("expected %d to %d", low, high)
		}
		return nil
	}
}

func future(reply resp.Value) error {
	if reply.Type() != resp.Integer || int64(reply.Integer()) <= time.Now().UnixMilli() {
		return errors.New("expected a point in time that is still to come")
	}
	return nil
}
