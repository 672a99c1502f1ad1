package examples

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// insideVariable is set in the process that isolated starts.
const insideVariable = "ANABRANCH_TEST_ISOLATED"

// isolated says whether the test runs in namespaces of its own, where it may have any address and any process, and nothing is left of them
// afterwards. If not, it runs the test there, as root.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	args := []string{
		"unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=5m",
	}
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n", "-E", "env", "PATH=" + os.Getenv("PATH")}, args...)
	}
	runtime.LockOSThread() // the end of the thread would be taken for that of this process
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	// The program is built already, but what names it (/proc/PID/…) names something else in there.
	program := filepath.Join(t.TempDir(), "anabranch")
	if err := os.WriteFile(program, []byte(read(t, redistest.Binary(t, false))), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), insideVariable+"=yes", "ANABRANCH_TEST_BINARY="+program, "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	t.Logf("%s", out)
	return false
}

// site is the machines of the example, each a network namespace with one interface on a common bridge.
type site struct {
	t        *testing.T
	dir      string // DIRECTORY of prepare.sh
	machines map[string]string
	running  map[string]*redistest.Command // by machine and program
	written  []string                      // keys whose write was acknowledged
}

// prepareSite makes the machines, and lays out their files.
func prepareSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: "/run/site", running: map[string]*redistest.Command{}, machines: map[string]string{
		"eu-1": "10.1.0.1", "eu-2": "10.1.0.2", "eu-3": "10.1.0.3", "us-1": "10.2.0.1", "us-2": "10.2.0.2", "us-3": "10.2.0.3",
	}}
	// Nothing of this reaches the machine's own /run. keepalived runs scripts only from folders that are root's alone.
	output(t, nil, "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
	output(t, nil, "ip", "link", "set", "lo", "up")
	output(t, nil, "ip", "link", "add", "wan", "type", "bridge")
	output(t, nil, "ip", "addr", "add", "10.0.0.1/8", "dev", "wan")
	output(t, nil, "ip", "link", "set", "wan", "up")
	for machine, address := range s.machines {
		output(t, nil, "ip", "netns", "add", machine)
		output(t, nil, "ip", "link", "add", machine, "type", "veth", "peer", "name", "eth0", "netns", machine)
		output(t, nil, "ip", "link", "set", machine, "master", "wan", "up")
		output(t, nil, "ip", "-n", machine, "addr", "add", address+"/8", "dev", "eth0")
		output(t, nil, "ip", "-n", machine, "link", "set", "eth0", "up")
		output(t, nil, "ip", "-n", machine, "link", "set", "lo", "up")
	}
	env := []string{"ANABRANCH=" + redistest.Binary(t, false)}
	for range 2 { // what was written once is found again
		output(t, env, filepath.Join(folder, "high-availability", "prepare.sh"), s.dir)
	}
	s.move()
	return s
}

