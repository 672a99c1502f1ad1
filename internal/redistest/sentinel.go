package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// PrimaryName is what Sentinels call the primary of a Guarded.
const PrimaryName = "main"

// Sentinel is one redis-sentinel process. It is killed when the test ends; its log is printed when the test failed.
type Sentinel struct {
	Addr string // where the process listens
	dir  string
	t    testing.TB
	proc *process
}

// Guarded is a primary and its replicas with Sentinels that guard them.
type Guarded struct {
	Servers   []*Server // the first began as the primary
	Sentinels []*Sentinel
	Proxies   []*Proxy // that were given URL

	t      testing.TB
	relays map[any]*Relay // in front of each *Server and *Sentinel, with Relayed
	secure map[any]string // address for TLS of each, with TLS
	login  string         // user:password@ for Redis, in URL
	params string         // of URL
}

// Guard says how to start a Guarded. The zero value of a field is its default.
type Guard struct {
	Replicas  int      // 2
	Sentinels int      // 3
	Redis     []Option // of every server
	Config    []string // lines for sentinel.conf; they win over ours
	Login     string   // user:password@ for Redis
	Params    string   // of the URL, after "?"

	// Relayed puts a relay in front of every process, and has everybody, the Sentinels too, know it by that address. Split cuts there.
	Relayed bool

	// TLS has all of them speak TLS alone to each other and to the proxies, with certificates of this authority on both sides. Tests still
	// look at them in plain TCP.
	TLS *Authority
}

// SentinelConfig is what sentinel.conf says of the primary unless Guard.Config says otherwise: a fail-over within seconds.
var SentinelConfig = []string{
	"sentinel down-after-milliseconds " + PrimaryName + " 1000",
	"sentinel failover-timeout " + PrimaryName + " 3000",
	"sentinel parallel-syncs " + PrimaryName + " 1",
}

