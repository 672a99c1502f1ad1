package crdtmeta_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/crdtmeta/model"
	"anabranch/internal/redistest"

	"github.com/vmihailenco/msgpack/v5"
)

// failer is what the harness needs of *testing.T and *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// logged is one entry of a region's log, as the peer link would ship it.
type logged struct {
	id     string
	t      crdtmeta.Time
	kind   crdtmeta.Kind
	origin crdtmeta.Origin
	body   string
	runs   []string
}

// node is one region: a Redis with the engine in it.
type node struct {
	id     int
	server *redistest.Server
	conn   *redistest.Conn
	db     int // selected on conn
	origin crdtmeta.Origin
	log    []logged
	lives  int // epochs begun by the test
}

// startNodes runs the Redis servers; reset makes them empty regions.
func startNodes(t testing.TB, count int, opts ...redistest.Option) []*node {
	t.Helper()
	nodes := make([]*node, count)
	for i := range nodes {
		server := redistest.Start(t, opts...)
		nodes[i] = &node{id: i + 1, server: server, conn: redistest.Dial(t, server.Addr)}
	}
	return nodes
}

var library = func() string {
	text, err := crdtmeta.Library(crdtmeta.DefaultPrefix)
	if err != nil {
		panic(err)
	}
	return text
}()

// do sends one command to Redis itself; an error reply ends the test.
func (n *node) do(f failer, words ...string) redistest.Reply {
	f.Helper()
	reply, err := n.conn.Try(words...)
	if err != nil {
		f.Fatalf("region %d: %.200q: %v", n.id, words, err)
	}
	if reply.IsError() {
		f.Fatalf("region %d: %.200q: %s", n.id, words, reply.Text)
	}
	return reply
}

func (n *node) pick(f failer, db int) {
	if n.db != db {
		n.do(f, "SELECT", strconv.Itoa(db))
		n.db = db
	}
}

// reset empties the region and gives it a library without memory, as after a restart.
func (n *node) reset(f failer) {
	f.Helper()
	n.db, n.log, n.lives = -1, nil, 0
	n.do(f, "FLUSHALL")
	n.do(f, "FUNCTION", "LOAD", "REPLACE", library)
	n.arm(f, runID(n), "repl")
}

// runID is another one in each life of the server.
func runID(n *node) string { return fmt.Sprintf("run%d.%d", n.id, n.lives) }

func (n *node) arm(f failer, runID, replID string) {
	f.Helper()
	n.db = -1 // whatever was selected before
	n.pick(f, 0)
	reply := n.do(f, "FCALL", crdtmeta.FuncArm, "0", strconv.Itoa(n.id), "region"+strconv.Itoa(n.id), "0",
		fmt.Sprintf("%06x", n.id), runID, replID)
	origin, err := crdtmeta.ParseOrigin(reply.Text)
	if err != nil {
		f.Fatalf("region %d: armed as %q: %v", n.id, reply.Text, err)
	}
	n.origin = origin
}

// modelOrigin is the same name in the model's words.
func modelOrigin(o crdtmeta.Origin) model.Origin {
	return model.Origin{Region: o.Region, Shard: o.Shard, Epoch: o.Epoch}
}

// call executes commands as one engine call, and returns their replies and the log entry that it made, if any.
func (n *node) call(f failer, db int, commands ...[]string) ([]redistest.Reply, *logged) {
	f.Helper()
	n.pick(f, db)
	words := []string{"FCALL", function(commands), "0", strconv.Itoa(db)}
	var runs []int // commands that each reply stands for
	for i := 0; i < len(commands); {
		var run []string
		for j := i; j < len(commands) && len(commands[j]) == 3 && strings.EqualFold(commands[j][0], "SET"); j++ {
			run = append(run, commands[j][1:]...)
		}
		if len(run) > 2 { // a lone one goes as it is, so that both ways are used
			words = append(words, "M", packRun(run))
			runs = append(runs, len(run)/2)
		} else {
			words = append(append(words, strconv.Itoa(len(commands[i]))), commands[i]...)
			runs = append(runs, 1)
		}
		i += runs[len(runs)-1]
	}
	n.fetch(f)
	before := len(n.log)
	reply := n.do(f, words...)
	if len(reply.Items) != len(runs) {
		f.Fatalf("region %d: %d replies, want %d: %v", n.id, len(reply.Items), len(runs), reply)
	}
	var replies []redistest.Reply
	for i, count := range runs {
		replies = append(replies, slices.Repeat(reply.Items[i:i+1], count)...)
	}
	n.fetch(f)
	switch len(n.log) - before {
	case 0:
		return replies, nil
	case 1:
		return replies, &n.log[before]
	}
	f.Fatalf("region %d: one call made %d entries", n.id, len(n.log)-before)
	return nil, nil
}

