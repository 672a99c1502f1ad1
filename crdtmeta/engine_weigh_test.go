package crdtmeta_test

import (
	"fmt"
	"testing"

	"anabranch/crdtmeta"
)

// What is weighed is what collection would free: metadata that stays as long as its key does not count, however much it is.
func TestOnlyMetadataThatWouldGoIsWeighed(t *testing.T) {
	a := regions(t, 1)[0]
	const each = 50
	weigh := func(what string, db int, commands ...[]string) int64 {
		t.Helper()
		a.pick(t, 0)
		a.do(t, "DEL", "crdt:gc")
		for i := range each {
			var ours [][]string
			key := fmt.Sprint(what, i)
			for _, command := range commands {
				ours = append(ours, append([]string{command[0], key}, command[1:]...))
			}
			a.call(t, db, ours...)
			a.pick(t, 0)
			a.do(t, "ZADD", "crdt:gc", "1", fmt.Sprintf("%d:%s", db, key))
		}
		reply := a.do(t, "FCALL", crdtmeta.FuncWeigh, "0", "20")
		if reply.Items[0].Int() != each || reply.Items[1].Int() != 20 || reply.Items[3].Int() == 0 {
			t.Fatalf("%s: answer %v", what, reply)
		}
		return reply.Items[2].Int()
	}
	for what, commands := range map[string][][]string{
		"string":    {{"SET", "v"}},
		"tombstone": {{"SET", "v"}, {"DEL"}},
		"set":       {{"SADD", "m", "n", "o"}},
		"removed":   {{"SADD", "m", "n", "o"}, {"SREM", "m"}},
	} {
		if n := weigh(what, 0, commands...); n < 20*40 || n > 20*1000 {
			t.Errorf("20 of %s weigh %d bytes", what, n)
		}
	}
	if n := weigh("elsewhere", 3, []string{"SET", "v"}); n == 0 {
		t.Error("strings in database 3 weigh nothing")
	}
	for what, commands := range map[string][][]string{
		"counter":        {{"INCR"}},
		"hash counter":   {{"HINCRBY", "f", "3"}},
		"timed":          {{"SET", "v", "EX", "1000"}},
		"hyperloglog":    {{"PFADD", "a", "b"}},
		"without a name": {{"GET"}},
	} {
		if n := weigh(what, 0, commands...); n != 0 {
			t.Errorf("20 of %s weigh %d bytes", what, n)
		}
	}
}
