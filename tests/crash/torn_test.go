package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// A write that was torn in the append-only file by a crash is gone, and must not come back in part with the next crash.
func TestTornWriteDoesNotComeBack(t *testing.T) {
	redistest.Slow(t)
	cluster := redistest.StartCluster(t, 1, redistest.WithRedis(redistest.WithAOF()))
	region := cluster.Regions[0]
	c := region.Dial()
	c.Must("SET", "whole", "1")
	c.Must("SET", "torn", "1")
	region.Redis.Kill()
	files, err := filepath.Glob(filepath.Join(region.Redis.Dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	file, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	// The entry of the log is the last command of the write's transaction.
	at := bytes.LastIndex(file, []byte("\r\ncrdt:log\r\n"))
	if at < 0 || !bytes.Contains(file[:at], []byte("\r\ntorn\r\n")) {
		t.Fatal("the file does not end with the write")
	}
	if err := os.WriteFile(files[0], file[:at], 0o600); err != nil {
		t.Fatal(err)
	}
	region.Redis.Restart()
	region.Proxy().AwaitReady()
	c = region.Dial()
	if got := c.Must("EXISTS", "whole", "torn").Int(); got != 1 {
		t.Fatalf("after the first restart there are %d of the two keys", got)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		info := c.Must("INFO", "persistence").Text
		if strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file is still being rewritten")
		}
	}
	c.Must("SET", "later", "1")
	region.Redis.Kill()
	region.Redis.Restart()
	region.Proxy().AwaitReady()
	c = region.Dial()
	if got := c.Must("EXISTS", "whole", "later").Int(); got != 2 {
		t.Errorf("after the second restart there are %d of the two keys that were written whole", got)
	}
	if got := c.Must("EXISTS", "torn").Int(); got != 0 {
		t.Error("the torn write came back")
	}
	region.RequireNoMetadata(t)
}
