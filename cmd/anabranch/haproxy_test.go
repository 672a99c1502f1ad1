package main

import (
	"os"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

func TestHAProxyConfigIsWrittenFromFlags(t *testing.T) {
	code, stdout, stderr := call(t, "haproxy-config", "--local", "eu=10.1.0.5:6380,agent=6780", "--remote", "us=10.2.0.5:6380,admin=7000", "--backup-region", "ap",
		"--slots", "2", "--max-lag", "5s", "--listen", ":7379", "--stats", "127.0.0.1:8000", "--socket", "/run/x.sock")
	if code != exitOK || stderr != "" {
		t.Fatalf("status %d, %q", code, stderr)
	}
	for _, want := range []string{
		"bind :7379", "stats socket /run/x.sock", "bind 127.0.0.1:8000", "uri /readyz?max_lag=5s ", "server eu-1 10.1.0.5:6380 check port 6580",
		"server us-1 10.2.0.5:6380 check port 7000", "server-template ap- 1-2", "server-template eu- 2-3",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

// The example is what the program writes today; haproxy/config_test.go has HAProxy look at it.
func TestTheExampleForHAProxyIsWhatIsWritten(t *testing.T) {
	want, err := os.ReadFile("../../examples/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"haproxy-config", "--local", "eu=10.1.0.5:6380,agent=6780", "--local", "eu=10.1.0.6:6380,agent=6780", "--remote", "us=10.2.0.5:6380,agent=6780", "--slots", "2"}
	if code, stdout, _ := call(t, args...); code != exitOK || stdout != string(want) {
		t.Errorf("status %d; write it anew with: anabranch %s", code, strings.Join(args, " "))
	}
}

func TestMistakesInHAProxyFlagsEndWithStatus2(t *testing.T) {
	for _, args := range [][]string{
		{"haproxy-config"}, {"haproxy-config", "--region", "eu"}, {"haproxy-config", "--local", "nonsense"}, {"haproxy-config", "--local", "eu=h:1,admin=0"},
		{"haproxy-config", "--local", "eu=h:1", "--local", "us=h:1"}, {"haproxy-config", "--local", "eu=h:1", "--remote", "eu=h:2"},
		{"haproxy-config", "--remote", "us=h:1"}, {"haproxy-config", "--local", "eu=h:1", "--listen", "a b"}, {"haproxy-config", "--local", "eu=h:1", "--consul", "x"},
		{"haproxy-config", "--local", "eu=h:1", "--slots", "65"}, {"haproxy-config", "--local", "eu=h:1", "extra"},
		{"haproxy-sync"}, {"haproxy-sync", "--consul", "http://127.0.0.1:1", "--interval", "1ms"}, {"haproxy-sync", "--consul", "http://127.0.0.1:1", "--consul-cert-file", "x"},
	} {
		if code, stdout, stderr := call(t, args...); code != exitUsage || stderr == "" || stdout != "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	for _, name := range []string{"haproxy-config", "haproxy-sync"} {
		if code, stdout, _ := call(t, name, "--help"); code != exitOK || !strings.Contains(stdout, "--consul URL") {
			t.Errorf("%s --help: status %d, %q", name, code, stdout)
		}
	}
}

// A Consul that is not there is said, and no configuration is written: half a configuration would be worse than none.
func TestHAProxyConfigNeedsTheConsulThatItIsTold(t *testing.T) {
	code, stdout, stderr := call(t, "haproxy-config", "--local", "eu=h:1", "--consul", "http://"+redistest.FreeAddr(t))
	if code != exitFailure || stdout != "" || !strings.Contains(stderr, "refused") {
		t.Errorf("status %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

func TestConsulOptionsAreChecked(t *testing.T) {
	ok := []string{"--region=A", "--region-id=1"}
	for arg, want := range map[string]string{
		"--consul=127.0.0.1:8500":       `--consul: "127.0.0.1:8500": expected http://HOST:PORT`,
		"--consul-service=a b":          "--consul-service: ",
		"--consul-datacenter=a b":       "--consul-datacenter: ",
		"--consul-ttl=1ms":              "--consul-ttl: ",
		"--consul-forget-after=1s":      "--consul-forget-after: ",
		"--consul-key-file=x":           "--consul-cert-file, --consul-key-file: give both",
		"--agent-listen=nowhere":        "--agent-listen: ",
		"--agent-listen=127.0.0.1:6380": "--agent-listen: 127.0.0.1:6380 is already used by --listen",
		"--drain-time=-1s":              "--drain-time: ",
	} {
		if _, err := load(t, nil, append(ok, arg)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	if _, err := load(t, nil, append(ok, "--consul=http://h", "--listen=127.0.0.1:0")...); err == nil || !strings.Contains(err.Error(), "--listen: 127.0.0.1:0 has no fixed port") {
		t.Errorf("a port that nobody can know: %v", err)
	}
}

// What is registered is what others can reach.
func TestWhatIsRegisteredCanBeReached(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		client string
		admin  int
		agent  int
	}{
		"loopback":  {nil, "127.0.0.1:6380", 6580, 0},
		"any":       {[]string{"--listen=:6380", "--admin-listen=:6580", "--agent-listen=:6780"}, ":6380", 6580, 6780},
		"any IPv6":  {[]string{"--listen=[::]:6380"}, ":6380", 0, 0},
		"advertise": {[]string{"--listen=0.0.0.0:6380", "--advertise=redis.example"}, "redis.example:6380", 0, 0},
	} {
		c, err := load(t, nil, append([]string{"--region=A", "--region-id=1"}, test.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.endpoint(c.Listen).String(); got != test.client || c.reachablePort(c.AdminListen) != test.admin || c.reachablePort(c.AgentListen) != test.agent {
			t.Errorf("%s: %s, admin port %d, agent port %d", name, got, c.reachablePort(c.AdminListen), c.reachablePort(c.AgentListen))
		}
	}
}
