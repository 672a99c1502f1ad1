package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
	"anabranch/internal/status"
)

// A fail-over to a replica that lacks what nobody else has either: the number is the same wherever an operator looks.
func TestLossesAreShownEverywhere(t *testing.T) {
	cluster := redistest.StartCluster(t, 2, redistest.WithReplicas(), redistest.WithRedis(redistest.WithConfig("repl-diskless-sync-delay 0")))
	a, b := cluster.Regions[0], cluster.Regions[1]
	client := a.Dial()
	defer client.Close()
	client.Must("SET", "kept", "1")
	cluster.Sync()
	eventually(t, "the replica has everything", func() bool { return client.Do("WAIT", "1", "100").Int() == 1 })
	replica := redistest.Dial(t, a.Replica.Addr)
	defer replica.Close()
	replica.Must("REPLICAOF", "NO", "ONE")

	b.CRDT("PAUSE", "ALL")
	const lost = 100
	var commands [][]string
	for i := range lost {
		commands = append(commands, []string{"SET", "lost" + strconv.Itoa(i), "v"})
	}
	if _, err := client.Pipeline(commands); err != nil {
		t.Fatal(err)
	}
	there := redistest.Dial(t, b.Redis.Addr)
	defer there.Close()
	eventually(t, "b has heard of it", func() bool {
		return strings.Contains(there.Must("HGETALL", "crdt:heard").String(), strconv.Itoa(1+lost))
	})

	a.Proxy().Kill()
	a.Redis.Kill()
	a.Redis, a.Replica = a.Replica, a.Redis
	a.Proxy().AddFlags("--redis", a.Redis.URL())
	a.Proxy().Launch()
	a.Proxy().AwaitReady()
	again := a.Dial()
	defer again.Close()
	eventually(t, "it is missing", func() bool {
		return strings.Contains(again.Must("INFO", "crdt").Text, "crdt_missing_after_failover:"+strconv.Itoa(lost)+"\r\n")
	})
	eventually(t, "status names who may have it", func() bool {
		_, stdout, _ := call(t, "status", "--admin", a.Proxy().AdminAddr)
		return strings.Contains(stdout, "missing after fail-over: 100 effects, until these have said what they have: B\n")
	})
	b.CRDT("RESUME", "ALL")
	eventually(t, "it is lost", func() bool {
		return strings.Contains(again.Must("INFO", "crdt").Text, "crdt_lost_on_failover:"+strconv.Itoa(lost)+"\r\n")
	})
	cluster.Sync()
	cluster.RequireEqual(t)
	if text := again.Must("CRDT", "STATUS").String(); !strings.Contains(text, `"lost_on_failover" "100"`) || strings.Contains(text, "missing") {
		t.Errorf("CRDT STATUS: %s", text)
	}
	if code, stdout, stderr := call(t, "status", "--admin", a.Proxy().AdminAddr); !strings.Contains(stdout, "lost on fail-over: 100 effects that no region has") {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
	_, body := get(t, "http://"+a.Proxy().AdminAddr+"/status")
	var document status.Document
	if err := json.Unmarshal([]byte(body), &document); err != nil || document.LostEffects != lost || document.MissingEffects != 0 {
		t.Errorf("/status: %v %+v", err, document)
	}
	if !strings.Contains(a.Proxy().Log(), `"effects":100`) {
		t.Error("the log does not say it")
	}
}
