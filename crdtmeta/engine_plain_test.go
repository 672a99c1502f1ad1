package crdtmeta_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

// armAs arms in a mode: "shadow", "record", or "" for active.
func (n *node) armAs(f failer, mode string) redistest.Reply {
	f.Helper()
	n.db = -1
	n.pick(f, 0)
	reply, err := n.conn.Try("FCALL", crdtmeta.FuncArm, "0", strconv.Itoa(n.id), "region"+strconv.Itoa(n.id), "0", fmt.Sprintf("%06x", n.id), runID(n), "repl",
		"semi-strict", "values", "", "", mode)
	if err != nil {
		f.Fatalf("arm: %v", err)
	}
	return reply
}

// plainRun is a life of keys of all types. Commands with ! in front go past the engine.
var plainRun = []string{
	"SET timed v PX 120", "!SET timed kept", "SET s 1", "!SET s 2", "INCR s", "!INCR s", "INCRBY s 5", "!DEL s", "INCR s",
	"SADD set a b", "!SREM set a", "SREM set a b", "!SADD set c", "SADD set d", "HSET h f 1", "!HINCRBY h f 2", "HINCRBY h f 4", "!HDEL h f", "HSET h g 1",
	"ZADD z 1 a 2 b", "!ZINCRBY z 5 a", "ZINCRBY z 1 a", "!ZREM z a", "ZADD z NX 9 a", "RPUSH l 1 2 3", "!LPUSH l 0", "LSET l 0 x", "!LPOP l", "RPUSH l 4",
	"LINSERT l BEFORE 3 y", "!RPOP l", "LREM l 0 2", "PFADD p a b", "!PFADD p c", "PFADD p d", "!SET p str", "APPEND p x", "DEL set", "!RPUSH set l", "LPUSH set m",
	"SETBIT bits 7 1", "!SETBIT bits 1 1", "BITFIELD bits INCRBY u8 0 3", "EXPIRE z 1000", "!PERSIST z", "ZADD z 3 c", "RENAME h h2", "!HSET h x 1", "HSET h y 2",
	"COPY h h3", "XADD x 1-1 f v", "!XADD x 2-1 f v", "XADD x 3-1 f v", "XGROUP CREATE x g 0", "!XDEL x 2-1", "XTRIM x MAXLEN 1", "MSET m1 a m2 b", "!MSET m1 c m3 d",
	"SPOP none", "SINTERSTORE out h h", "GETDEL m2", "SET ex v EX 1000", "!SET ex w KEEPTTL", "GETEX ex PERSIST",
}