// StartGuarded starts servers and Sentinels, and waits until all of them know each other.
func StartGuarded(t testing.TB, how Guard) *Guarded {
	t.Helper()
	if how.Replicas == 0 {
		how.Replicas = 2
	}
	if how.Sentinels == 0 {
		how.Sentinels = 3
	}
	g := &Guarded{t: t, relays: map[any]*Relay{}, secure: map[any]string{}, login: how.Login, params: how.Params}
	options := append([]Option{WithConfig("repl-diskless-sync-delay 0", "repl-ping-replica-period 1")}, how.Redis...)
	for range 1 + how.Replicas {
		port, tlsLines := how.tlsConfig(t)
		server := Start(t, append(slices.Clone(options), WithConfig(tlsLines...))...)
		if port != 0 {
			g.secure[server] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
		if how.Relayed {
			g.relays[server] = StartRelay(t, server.Addr)
			g.tell(server, "CONFIG", "SET", "replica-announce-ip", "127.0.0.1", "replica-announce-port", portOf(g.addr(server)))
		}
		if len(g.Servers) > 0 {
			g.tell(server, "REPLICAOF", "127.0.0.1", portOf(g.addr(g.Servers[0])))
		}
		g.Servers = append(g.Servers, server)
	}
	for range how.Sentinels {
		g.Sentinels = append(g.Sentinels, g.startSentinel(how))
	}
	g.AwaitGuarded()
	return g
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// tlsConfig is the lines that have a process speak TLS at a port of its own; 0 without TLS.
func (how Guard) tlsConfig(t testing.TB) (port int, lines []string) {
	if how.TLS == nil {
		return 0, nil
	}
	port = FreePort(t)
	certificate := how.TLS.Issue("redis-" + strconv.Itoa(port))
	return port, []string{
		"tls-port " + strconv.Itoa(port), "tls-replication yes", "tls-auth-clients yes",
		"tls-cert-file " + certificate.CertFile, "tls-key-file " + certificate.KeyFile, "tls-ca-cert-file " + how.TLS.CAFile,
	}
}

// addr is where others reach a *Server or *Sentinel.
func (g *Guarded) addr(process any) string {
	if relay := g.relays[process]; relay != nil {
		return relay.Addr
	}
	if addr, is := g.secure[process]; is {
		return addr
	}
	switch p := process.(type) {
	case *Server:
		return p.Addr
	case *Sentinel:
		return p.Addr
	}
	return ""
}

// tell sends one server a command, logged in as the proxies are.
func (g *Guarded) tell(server *Server, args ...any) {
	g.t.Helper()
	client := g.client(server.Addr)
	defer client.Close()
	if err := client.Do(context.Background(), args...).Err(); err != nil {
		g.t.Fatalf("redistest: %s: %v: %v", server.Addr, args, err)
	}
}

func (g *Guarded) client(addr string) *redis.Client {
	opts, err := redis.ParseURL("redis://" + g.login + addr)
	if err != nil {
		g.t.Fatal(err)
	}
	opts.MaxRetries, opts.DisableIdentity, opts.Protocol = -1, true, 2
	return redis.NewClient(opts)
}

func (g *Guarded) startSentinel(how Guard) *Sentinel {
	g.t.Helper()
	s := &Sentinel{Addr: FreeAddr(g.t), dir: g.t.TempDir(), t: g.t}
	lines := []string{
		"bind 127.0.0.1", "port " + portOf(s.Addr), "dir " + s.dir,
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s %d", PrimaryName, portOf(g.addr(g.Servers[0])), how.Sentinels/2+1),
	}
	if how.Relayed {
		g.relays[s] = StartRelay(g.t, s.Addr)
		lines = append(lines, "sentinel announce-ip 127.0.0.1", "sentinel announce-port "+portOf(g.addr(s)))
	}
	port, tlsLines := how.tlsConfig(g.t)
	if port != 0 {
		g.secure[s] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	lines = append(append(append(lines, tlsLines...), SentinelConfig...), how.Config...)
	if err := os.WriteFile(s.configPath(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		g.t.Fatalf("redistest: %v", err)
	}
	g.t.Cleanup(s.cleanup)
	s.Start()
	return s
}

func (s *Sentinel) configPath() string { return filepath.Join(s.dir, "sentinel.conf") }
func (s *Sentinel) logPath() string    { return filepath.Join(s.dir, "sentinel.log") }

// Start starts the process, with what it knew when it ended.
func (s *Sentinel) Start() {
	s.t.Helper()
	path, err := exec.LookPath("redis-sentinel")
	if err == nil {
		s.proc, err = spawn(s.logPath(), nil, path, s.configPath())
	}
	if err != nil {
		s.t.Fatalf("redistest: redis-sentinel: %v", err)
	}
}

// Kill sends SIGKILL and waits for the end.
func (s *Sentinel) Kill() {
	if s.proc != nil && s.proc.running() {
		s.proc.kill()
	}
}

// Pause freezes the process, Continue undoes it.
func (s *Sentinel) Pause()    { _ = s.proc.signal(syscall.SIGSTOP) }
func (s *Sentinel) Continue() { _ = s.proc.signal(syscall.SIGCONT) }

// PID is the process id.
func (s *Sentinel) PID() int { return s.proc.cmd.Process.Pid }

func (s *Sentinel) cleanup() {
	s.Kill()
	if s.t.Failed() {
		s.t.Logf("redis-sentinel %s:\n%s", s.Addr, logTail(s.logPath(), logBytes))
	}
}

// URL is what the proxies are given as --redis.
func (g *Guarded) URL() string {
	var addrs []string
	for _, s := range g.Sentinels {
		addrs = append(addrs, g.addr(s))
	}
	url := "redis-sentinel://"
	if len(g.secure) > 0 {
		url = "rediss-sentinel://"
	}
	url += g.login + strings.Join(addrs, ",") + "/" + PrimaryName
	if g.params != "" {
		url += "?" + g.params
	}
	return url
}

// sentinelClient asks a Sentinel directly, whatever lies between it and others.
func (g *Guarded) sentinelClient(s *Sentinel) *redis.Client {
	opts := &redis.Options{Addr: s.Addr, MaxRetries: -1, DisableIdentity: true, Protocol: 2, DialTimeout: time.Second, ReadTimeout: time.Second}
	for part := range strings.SplitSeq(g.params, "&") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "sentinel-user":
			opts.Username = value
		case "sentinel-password":
			opts.Password = value
		}
	}
	return redis.NewClient(opts)
}

// Ask sends a command to a Sentinel.
func (g *Guarded) Ask(s *Sentinel, args ...any) (any, error) {
	client := g.sentinelClient(s)
	defer client.Close()
	return client.Do(context.Background(), args...).Result()
}

// state is the fields of SENTINEL MASTER.
func (g *Guarded) state(s *Sentinel) map[string]string {
	reply, err := g.Ask(s, "SENTINEL", "MASTER", PrimaryName)
	list, _ := reply.([]any)
	if err != nil {
		return nil
	}
	state := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		state[fmt.Sprint(list[i])] = fmt.Sprint(list[i+1])
	}
	return state
}

// Primary is the server of the newest configuration that a living Sentinel has.
func (g *Guarded) Primary() *Server {
	g.t.Helper()
	newest, addr := -1, ""
	for _, s := range g.Sentinels {
		epoch, err := strconv.Atoi(g.state(s)["config-epoch"])
		if err != nil || epoch <= newest {
			continue
		}
		reply, err := g.Ask(s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PrimaryName)
		if place, ok := reply.([]any); err == nil && ok && len(place) == 2 {
			newest, addr = epoch, net.JoinHostPort(fmt.Sprint(place[0]), fmt.Sprint(place[1]))
		}
	}
	for _, server := range g.Servers {
		if g.addr(server) == addr {
			return server
		}
	}
	g.t.Fatalf("redistest: the Sentinels name no server of theirs: %q", addr)
	return nil
}

// Replica is a server that says itself that it is one.
func (g *Guarded) Replica() *Server {
	g.t.Helper()
	for _, server := range g.Servers {
		client := g.client(server.Addr)
		info := client.Info(context.Background(), "replication").Val()
		client.Close()
		if strings.Contains(info, "role:slave") {
			return server
		}
	}
	g.t.Fatal("redistest: there is no replica")
	return nil
}

// AwaitGuarded waits until every Sentinel that lives knows all others and the primary's replicas, as a fail-over needs it, and every living
// server but the primary follows it. Sentinels learn that from INFO, which they ask for every 10 s; here they are told to hurry.
func (g *Guarded) AwaitGuarded() {
	g.t.Helper()
	defer g.hurry(10000, 2000) // Redis's own
	var last string
	for deadline := time.Now().Add(2 * startLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		g.hurry(200, 200)
		if last = g.missing(); last == "" {
			return
		}
	}
	g.t.Fatalf("redistest: Sentinels and servers do not find together: %s", last)
}

func (g *Guarded) hurry(infoMillis, publishMillis int) {
	for _, s := range g.Sentinels {
		if s.proc.running() {
			_, _ = g.Ask(s, "SENTINEL", "DEBUG", "info-period", infoMillis, "publish-period", publishMillis)
		}
	}
}

// missing says what the Sentinels do not know yet.
func (g *Guarded) missing() string {
	living := 0
	for _, server := range g.Servers {
		if server.Running() {
			living++
		}
	}
	primaries := map[string]bool{}
	for _, s := range g.Sentinels {
		if !s.proc.running() {
			continue
		}
		state := g.state(s)
		replicas, _ := strconv.Atoi(state["num-slaves"])
		others, _ := strconv.Atoi(state["num-other-sentinels"])
		if state["flags"] != "master" || replicas < living-1 || others != len(g.Sentinels)-1 {
			return fmt.Sprintf("%s knows %v", s.Addr, state)
		}
		primaries[net.JoinHostPort(state["ip"], state["port"])] = true
	}
	if len(primaries) != 1 {
		return fmt.Sprintf("primaries %v", primaries)
	}
	primary := g.Primary()
	client := g.client(primary.Addr)
	defer client.Close()
	info := client.Info(context.Background(), "replication").Val()
	if !strings.Contains(info, "role:master") || strings.Count(info, "state=online") < living-1 {
		return primary.Addr + ": " + info
	}
	return ""
}

// Events counts how often the Sentinels have logged that an event began with a word, such as "-failover-abort".
func (g *Guarded) Events(word string) (n int) {
	g.t.Helper()
	for _, s := range g.Sentinels {
		log, err := os.ReadFile(s.logPath())
		if err != nil {
			g.t.Fatalf("redistest: %v", err)
		}
		n += strings.Count(string(log), " # "+word)
	}
	return n
}

// Split separates the processes of one side from all others, in both directions and without a word, until Heal. A side is some
// *Server, *Sentinel and *Proxy; the proxies' links to other regions stay.
func (g *Guarded) Split(side ...any) {
	g.t.Helper()
	var inside, outside []int
	for process, pid := range g.processes() {
		if slices.Contains(side, process) {
			inside = append(inside, pid)
		} else {
			outside = append(outside, pid)
		}
	}
	if len(inside) != len(side) {
		g.t.Fatal("redistest: a side has a process that is not of this group")
	}
	for process, relay := range g.relays {
		if slices.Contains(side, process) {
			relay.Set(Trouble{Barred: outside})
		} else {
			relay.Set(Trouble{Barred: inside})
		}
	}
}

// processes is everybody, with process id.
func (g *Guarded) processes() map[any]int {
	all := map[any]int{}
	for _, server := range g.Servers {
		all[server] = server.PID()
	}
	for _, s := range g.Sentinels {
		all[s] = s.PID()
	}
	for _, proxy := range g.Proxies {
		all[proxy] = proxy.PID()
	}
	return all
}

// Heal ends a Split.
func (g *Guarded) Heal() {
	for _, relay := range g.relays {
		relay.Set(Trouble{})
	}
}

// Close kills all its processes before the test ends.
func (g *Guarded) Close() {
	for _, server := range g.Servers {
		server.Kill()
	}
	for _, s := range g.Sentinels {
		s.Kill()
	}
}
