package main

import (
	"os"
	"path/filepath"
	"testing"

	"anabranch/internal/redistest"
)

// TestAllRegionsGoBackToABackup does what docs/operations.md says under "Backup and restore".
func TestAllRegionsGoBackToABackup(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 2)
	a, b := cluster.Region("A"), cluster.Region("B")
	conn := a.Dial()
	for _, command := range [][]string{
		{"SET", "text", "old"}, {"INCRBY", "counter", "10"}, {"RPUSH", "list", "x", "y"}, {"SADD", "set", "m", "n"}, {"SREM", "set", "m"},
		{"HINCRBY", "hash", "f", "3"}, {"XADD", "stream", "1-1", "f", "v"}, {"XGROUP", "CREATE", "stream", "g", "0"}, {"PFADD", "visitors", "p"},
		{"SET", "session", "s", "EX", "10000"}, {"SELECT", "2"}, {"SET", "elsewhere", "1"},
	} {
		conn.Must(command...)
	}
	b.Dial().Must("INCRBY", "counter", "5")
	cluster.Converge()
	want := redistest.Snapshot(t, b.Dial())
	if err := b.Redis.Client().Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(filepath.Join(b.Redis.Dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	a.Dial().Must("FLUSHALL")
	b.Dial().Must("SET", "after", "1")
	cluster.Converge()

	for _, region := range cluster.Regions {
		region.Proxy().Stop()
		region.Redis.Kill()
		if err := os.RemoveAll(filepath.Join(region.Redis.Dir, "dump.rdb")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.Redis.Dir, "dump.rdb"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, region := range cluster.Regions {
		region.Redis.Restart()
	}
	// The backup is so young that the lease of the proxy that led then has not run out.
	eventually(t, "Anabranch's keys are out of the backup", func() bool {
		code, _, _ := call(t, "uninstall", "--redis", b.Redis.URL())
		return code == exitOK
	})
	for _, region := range cluster.Regions {
		region.Proxy().Restart()
	}
	cluster.Converge()
	for _, region := range cluster.Regions {
		if diff := redistest.Diff(want, redistest.Snapshot(t, region.Dial()), 2000, 20); diff != "" {
			t.Errorf("the backup | region %s: %s", region.Name, diff)
		}
	}
	a.Dial().Must("INCR", "counter")
	b.Dial().Must("INCR", "counter")
	cluster.Converge()
	if got := a.Dial().Must("GET", "counter").Text; got != "17" {
		t.Errorf("the counter is %s, want 17", got)
	}
}
