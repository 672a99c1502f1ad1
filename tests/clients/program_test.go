package clients

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// programLimit is how long a program may take, with a race detector in the proxies.
const programLimit = 3 * time.Minute

// run calls a program with the addresses of two new regions, and compares what they hold afterwards.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cluster := redistest.StartCluster(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	args = append(args, cluster.Regions[0].Proxy().Addr, cluster.Regions[1].Proxy().Addr)
	execute(t, ctx, dir, name, args...)
	requireEqual(t, cluster)
}

// execute runs a command to its end and shows what it printed.
func execute(t *testing.T, ctx context.Context, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%v\n%s", cmd, out)
	if err != nil {
		t.Fatal(err)
	}
}

func requireEqual(t *testing.T, cluster *redistest.Cluster) {
	t.Helper()
	cluster.Converge()
	if held := cluster.RequireEqual(t); len(held) < 20 {
		t.Errorf("the regions hold %d keys; a program leaves more", len(held))
	}
	for _, region := range cluster.Regions {
		region.RequireNoMetadata(t)
	}
}

// sources is a folder of testdata in a directory where the program may leave what it likes.
func sources(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/"+name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRedisPy(t *testing.T) {
	redistest.Slow(t)
	run(t, sources(t, "redis-py"), python(t), "main.py")
}

// python is an interpreter that has redis-py. Debian's package serves Debian's interpreter alone, and another one may
// come before it on PATH.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.CommandContext(t.Context(), name, "-c", "import redis").Run() == nil {
			return name
		}
	}
	t.Fatal("no python3 has redis-py: apt-get install python3-redis")
	return ""
}

func TestIoredis(t *testing.T) {
	redistest.Slow(t)
	dir := sources(t, "ioredis")
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	// The versions are those of package-lock.json; npm takes what it has fetched before from its own cache.
	execute(t, ctx, dir, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	run(t, dir, "node", "main.js")
}