// move has the files of each machine name its own folders in the place of /etc and /var, since all share those here.
func (s *site) move() {
	s.t.Helper()
	for machine := range s.machines {
		root := filepath.Join(s.dir, machine)
		paths := strings.NewReplacer(" /etc/", " "+root+"/etc/", `"/etc/`, `"`+root+"/etc/", "/var/lib/", root+"/var/lib/", "/run/haproxy/", root+"/run/haproxy/")
		for _, dir := range []string{"var/lib/redis", "var/lib/consul", "run/haproxy"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				s.t.Fatal(err)
			}
		}
		err := filepath.WalkDir(filepath.Join(root, "etc"), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(paths.Replace(read(s.t, path))), info.Mode())
		})
		if err != nil {
			s.t.Fatal(err)
		}
		// keepalived's script is run as nobody, who must get there.
		for _, dir := range []string{s.dir, root, filepath.Join(root, "etc")} {
			if err := os.Chmod(dir, 0o755); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// startAll starts everything, and waits until the Sentinels know the replicas: before, they cannot fail over.
func (s *site) startAll() {
	s.t.Helper()
	for _, program := range []string{"redis", "sentinel", "consul", "anabranch", "haproxy", "sync", "keepalived"} {
		for machine := range s.machines {
			if strings.HasSuffix(machine, "-3") && program != "redis" && program != "sentinel" && program != "consul" {
				continue
			}
			s.start(machine, program)
		}
		if program == "redis" {
			eventually(s.t, "replicas follow", func() bool { return s.replicas("eu-1") == 2 && s.replicas("us-1") == 2 })
		}
	}
	for _, region := range []string{"eu", "us"} {
		eventually(s.t, "the virtual address of "+region, func() bool { return s.holder(region) != "" })
		eventually(s.t, "the Sentinels of "+region, func() bool {
			said := s.ask(region+"-1", 26379, "sentinels", "SENTINEL", "MASTER", "main")
			return strings.Contains(said, "num-slaves\n2\n") && strings.Contains(said, "num-other-sentinels\n2\n")
		})
	}
}

// start runs a program on a machine, as its unit would.
func (s *site) start(machine, program string) {
	s.t.Helper()
	root := filepath.Join(s.dir, machine)
	etc := filepath.Join(root, "etc")
	anabranch := redistest.Binary(s.t, false)
	args := map[string][]string{
		"redis":     {"redis-server", etc + "/redis/redis.conf"},
		"sentinel":  {"redis-sentinel", etc + "/redis/sentinel.conf"},
		"consul":    {redistest.ConsulBinary(s.t), "agent", "-config-dir", etc + "/consul.d"},
		"anabranch": {anabranch, "serve", "--config", etc + "/anabranch/anabranch.yaml"},
		"haproxy":   {redistest.HAProxyBinary(s.t), "-db", "-f", etc + "/haproxy/haproxy.cfg"},
		"sync":      {"sh", "-c", "set -a; . " + etc + "/anabranch/haproxy-sync.env; exec " + anabranch + " haproxy-sync --socket " + root + "/run/haproxy/anabranch.sock"},
		"keepalived": {"keepalived", "--dont-fork", "--log-console", "--use-file", etc + "/keepalived/keepalived.conf",
			"--pid", root + "/run/keepalived.pid", "--vrrp_pid", root + "/run/vrrp.pid"},
	}[program]
	s.running[machine+" "+program] = redistest.StartProgram(s.t, nil, "ip", append([]string{"netns", "exec", machine}, args...)...)
}

func (s *site) kill(machine, program string) { s.running[machine+" "+program].Kill() }

// in runs a command on a machine.
func (s *site) in(machine, name string, args ...string) string {
	s.t.Helper()
	return output(s.t, nil, "ip", append([]string{"netns", "exec", machine, name}, args...)...)
}

// holder is the machine that has the virtual address of a region at the moment, or nothing.
func (s *site) holder(region string) string {
	for machine := range s.machines {
		if strings.HasPrefix(machine, region) && strings.Contains(s.in(machine, "ip", "addr", "show", "eth0"), "0.100/32") {
			return machine
		}
	}
	return ""
}

// secret is a password that prepare.sh made.
func (s *site) secret(name string) string {
	return strings.TrimSpace(read(s.t, filepath.Join(s.dir, "secrets", name)))
}

// ask is the answer of a Redis or Sentinel, or nothing.
func (s *site) ask(machine string, port int, secret string, args ...any) string {
	options := &redis.Options{Addr: s.machines[machine] + ":6379", Username: secret, Password: s.secret(secret), MaxRetries: -1, DisableIdentity: true, Protocol: 2}
	if port == 26379 {
		options.Addr, options.Username = s.machines[machine]+":26379", ""
	}
	client := redis.NewClient(options)
	defer client.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	switch said, _ := client.Do(ctx, args...).Result(); said := said.(type) {
	case string:
		return said
	case []any:
		var lines strings.Builder
		for _, word := range said {
			if word, ok := word.(string); ok {
				lines.WriteString(word + "\n")
			}
		}
		return lines.String()
	}
	return ""
}

func (s *site) replicas(machine string) int {
	return strings.Count(s.ask(machine, 6379, "anabranch", "INFO", "replication"), "state=online")
}

// primary is the machine of a region whose Redis says that it is the primary.
func (s *site) primary(region string) string {
	s.t.Helper()
	for machine := range s.machines {
		if strings.HasPrefix(machine, region) && strings.Contains(s.ask(machine, 6379, "anabranch", "INFO", "replication"), "role:master") {
			return machine
		}
	}
	s.t.Fatalf("no primary in %s", region)
	return ""
}

// client is an application's, which is outside the machines.
func (s *site) client(addr string) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: addr, Username: "app", Password: s.secret("app"), MaxRetries: -1, DisableIdentity: true, DialTimeout: 2 * time.Second, ReadTimeout: 15 * time.Second,
	})
	s.t.Cleanup(func() { client.Close() })
	return client
}
