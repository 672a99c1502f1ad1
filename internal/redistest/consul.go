package redistest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Consul is one Consul agent, a server that leads its datacentre alone. It is killed when the test ends; its log is printed when
// the test failed. What it keeps is kept over restarts.
type Consul struct {
	URL        string // http://… or, with WithConsulTLS, https://…
	Datacentre string

	t       testing.TB
	dir     string
	wanPort int
	client  *http.Client
	token   string // of an administrator, with WithConsulACL
	proc    *process
}

// ConsulOption changes how an agent is started.
type ConsulOption func(c *Consul, config map[string]any)

// InDatacentre names the agent's datacentre; the default is dc1.
func InDatacentre(name string) ConsulOption {
	return func(c *Consul, _ map[string]any) { c.Datacentre = name }
}

// FederatedWith joins the datacentre of another agent over its WAN port.
func FederatedWith(other *Consul) ConsulOption {
	return func(_ *Consul, config map[string]any) {
		config["retry_join_wan"] = []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(other.wanPort))}
		config["retry_interval_wan"] = "1s"
	}
}

// WithConsulACL denies everything without a token; this one may do everything.
func WithConsulACL(token string) ConsulOption {
	return func(c *Consul, config map[string]any) {
		c.token = token
		config["acl"] = map[string]any{
			"enabled": true, "default_policy": "deny",
			"tokens": map[string]string{"initial_management": token, "agent": token},
		}
	}
}

// WithConsulTLS serves HTTPS alone, and demands a certificate of that authority from clients. client is for the test's own requests.
func WithConsulTLS(caFile, certFile, keyFile string, client *http.Client) ConsulOption {
	return func(c *Consul, config map[string]any) {
		c.client = client
		ports := config["ports"].(map[string]int)
		ports["https"], ports["http"] = ports["http"], -1
		c.URL = "https" + strings.TrimPrefix(c.URL, "http")
		config["tls"] = map[string]any{"https": map[string]any{
			"ca_file": caFile, "cert_file": certFile, "key_file": keyFile, "verify_incoming": true,
		}}
	}
}

// StartConsul runs an agent and waits until it leads.
func StartConsul(t testing.TB, opts ...ConsulOption) *Consul {
	t.Helper()
	c := &Consul{Datacentre: "dc1", t: t, dir: t.TempDir(), wanPort: FreePort(t), client: http.DefaultClient}
	httpPort := FreePort(t)
	c.URL = "http://127.0.0.1:" + strconv.Itoa(httpPort)
	config := map[string]any{
		"server": true, "bootstrap_expect": 1, "data_dir": filepath.Join(c.dir, "data"), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"log_level": "warn", "disable_update_check": true, "connect": map[string]any{"enabled": false},
		"performance": map[string]any{"raft_multiplier": 1}, "skip_leave_on_interrupt": true,
		"ports": map[string]int{
			"http": httpPort, "serf_lan": FreePort(t), "serf_wan": c.wanPort, "server": FreePort(t), "dns": -1, "grpc": -1, "grpc_tls": -1,
		},
	}
	for _, opt := range opts {
		opt(c, config)
	}
	maps.Copy(config, map[string]any{"datacenter": c.Datacentre, "node_name": "node-" + c.Datacentre})
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, "consul.json"), text, 0o600)
	}
	if err != nil {
		t.Fatalf("redistest: consul: %v", err)
	}
	t.Cleanup(c.cleanup)
	c.Restart()
	return c
}

// Restart starts the agent again, with what it had kept, and waits until it leads. One that still runs is killed first.
func (c *Consul) Restart() {
	c.t.Helper()
	c.Kill()
	proc, err := spawn(c.logPath(), nil, ConsulBinary(c.t), "agent", "-config-file", filepath.Join(c.dir, "consul.json"))
	if err != nil {
		c.t.Fatalf("redistest: consul: %v", err)
	}
	c.proc = proc
	for deadline := time.Now().Add(2 * startLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if !proc.running() {
			break
		}
		// Elected is not enough: requests are answered when the server has taken its own log in.
		if c.Try(http.MethodPut, "/v1/kv/redistest", "x", nil) == nil {
			return
		}
	}
	c.t.Fatalf("redistest: consul does not lead:\n%s", logTail(c.logPath(), logBytes))
}

// Forget removes what the agent has kept; it must not run.
func (c *Consul) Forget() {
	c.t.Helper()
	if err := os.RemoveAll(filepath.Join(c.dir, "data")); err != nil {
		c.t.Fatalf("redistest: consul: %v", err)
	}
}

// Kill sends SIGKILL and waits for the end.
func (c *Consul) Kill() {
	if c.proc != nil && c.proc.running() {
		c.proc.kill()
	}
}

// Pause freezes the agent: connections stay open and nothing answers.
func (c *Consul) Pause() { _ = c.proc.signal(syscall.SIGSTOP) }

// Continue undoes Pause.
func (c *Consul) Continue() { _ = c.proc.signal(syscall.SIGCONT) }

// Get asks for a path and reads the JSON of the answer. It fails the test when Consul does not answer so.
func (c *Consul) Get(path string, into any) {
	c.t.Helper()
	if err := c.Try(http.MethodGet, path, "", into); err != nil {
		c.t.Fatalf("redistest: %v", err)
	}
}

// Put sends a body, and reads the JSON of the answer unless into is nil.
func (c *Consul) Put(path, body string, into any) {
	c.t.Helper()
	if err := c.Try(http.MethodPut, path, body, into); err != nil {
		c.t.Fatalf("redistest: %v", err)
	}
}

// Try is a request as an administrator.
func (c *Consul) Try(method, path, body string, into any) error {
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	if c.token != "" {
		request.Header.Set("X-Consul-Token", c.token)
	}
	request.Close = true
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("consul: %s %s: %s", method, path, response.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (c *Consul) logPath() string { return filepath.Join(c.dir, "consul.log") }

func (c *Consul) cleanup() {
	c.Kill()
	if c.t.Failed() {
		c.t.Logf("consul %s:\n%s", c.URL, logTail(c.logPath(), logBytes))
	}
}

// ConsulBinary is the path of consul. It is built from a module of its own and kept for all later runs: the first build takes minutes.
func ConsulBinary(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	if out, err := exec.Command(filepath.Join(root, "scripts", "build-consul.sh")).CombinedOutput(); err != nil {
		t.Fatalf("redistest: building consul: %v\n%s", err, out)
	}
	return filepath.Join(root, ".tools", "consul")
}
