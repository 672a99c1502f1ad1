package main

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// uninstallFrom runs the subcommand on a region's Redis.
func uninstallFrom(t *testing.T, server *redistest.Server, args ...string) (output string, status int) {
	t.Helper()
	var out bytes.Buffer
	status = run(context.WithoutCancel(t.Context()), append([]string{"uninstall", "--redis", server.URL()}, args...), &out, &out)
	return out.String(), status
}

// writeEverything leaves every kind of metadata: losers of conflicts, hidden types, shares, places, registers, tombstones, groups,
// deadlines that were changed and that have passed.
func writeEverything(t *testing.T, cluster *redistest.Cluster) {
	t.Helper()
	a, b := cluster.Region("A").Dial(), cluster.Region("B").Dial()
	both := func(lines ...string) {
		for _, line := range lines {
			a.Must(strings.Fields(line)...)
		}
	}
	both("SET plain 1", "SET counter 10", "SADD set x y z", "HSET hash f v n 1", "ZADD zset 1 a 2 b", "RPUSH list 1 2 3 4", "PFADD hll a b c",
		"XADD stream * k v", "XGROUP CREATE stream g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS stream >", "SET timed v EX 1000", "SET gone v", "SET shortlived v PX 200",
		"SETBIT bits 7 1", "GEOADD geo 13.4 52.5 berlin", "SET clash 1")
	a.Must("SET", "strange\n{}", "2")
	cluster.Converge()
	cluster.PauseAll()
	for i, conn := range []*redistest.Conn{a, b} {
		mine := string(rune('a' + i))
		for _, line := range []string{"SET plain " + mine, "INCRBY counter 5", "SADD set " + mine, "SREM set x", "HSET hash f " + mine, "HINCRBY hash n 2", "ZINCRBY zset 1.5 a",
			"RPUSH list " + mine, "LSET list 0 " + mine, "PFADD hll " + mine, "XADD stream * k " + mine, "DEL gone", "EXPIRE timed 500", "INCRBYFLOAT float 0.1"} {
			conn.Must(strings.Fields(line)...)
		}
	}
	both("DEL clash", "SADD clash m")
	b.Must("APPEND", "clash", "x")
	b.Must("XADD", "stream", "*", "last", "one")
	b.Must("LPOP", "list")
	cluster.ResumeAll()
	cluster.Converge()
	a.Must("SELECT", "3")
	both("HSET hash f v", "EXPIRE hash 900", "LPUSH list a b", "LREM list 1 a")
	time.Sleep(300 * time.Millisecond) // shortlived is over
}

// What clients saw through the proxy is what plain Redis shows afterwards, for every type; and nothing of Anabranch's is left.
func TestLeavingKeepsTheDataAndNothingElse(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	region := cluster.Region("A")
	writeEverything(t, cluster)
	before := redistest.Snapshot(t, region.Dial())
	last := region.Dial().Must("XINFO", "STREAM", "stream").String()
	if len(before) < 15 {
		t.Fatalf("only %d keys: %v", len(before), before)
	}

	if out, status := uninstallFrom(t, region.Redis); status != exitFailure || !strings.Contains(out, "anabranch serve") {
		t.Fatalf("it ran although a proxy leads: status %d: %s", status, out)
	}
	if n := region.Redis.Client().Exists(t.Context(), "crdt:self").Val(); n != 1 {
		t.Fatal("a refused uninstall has removed something")
	}
	region.Proxy().Stop()
	client := region.Redis.Client()
	eventually(t, "the lease is gone", func() bool { return client.Exists(t.Context(), "crdt:lease").Val() == 0 })

	all := client.DBSize(t.Context()).Val()
	out, status := uninstallFrom(t, region.Redis, "--dry-run")
	if status != exitOK || !strings.Contains(out, "would remove") || !strings.Contains(out, "library anabranch_1") || !strings.Contains(out, "members remove A") {
		t.Fatalf("dry run: status %d: %s", status, out)
	}
	if now := client.DBSize(t.Context()).Val(); now != all {
		t.Fatalf("a dry run has changed the number of keys from %d to %d", all, now)
	}
	if out, status = uninstallFrom(t, region.Redis); status != exitOK || !strings.Contains(out, "removed the library") {
		t.Fatalf("status %d: %s", status, out)
	}

	plain := redistest.Dial(t, region.Redis.Addr)
	after := redistest.Snapshot(t, plain)
	if diff := redistest.Diff(before, after, 0, 20); diff != "" {
		t.Errorf("through the proxy before, and in plain Redis after:\n%s", diff)
	}
	if now := plain.Must("XINFO", "STREAM", "stream").String(); now != last {
		t.Errorf("the stream was %s, and is %s", last, now)
	}
	for _, db := range []string{"0", "3"} {
		plain.Must("SELECT", db)
		if left := plain.Must("KEYS", "crdt:*"); len(left.Items) != 0 {
			t.Errorf("left in database %s: %v", db, left)
		}
	}
	if libraries, err := client.Do(t.Context(), "FUNCTION", "LIST").Slice(); err != nil || len(libraries) != 0 {
		t.Errorf("libraries are left: %v %v", libraries, err)
	}
	if out, status := uninstallFrom(t, region.Redis); status != exitOK || !strings.Contains(out, "removed 0 keys") {
		t.Errorf("a second time: status %d: %s", status, out)
	}
}

// A proxy that comes while keys are removed has taken the lease: then the rest stays, and it is said so.
func TestUninstallStopsWhenAProxyComes(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	u := &uninstall{client: client, prefix: "crdt:", out: &bytes.Buffer{}}
	client.Set(t.Context(), "crdt:0{k}", "x", 0)
	now := client.Time(t.Context()).Val().UnixMilli()
	client.Do(t.Context(), "SET", "crdt:lease", "0123 "+strconv.FormatInt(now+3000, 10)+" 3000")
	if _, _, err := u.scan(t.Context(), "remove"); err != errLed {
		t.Errorf("got %v", err)
	}
	client.Do(t.Context(), "SET", "crdt:lease", "0123 "+strconv.FormatInt(now-1, 10)+" 3000")
	if all, _, err := u.scan(t.Context(), "remove"); err != nil || all.ours != 2 {
		t.Errorf("got %v %v", all, err)
	}
}