// packRun packs keys and values as a proxy does.
func packRun(pairs []string) string {
	var run crdtmeta.Run
	for i := 0; i < len(pairs); i += 2 {
		run.Add(crdtmeta.DefaultPrefix, []byte(pairs[i]), []byte(pairs[i+1]))
	}
	head, list := run.Parts()
	return string(head[:]) + string(list)
}

// needsMemory names the commands with Redis's denyoom flag.
var needsMemory = map[string]bool{
	"SET": true, "SETNX": true, "GETSET": true, "APPEND": true, "SETRANGE": true, "MSET": true, "MSETNX": true, "INCR": true,
	"DECR": true, "INCRBY": true, "DECRBY": true, "INCRBYFLOAT": true, "HSET": true, "HMSET": true, "HSETNX": true,
	"HINCRBY": true, "HINCRBYFLOAT": true, "SADD": true, "SINTERSTORE": true, "SUNIONSTORE": true, "SDIFFSTORE": true,
	"ZADD": true, "ZINCRBY": true, "ZRANGESTORE": true, "ZUNIONSTORE": true, "ZINTERSTORE": true, "COPY": true,
	"LPUSH": true, "RPUSH": true, "LPUSHX": true, "RPUSHX": true, "LINSERT": true, "LSET": true, "LMOVE": true, "RPOPLPUSH": true,
}

func function(commands [][]string) string {
	for _, command := range commands {
		if needsMemory[strings.ToUpper(command[0])] {
			return crdtmeta.FuncWrite
		}
	}
	return crdtmeta.FuncFree
}

// fetch reads what is new in the region's log.
func (n *node) fetch(f failer) {
	f.Helper()
	from := "-"
	if len(n.log) > 0 {
		from = "(" + n.log[len(n.log)-1].id
	}
	db := n.db
	n.pick(f, 0)
	reply := n.do(f, "XRANGE", "crdt:log", from, "+")
	n.pick(f, db)
	for _, item := range reply.Items {
		n.log = append(n.log, parseLogged(f, item))
	}
}

func parseLogged(f failer, item redistest.Reply) logged {
	e := logged{id: item.Items[0].Text}
	fields := item.Items[1].Strings()
	if len(fields) < 2 || fields[0] != "b" {
		f.Fatalf("log entry %s: %q", e.id, fields)
	}
	e.body = fields[1]
	header, err := crdtmeta.DecodeHeader([]byte(e.body))
	if err != nil {
		f.Fatalf("log entry %s: %v: %q", e.id, err, e.body)
	}
	if e.t, err = crdtmeta.ParseID(e.id); err != nil {
		f.Fatalf("log entry: %v", err)
	}
	e.kind, e.origin = header.Kind, header.Origin
	if e.kind == crdtmeta.KindEffects {
		for i := 3; i < len(fields); i += 2 {
			e.runs = append(e.runs, fields[i])
		}
	}
	return e
}

// effects prints what an entry says.
func (e *logged) effects() string {
	if e == nil {
		return "no entry"
	}
	var values []any
	if err := msgpack.Unmarshal([]byte(e.body), &values); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %q", e.t, values[3:])
}

// applied is the answer of the engine to a delivery.
type applied struct {
	frontier crdtmeta.Time
	done     int
	status   string
	detail   string
}

// apply delivers entries of the log of another region.
func (n *node) apply(f failer, origin crdtmeta.Origin, position crdtmeta.Time, entries ...logged) applied {
	f.Helper()
	n.pick(f, 0)
	words := []string{"FCALL", crdtmeta.FuncApply, "0", origin.String(), position.String()}
	for _, e := range entries {
		words = append(words, e.id, e.body, strconv.Itoa(len(e.runs)))
		words = append(words, e.runs...)
	}
	reply := n.do(f, words...)
	if len(reply.Items) < 4 {
		f.Fatalf("region %d: apply answers %v", n.id, reply)
	}
	t, err := crdtmeta.ParseTime(reply.Items[0].Text)
	if err != nil {
		f.Fatalf("region %d: apply answers %v: %v", n.id, reply, err)
	}
	return applied{t, int(reply.Items[1].Int()), reply.Items[2].Text, reply.Items[3].Text}
}

// awaitTick returns in a millisecond in which no region has made a stamp yet, so that stamps of different regions are
// never equal. It polls, because a sleep is longer than a millisecond.
func awaitTick(nodes []*node) {
	var last int64
	for _, n := range nodes {
		if len(n.log) > 0 {
			last = max(last, n.log[len(n.log)-1].t.Millis())
		}
	}
	for time.Now().UnixMilli() <= last {
		time.Sleep(50 * time.Microsecond)
	}
}
