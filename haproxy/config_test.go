package haproxy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

func servers(t *testing.T, texts ...string) (list []Server) {
	t.Helper()
	for _, text := range texts {
		s, err := ParseServer(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// configs are one of each kind.
func configs(t *testing.T) map[string]Config {
	t.Helper()
	base := DefaultConfig()
	base.Region = "eu"
	base.Servers = servers(t, "eu=10.1.0.5:6380", "eu=10.1.0.6:6380,admin=7000,agent=6780", "us=10.2.0.5:6380,agent=6780", "ap=[fd00::5]:6380")
	base.Socket = filepath.Join(t.TempDir(), "haproxy.sock")
	all := map[string]Config{"static": base}
	slots := base
	slots.Slots, slots.Backups = 4, []string{"sa", "us"}
	all["slots"] = slots
	empty := slots
	empty.Servers = nil
	all["empty"] = empty
	plain := base
	plain.MaxLag, plain.KeepBackup, plain.AllBackups = 5*time.Second, true, true
	all["plain"] = plain
	return all
}

// HAProxy itself takes every kind of configuration, without a warning.
func TestHAProxyTakesTheConfiguration(t *testing.T) {
	for name, c := range configs(t) {
		path := filepath.Join(t.TempDir(), "haproxy.cfg")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
		checkWithHAProxy(t, name, path)
	}
	checkWithHAProxy(t, "the example", "../examples/haproxy/haproxy.cfg")
}

func checkWithHAProxy(t *testing.T, name, path string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), redistest.HAProxyBinary(t), "-c", "-f", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		text, _ := os.ReadFile(path)
		t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
	}
}

func TestTheConfigurationHasLocalProxiesFirstAndOthersAsBackup(t *testing.T) {
	var text strings.Builder
	if err := configs(t)["slots"].Write(&text); err != nil {
		t.Fatal(err)
	}
	last := -1
	for _, want := range []string{
		"bind :6379", "uri /readyz ver", "server eu-1 10.1.0.5:6380 check port 6580", "server eu-2 10.1.0.6:6380 check port 7000 agent-check agent-port 6780 on-marked-up",
		"server-template eu- 3-6", "server-template sa- 1-4 127.0.0.1:1", "server us-1 10.2.0.5:6380", "agent-port 6780 backup", "server-template us- 2-5", "server ap-1 [fd00::5]:6380", "stats uri /",
	} {
		at := strings.Index(text.String(), want)
		if at < last {
			t.Errorf("%q is missing, or in the wrong place:\n%s", want, text.String())
		}
		last = at
	}
	for line := range strings.Lines(text.String()) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[0], "server") {
			region, _ := regionOfSlot(fields[1] + "1")
			if strings.Contains(line, " backup") != (region != "eu") {
				t.Errorf("backup or not: %s", line)
			}
		}
		if strings.Contains(line, "redis-check") || strings.Contains(line, "role:master") && !strings.HasPrefix(line, "#") {
			t.Errorf("a check that passes both sides of a split: %s", line)
		}
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no region":        func(c *Config) { c.Region = "" },
		"nobody":           func(c *Config) { c.Servers = nil },
		"only others":      func(c *Config) { c.Servers = c.Servers[2:] },
		"itself as backup": func(c *Config) { c.Backups = []string{"eu"} },
		"another line":     func(c *Config) { c.Servers[0].Host = "x\n    server evil 1.2.3.4:5" },
		"another word":     func(c *Config) { c.Listen = ":6379 accept-proxy" },
		"no admin port":    func(c *Config) { c.Servers[0].AdminPort = 0 },
		"too many slots":   func(c *Config) { c.Slots = 1000 },
	} {
		c := configs(t)["static"]
		change(&c)
		var text strings.Builder
		if err := c.Write(&text); err == nil || text.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes", name, err, text.Len())
		}
	}
	for _, text := range []string{"", "eu", "eu=x", "eu=:1", "=h:1", "eu=h:0", "eu=h:1,admin=x", "eu=h:1,other=2", "eu=h:99999", "e u=h:1", "eu=h h:1"} {
		if s, err := ParseServer(text); err == nil {
			t.Errorf("%q was taken for %+v", text, s)
		}
	}
}
