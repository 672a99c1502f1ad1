package redistest

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// HAProxy is one haproxy process. It is killed when the test ends; its log is printed when the test failed.
type HAProxy struct {
	Socket string // path of the runtime socket

	t    testing.TB
	dir  string
	proc *process
}

// HAProxyBinary is the path of haproxy, which Debian puts where not everybody's PATH leads.
func HAProxyBinary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("redistest: haproxy is missing; `make test` installs it")
	return ""
}

// NewHAProxy has a path for the runtime socket, and starts nothing.
func NewHAProxy(t testing.TB) *HAProxy {
	t.Helper()
	// Not t.TempDir: the path of a socket has at most 108 bytes, and that one contains the name of the test.
	dir, err := os.MkdirTemp("", "redistest-haproxy-")
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	h := &HAProxy{Socket: filepath.Join(dir, "haproxy.sock"), t: t, dir: dir}
	t.Cleanup(h.cleanup)
	return h
}

// Start runs haproxy with a configuration, which must have Socket as its runtime socket. One that runs already is killed first.
func (h *HAProxy) Start(config string) {
	h.t.Helper()
	h.Kill()
	path := filepath.Join(h.dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		h.t.Fatalf("redistest: %v", err)
	}
	proc, err := spawn(h.logPath(), nil, HAProxyBinary(h.t), "-db", "-f", path)
	if err != nil {
		h.t.Fatalf("redistest: %v", err)
	}
	h.proc = proc
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if !proc.running() {
			break
		}
		if h.Ask("show info") != "" {
			return
		}
	}
	h.t.Fatalf("redistest: haproxy does not run:\n%s", logTail(h.logPath(), logBytes))
}

// Ask sends a command to the runtime socket. The answer is empty when there is none.
func (h *HAProxy) Ask(command string) string {
	conn, err := net.DialTimeout("unix", h.Socket, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn) // what came until then
	return string(bytes.TrimSpace(answer))
}

// Kill sends SIGKILL and waits for the end.
func (h *HAProxy) Kill() {
	if h.proc != nil && h.proc.running() {
		h.proc.kill()
	}
}

func (h *HAProxy) logPath() string { return filepath.Join(h.dir, "haproxy.log") }

func (h *HAProxy) cleanup() {
	h.Kill()
	if h.t.Failed() {
		h.t.Logf("haproxy:\n%s", logTail(h.logPath(), logBytes))
	}
	_ = os.RemoveAll(h.dir)
}
