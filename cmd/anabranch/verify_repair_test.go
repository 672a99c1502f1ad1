package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// healed reads what verify --json --repair prints: objects by kind and "db key".
func healed(t *testing.T, stdout string) map[string]map[string]jsonKey {
	t.Helper()
	kinds := map[string]map[string]jsonKey{}
	for line := range strings.Lines(stdout) {
		var key jsonKey
		if err := json.Unmarshal([]byte(line), &key); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if kinds[key.Kind] == nil {
			kinds[key.Kind] = map[string]jsonKey{}
		}
		kinds[key.Kind][fmt.Sprintf("%d %s", key.DB, key.Key)] = key
	}
	return kinds
}

// What was changed in one region of three is as it was, in all of them, and what clients wrote meanwhile is there too.
func TestVerifyRepairsEachTypeUnderWrites(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	conn := cluster.Region("A").Dial()
	for _, command := range verifyData {
		conn.Must(strings.Fields(command)...)
	}
	cluster.Converge()
	past := redistest.Dial(t, cluster.Region("A").Redis.Addr)
	past.Must("DEL", "again")
	for _, change := range changed {
		past.Must(strings.Fields(change.command)...)
	}
	past.Must("LMOVE", "l", "l", "LEFT", "RIGHT")
	past.Must("SET", "counter", "100") // the next increment may put it right before it is looked at
	// The others write to the same keys before, during and after the repairs.
	const writes = 20
	var writers sync.WaitGroup
	for i, name := range []string{"B", "C"} {
		conn := cluster.Region(name).Dial()
		writers.Go(func() {
			for n := range writes {
				member := fmt.Sprintf("new%d.%d", i, n)
				conn.Must("SADD", "set", member)
				conn.Must("HSET", "h", member, "v")
				conn.Must("ZADD", "z", "7", member)
				conn.Must("RPUSH", "l", member)
				conn.Must("INCR", "counter")
				conn.Must("XADD", "x", "*", "f", member)
				time.Sleep(150 * time.Millisecond)
			}
		})
	}
	code, stdout, stderr := call(t, regionFlags(cluster, "--json", "--repair")...)
	writers.Wait()
	kinds := healed(t, stdout)
	if code != exitOK || stderr != "" || len(kinds["not-repaired"]) > 0 || len(kinds["undecided"]) > 0 || len(kinds["repaired"]) < len(changed) {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
	for name, key := range kinds["repaired"] {
		if key.Region != "B" && key.Region != "C" {
			t.Errorf("%s has the value of region %q", name, key.Region)
		}
	}
	cluster.Converge()
	if code, stdout, stderr := call(t, regionFlags(cluster)...); code != exitOK {
		t.Errorf("after the repair: status %d: %s%s", code, stdout, stderr)
	}
	for command, want := range map[string]string{
		"GET s": "v", "GET counter": fmt.Sprint(8 + 2*writes), "SCARD set": fmt.Sprint(3 + 2*writes), "HLEN h": fmt.Sprint(2 + 2*writes),
		"ZCARD z": fmt.Sprint(2 + 2*writes), "LLEN l": fmt.Sprint(3 + 2*writes), "XLEN x": fmt.Sprint(1 + 2*writes), "PFCOUNT p": "3",
		"GET again": "v", "GET lost": "v", "EXISTS foreign": "0", "HGET h2 f": "v", "LINDEX l 0": "a", "ZSCORE z a": "1", "PTTL h": "-1",
	} {
		if got := conn.Must(strings.Fields(command)...).Text; got != want {
			t.Errorf("%s answers %q, want %q", command, got, want)
		}
	}
	if ttl := conn.Must("TTL", "timed").Int(); ttl > 5000 || ttl < 4000 {
		t.Errorf("the deadline is in %d seconds", ttl)
	}
	for _, region := range cluster.Regions {
		if reply := region.Dial().Must("XINFO", "GROUPS", "x"); len(reply.Items) != 1 {
			t.Errorf("region %s has the groups %s", region.Name, reply)
		}
	}
}

// Of two regions that just differ only somebody who knows can say which one is right.
func TestVerifyRepairsTwoRegionsAsPreferred(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	conn := cluster.Region("A").Dial()
	conn.Must("SET", "k", "v")
	conn.Must("SET", "lost", "v")
	conn.Must("SADD", "large", "m")
	for from := 0; from < 5000; from += 1000 {
		add := []string{"SADD", "large"}
		for i := range 1000 {
			add = append(add, fmt.Sprint("member", from+i))
		}
		conn.Must(add...)
	}
	cluster.Converge()
	past := redistest.Dial(t, cluster.Region("B").Redis.Addr)
	past.Must("SET", "k", "w")
	past.Must("DEL", "lost")
	past.Must("SREM", "large", "m")
	code, stdout, stderr := call(t, regionFlags(cluster, "--json", "--repair")...)
	kinds := healed(t, stdout)
	if code != exitFailure || len(kinds["repaired"]) != 1 || kinds["repaired"]["0 lost"].Region != "A" || len(kinds["not-repaired"]) != 2 {
		t.Errorf("without a preference: status %d: %s%s", code, stdout, stderr)
	}
	if why := kinds["not-repaired"]["0 k"].Detail; !strings.Contains(why, "--prefer") {
		t.Errorf("it says %q", why)
	}
	code, stdout, stderr = call(t, regionFlags(cluster, "--repair", "--prefer", "B")...)
	for _, want := range []string{`db0 "k": repaired with the value of region B in `, "2 keys differ (bypass write 2), 2 repaired"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("status %d, no %q in %s%s", code, want, stdout, stderr)
		}
	}
	if got := conn.Must("GET", "k").Text; got != "w" {
		t.Errorf("the key is %q", got)
	}
	if got := conn.Must("SISMEMBER", "large", "m").Text; got != "0" {
		t.Errorf("the large key was not repaired")
	}
	cluster.RequireEqual(t)
}

func TestVerifyNamesARegionThatRefusesToRepair(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	b := cluster.Region("B")
	b.Dial().Must("SET", "k", "v")
	b.Dial().Must("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-@write")
	cluster.Converge()
	redistest.Dial(t, b.Redis.Addr).Must("SET", "k", "w")
	args := []string{"verify", "--region", "A=" + cluster.Region("A").Proxy().Addr, "--region", "B=redis://reader:secret@" + b.Proxy().Addr, "--repair", "--prefer", "B"}
	code, stdout, stderr := call(t, args...)
	if code != exitFailure || !strings.Contains(stdout, `db0 "k": not repaired: region B: CRDT: NOPERM`) {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
	for _, args := range [][]string{regionFlags(cluster, "--prefer", "A"), regionFlags(cluster, "--repair", "--prefer", "C")} {
		if code, stdout, stderr := call(t, args...); code != exitUsage || !strings.Contains(stderr, "prefer") {
			t.Errorf("%v: status %d: %s%s", args, code, stdout, stderr)
		}
	}
}

func TestVerifyWatchRepairsAsItGoes(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a := cluster.Region("A").Dial()
	a.Must("SET", "k", "v")
	cluster.Converge()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out lines
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, regionFlags(cluster, "--watch", "--json", "--repair", "--prefer", "A"), &out, &out)
	}()
	past := redistest.Dial(t, cluster.Region("B").Redis.Addr)
	for i := range 2 {
		past.Must("SET", "k", "w")
		eventually(t, "the key is repaired", func() bool { return len(out.all()) == 2*(i+1) })
		if got := past.Must("GET", "k").Text; got != "v" {
			t.Errorf("the key is %q", got)
		}
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("status %d: %q", code, out.all())
	}
}
