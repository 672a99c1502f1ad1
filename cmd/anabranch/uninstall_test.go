package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// TestLeavingKeepsTheDataAndNothingElse runs the script that the README names.
func TestLeavingKeepsTheDataAndNothingElse(t *testing.T) {
	const script = "../../scripts/uninstall.sh"
	cluster := redistest.StartCluster(t, 2)
	a := cluster.Region("A")
	conn := a.Dial()
	conn.Must("SET", "plain", "1")
	conn.Must("SET", "strange\n{}", "2")
	conn.Must("SADD", "set", "x", "y")
	conn.Must("SREM", "set", "x")
	conn.Must("SET", "counter", "1")
	conn.Must("INCR", "counter")
	conn.Must("SELECT", "3")
	conn.Must("HSET", "hash", "f", "v")
	cluster.Converge()

	host, port, err := net.SplitHostPort(a.Redis.Addr)
	if err != nil {
		t.Fatal(err)
	}
	uninstall := func() (string, error) {
		out, err := exec.CommandContext(t.Context(), script, "-h", host, "-p", port).CombinedOutput()
		return string(out), err
	}
	if out, err := uninstall(); err == nil {
		t.Errorf("it ran although the proxy does: %s", out)
	}
	a.Proxy().Stop()
	client := a.Redis.Client()
	eventually(t, "the lease is gone", func() bool { return client.Exists(t.Context(), "crdt:lease").Val() == 0 })
	out, err := uninstall()
	if err != nil || !strings.Contains(out, "removed ") || !strings.Contains(out, "OK") {
		t.Fatalf("%v: %s", err, out)
	}
	if n := client.DBSize(t.Context()).Val(); n != 4 {
		t.Errorf("%d keys in database 0, want 4: %q", n, client.Keys(t.Context(), "*").Val())
	}
	for key, want := range map[string]string{"plain": "1", "strange\n{}": "2", "counter": "2"} {
		if got := client.Get(t.Context(), key).Val(); got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
	if got := client.SMembers(t.Context(), "set").Val(); len(got) != 1 || got[0] != "y" {
		t.Errorf("set is %q", got)
	}
	if text, err := client.Do(t.Context(), "FUNCTION", "LIST").Slice(); err != nil || len(text) != 0 {
		t.Errorf("libraries are left: %v %v", text, err)
	}
	if info := client.Info(t.Context(), "keyspace").Val(); !strings.Contains(info, "db3:keys=1,") {
		t.Errorf("database 3 is not what it was: %s", info)
	}
}
