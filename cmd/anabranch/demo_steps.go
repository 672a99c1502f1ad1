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