// As long as nothing is recorded, others may write past the engine at any time: all replies and all data are those of plain Redis, also
// where metadata from before is left, and no call leaves any.
func TestWritesWithoutARecordAreThoseOfPlainRedis(t *testing.T) {
	n := startNodes(t, 1)[0]
	plain := redistest.Dial(t, redistest.Start(t).Addr)
	n.do(t, "FUNCTION", "LOAD", "REPLACE", library)
	for _, past := range []string{"none", "recorded"} {
		n.db = -1
		n.do(t, "FLUSHALL")
		plain.Must("FLUSHALL")
		if past == "none" {
			if reply := n.armAs(t, "shadow"); reply.IsError() {
				t.Fatal(reply)
			}
		} else {
			n.armAs(t, "")
			for _, line := range plainRun { // the same keys, and none of it is true any more
				n.call(t, 0, strings.Fields(strings.TrimPrefix(line, "!")))
			}
			n.pick(t, 0)
			n.do(t, "FCALL", crdtmeta.FuncPlain, "0")
			for _, key := range n.do(t, "KEYS", "*").Items {
				if !strings.HasPrefix(key.Text, "crdt:") {
					n.do(t, "DEL", key.Text)
				}
			}
		}
		n.pick(t, 0)
		left := len(n.do(t, "KEYS", "crdt:*").Items)
		for _, line := range plainRun {
			bare, past := strings.CutPrefix(line, "!")
			words := strings.Fields(bare)
			want := plain.Do(words...).String()
			var got string
			if past {
				n.pick(t, 0)
				got = n.do(t, words...).String()
			} else {
				replies, entry := n.call(t, 0, words)
				got = replies[0].String()
				if entry != nil {
					t.Errorf("%s: there is a log entry: %q", line, entry.body)
				}
			}
			if got != want {
				t.Errorf("%s answers %s, plain Redis %s", line, got, want)
			}
		}
		n.pick(t, 0)
		if now := len(n.do(t, "KEYS", "crdt:*").Items); now != left {
			t.Errorf("%d keys of ours before, %d after: %v", left, now, n.do(t, "KEYS", "crdt:*"))
		}
		time.Sleep(200 * time.Millisecond)
		if due := n.do(t, "FCALL", "anabranch_expire_1", "0", "100").Text; due != "0" {
			t.Errorf("%s due keys were removed", due)
		}
		ours, theirs := redistest.Keyspace{}, redistest.Snapshot(t, plain)
		for name, entry := range redistest.Snapshot(t, n.conn) {
			if !strings.HasPrefix(name, "0:crdt:") {
				ours[name] = entry
			}
		}
		n.db = -1
		if diff := redistest.Diff(ours, theirs, 1000, 20); diff != "" {
			t.Errorf("metadata of before: %s: data and that of plain Redis:\n%s", past, diff)
		}
		n.pick(t, 0)
		if size := n.call1(t, "DBSIZE"); size != fmt.Sprintf("(integer) %d", len(theirs)) && past == "none" {
			t.Errorf("DBSIZE is %s with %d keys", size, len(theirs))
		}
	}
}

func (n *node) call1(t *testing.T, words ...string) string {
	replies, _ := n.call(t, 0, words)
	return replies[0].String()
}

// A leader begins to record only while nobody has said since that he writes past the engine, and the past is gone then.
func TestRecordingBeginsUndisturbed(t *testing.T) {
	n := startNodes(t, 1)[0]
	n.do(t, "FUNCTION", "LOAD", "REPLACE", library)
	n.armAs(t, "shadow")
	if reply := n.armAs(t, "record"); !strings.HasPrefix(reply.Text, "CRDTPLAIN") {
		t.Errorf("recorded without warning: %v", reply)
	}
	if reply := n.conn.Do("FCALL", crdtmeta.FuncApply, "0", "2.0.1-abcdef", "0"); !strings.HasPrefix(reply.Text, "CRDTPLAIN") {
		t.Errorf("effects of others without a record: %v", reply)
	}
	n.do(t, "SET", "crdt:plain", "soon")
	n.do(t, "FCALL", crdtmeta.FuncPlain, "0")
	if reply := n.armAs(t, "record"); !strings.HasPrefix(reply.Text, "CRDTPLAIN") {
		t.Errorf("recorded although somebody has come: %v", reply)
	}
	if reply := n.armAs(t, ""); !strings.HasPrefix(reply.Text, "CRDTPLAIN") {
		t.Errorf("active without a record: %v", reply)
	}
	n.do(t, "SET", "crdt:plain", "soon")
	if reply := n.armAs(t, "record"); reply.IsError() {
		t.Fatal(reply)
	}
	if reply := n.armAs(t, "shadow"); reply.IsError() {
		t.Fatal(reply)
	}
	n.db = -1
	if _, entry := n.call(t, 0, []string{"SET", "k", "v"}); entry == nil {
		t.Error("nothing is recorded")
	}
	n.pick(t, 0)
	if n.do(t, "EXISTS", "crdt:plain", "crdt:0{k}").Text != "1" {
		t.Error("the write has no metadata, or crdt:plain is left")
	}
	n.do(t, "EVAL", "redis.call('HSET', 'crdt:members', 2, cmsgpack.pack({name = 'B'}))", "0")
	for what, reply := range map[string]redistest.Reply{"plain": n.conn.Do("FCALL", crdtmeta.FuncPlain, "0"), "shadow": n.armAs(t, "shadow")} {
		if !strings.HasPrefix(reply.Text, "CRDTMEMBER region B") {
			t.Errorf("%s with another member: %v", what, reply)
		}
	}
}
