package redistest

import (
	"bufio"
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

const (
	// startLimit is generous: the machine that runs the tests may be busy with a build.
	startLimit = 30 * time.Second
	stopLimit  = 20 * time.Second
	logBytes   = 16 << 10
)

// Server is one redis-server process. It is stopped when the test ends; its log is printed when the test failed.
type Server struct {
	Addr string // HOST:PORT, the same over restarts
	Dir  string // holds redis.conf, redis.log and the append-only file

	t        testing.TB
	port     int
	proc     *process
	observed *redis.Client  // see observer
	clock    *time.Duration // see WithClock
}

// Option changes how a server is started.
type Option func(*settings)

type settings struct {
	aof    bool
	config []string
	clock  *time.Duration
}

// WithAOF turns the append-only file on with `appendfsync always`: what was acknowledged survives a kill.
func WithAOF() Option { return func(s *settings) { s.aof = true } }

// WithConfig adds lines to redis.conf, after ours, so that they win.
func WithConfig(lines ...string) Option {
	return func(s *settings) { s.config = append(s.config, lines...) }
}

// Start runs a redis-server on a free loopback port and in an empty directory, and waits until it answers. Without
// options it keeps nothing on disk. A missing redis-server fails the test.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	var set settings
	for _, opt := range opts {
		opt(&set)
	}
	s := &Server{Dir: t.TempDir(), t: t, clock: set.clock}
	t.Cleanup(s.cleanup)
	var err error
	if set.clock != nil {
		s.SetClock(*set.clock)
	}
	for range 5 { // another program can take the port between the choice and the bind
		s.port = FreePort(t)
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		if err = s.configure(set); err != nil {
			break
		}
		if err = s.launch(); err == nil {
			return s
		}
	}
	t.Fatalf("redistest: redis-server: %v\n%s", err, logTail(s.logPath(), logBytes))
	return nil
}

// StartReplica runs a redis-server that copies another one.
func StartReplica(t testing.TB, of *Server, opts ...Option) *Server {
	t.Helper()
	return Start(t, append(slices.Clone(opts), WithConfig(fmt.Sprintf("replicaof 127.0.0.1 %d", of.port)))...)
}

// URL is the address in the form of the --redis flag.
func (s *Server) URL() string { return "redis://" + s.Addr }

// Client is a new go-redis client, closed when the test ends.
func (s *Server) Client() *redis.Client { return newClient(s.t, s.Addr) }

// observer is one client that this package keeps for looking at the server itself.
func (s *Server) observer() *redis.Client {
	if s.observed == nil {
		s.observed = s.Client()
	}
	return s.observed
}

// PID is the process id of the running server.
func (s *Server) PID() int { return s.proc.cmd.Process.Pid }

// Running says whether the process lives.
func (s *Server) Running() bool { return s.proc != nil && s.proc.running() }

// Kill sends SIGKILL and waits for the end. Killing a dead server does nothing.
func (s *Server) Kill() {
	if s.Running() {
		s.proc.kill()
	}
}

// Stop ends the server in an orderly way, as an operator would.
func (s *Server) Stop() {
	s.t.Helper()
	if !s.Running() {
		return
	}
	if err := s.proc.terminate(stopLimit); err != nil {
		s.t.Fatalf("redistest: stop redis-server: %v", err)
	}
}

// Restart starts the server again on the same port and directory, and waits until it answers. A server that still runs
// is stopped first.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.launch(); err != nil {
		s.t.Fatalf("redistest: restart redis-server: %v\n%s", err, logTail(s.logPath(), logBytes))
	}
}

// Pause freezes the process with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Pause() { s.mustSignal(syscall.SIGSTOP) }

// Continue undoes Pause.
func (s *Server) Continue() { s.mustSignal(syscall.SIGCONT) }

func (s *Server) mustSignal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.proc.signal(sig); err != nil {
		s.t.Fatalf("redistest: %v to redis-server: %v", sig, err)
	}
}

func (s *Server) logPath() string { return filepath.Join(s.Dir, "redis.log") }

func (s *Server) configure(set settings) error {
	lines := []string{
		"bind 127.0.0.1",
		"port " + strconv.Itoa(s.port),
		"dir " + s.Dir,
		`save ""`,
		"appendonly " + map[bool]string{true: "yes", false: "no"}[set.aof],
		"appendfsync always",
		"repl-diskless-sync-delay 0", // no second replica will come
		"enable-debug-command local", // tests look inside with DEBUG; the proxy never may
	}
	lines = append(lines, set.config...)
	return os.WriteFile(filepath.Join(s.Dir, "redis.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

func (s *Server) launch() error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return err
	}
	env, err := s.clockEnv()
	if err != nil {
		return err
	}
	s.proc, err = spawn(s.logPath(), env, path, filepath.Join(s.Dir, "redis.conf"))
	if err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil {
		s.proc.kill()
		return err
	}
	return nil
}

// awaitReady waits until this very process answers: a stranger on the same port has another process id.
func (s *Server) awaitReady() error {
	want := "process_id:" + strconv.Itoa(s.PID()) + "\r"
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if !s.proc.running() {
			return fmt.Errorf("ended at once: %v", s.proc.exitError())
		}
		info, err := inlineInfo(s.Addr)
		if err != nil || strings.HasPrefix(info, "-LOADING") {
			continue
		}
		if !strings.Contains(info, want) {
			return fmt.Errorf("port %d answers for another process", s.port)
		}
		if !strings.Contains(info, "\nloading:1") {
			return nil
		}
	}
	return fmt.Errorf("no answer on %s within %v", s.Addr, startLimit)
}

// inlineInfo asks for INFO without a client library, because a pool's retries and handshakes would hide what happens.
func inlineInfo(addr string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte("INFO\r\nQUIT\r\n")); err != nil {
		return "", err
	}
	var text strings.Builder
	if _, err := bufio.NewReader(conn).WriteTo(&text); err != nil && text.Len() == 0 {
		return "", err
	}
	return text.String(), nil
}

func (s *Server) cleanup() {
	s.Kill()
	if s.proc != nil {
		s.proc.killGroup() // or it would still write into a directory that is being removed
	}
	if s.t.Failed() && s.proc != nil {
		s.t.Logf("redis-server %s:\n%s", s.Addr, logTail(s.logPath(), logBytes))
	}
}

// newClient never retries: a test must see what really happened to a command.
func newClient(t testing.TB, addr string) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr:                  addr,
		MaxRetries:            -1,
		DisableIdentity:       true,
		Protocol:              2,
		ContextTimeoutEnabled: true,
		ReadTimeout:           20 * time.Second,
		WriteTimeout:          20 * time.Second,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Follow makes the server a replica of another one at its next start, and of nobody else.
func (s *Server) Follow(primary *Server) {
	s.t.Helper()
	path := filepath.Join(s.Dir, "redis.conf")
	config, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
	var lines []string
	for line := range strings.Lines(string(config)) {
		if !strings.HasPrefix(line, "replicaof ") {
			lines = append(lines, line)
		}
	}
	if primary != nil {
		lines = append(lines, fmt.Sprintf("replicaof 127.0.0.1 %d\n", primary.port))
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644); err != nil {
		s.t.Fatalf("redistest: %v", err)
	}
}
