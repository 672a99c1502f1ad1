package redistest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Proxy is one `anabranch serve` process of a region. It is killed when the test ends; its log is printed when the test
// failed.
type Proxy struct {
	Addr      string // for clients
	PeerAddr  string // for other regions
	AdminAddr string // HTTP
	AgentAddr string // of agent checks, with WithAgents

	t      testing.TB
	name   string // region and number, for messages
	binary string
	args   []string
	dir    string
	proc   *process
}

// NewProxy has addresses, and is not started: flags are those of `anabranch serve` besides the listeners.
func NewProxy(t testing.TB, name string, flags ...string) *Proxy {
	t.Helper()
	p := &Proxy{Addr: FreeAddr(t), PeerAddr: FreeAddr(t), AdminAddr: FreeAddr(t), t: t, name: name, binary: Binary(t, false), dir: t.TempDir()}
	p.SetFlags(flags...)
	t.Cleanup(p.cleanup)
	return p
}

// SetFlags gives it others for the next start, besides the listeners.
func (p *Proxy) SetFlags(flags ...string) {
	p.args = append([]string{"serve", "--listen", p.Addr, "--peer-listen", p.PeerAddr, "--admin-listen", p.AdminAddr}, flags...)
}

// Client is a new go-redis client of the proxy, closed when the test ends.
func (p *Proxy) Client() *redis.Client { return newClient(p.t, p.Addr) }

// Dial is a new plain connection to the proxy.
func (p *Proxy) Dial() *Conn {
	p.t.Helper()
	return Dial(p.t, p.Addr)
}

// Running says whether the process lives.
func (p *Proxy) Running() bool { return p.proc != nil && p.proc.running() }

// Kill sends SIGKILL and waits for the end.
func (p *Proxy) Kill() {
	if p.Running() {
		p.proc.kill()
	}
}

// Stop sends SIGTERM. The proxy must end by itself and with status 0.
func (p *Proxy) Stop() {
	p.t.Helper()
	if !p.Running() {
		return
	}
	if err := p.proc.terminate(stopLimit); err != nil {
		p.t.Fatalf("redistest: proxy %s: SIGTERM: %v\n%s", p.name, err, p.Log())
	}
}

// Restart starts the proxy again with the same addresses, and waits until it serves. One that still runs is stopped.
func (p *Proxy) Restart() {
	p.t.Helper()
	p.Stop()
	p.Launch()
	p.AwaitReady()
}

// Launch starts the process and returns at once; the proxy may not serve yet, for instance because Redis is down.
func (p *Proxy) Launch() {
	p.t.Helper()
	// A data race ends the program at once, so that no test can pass over it.
	env := []string{"GORACE=halt_on_error=1 exitcode=66"}
	proc, err := spawn(p.logPath(), env, p.binary, p.args...)
	if err != nil {
		p.t.Fatalf("redistest: proxy %s: %v", p.name, err)
	}
	p.proc = proc
}

// Scrape gets /metrics.
func (p *Proxy) Scrape() string {
	p.t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: startLimit}
	response, err := client.Get("http://" + p.AdminAddr + "/metrics")
	if err != nil {
		p.t.Fatalf("redistest: proxy %s: %v", p.name, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		p.t.Fatalf("redistest: proxy %s: /metrics: %s, %v", p.name, response.Status, err)
	}
	return string(body)
}

// AwaitReady waits until the proxy serves reads and writes: PING alone may be answered without Redis.
func (p *Proxy) AwaitReady() {
	p.t.Helper()
	var last string
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if !p.proc.running() {
			p.t.Fatalf("redistest: proxy %s ended at once: %v", p.name, p.proc.exitError())
		}
		if last = p.probe(); last == "" {
			return
		}
	}
	p.t.Fatalf("redistest: proxy %s does not serve within %v: %s", p.name, startLimit, last)
}

// probe tries a read and a write that changes nothing. It returns what is wrong, or nothing.
func (p *Proxy) probe() string {
	conn, err := net.DialTimeout("tcp", p.Addr, time.Second)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(conn)
	for _, args := range [][]string{{"PING"}, {"EXISTS", "redistest"}, {"DEL", "redistest"}} {
		if _, err := conn.Write(AppendCommand(nil, args...)); err != nil {
			return err.Error()
		}
		reply, err := ReadReply(in)
		if err != nil {
			return err.Error()
		}
		if reply.IsError() {
			return fmt.Sprintf("%v: %s", args, reply.Text)
		}
	}
	return ""
}

// Pause freezes the process with SIGSTOP.
func (p *Proxy) Pause() { p.mustSignal(syscall.SIGSTOP) }

// Continue undoes Pause.
func (p *Proxy) Continue() { p.mustSignal(syscall.SIGCONT) }

func (p *Proxy) mustSignal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.proc.signal(sig); err != nil {
		p.t.Fatalf("redistest: %v to proxy %s: %v", sig, p.name, err)
	}
}

// Log is the end of what the process printed.
func (p *Proxy) Log() string { return logTail(p.logPath(), logBytes) }

func (p *Proxy) logPath() string { return filepath.Join(p.dir, "anabranch-"+p.name+".log") }

func (p *Proxy) cleanup() {
	p.Kill()
	// The whole log, not its end: a proxy that was started again has written on.
	if log, err := os.ReadFile(p.logPath()); err == nil {
		for _, sign := range []string{"panic: ", "fatal error: ", "DATA RACE"} {
			if at := bytes.Index(log, []byte(sign)); at >= 0 {
				p.t.Errorf("proxy %s printed %q:\n%s", p.name, sign, log[at:min(len(log), at+logBytes)])
			}
		}
	}
	if p.t.Failed() && p.proc != nil {
		p.t.Logf("proxy %s at %s:\n%s", p.name, p.Addr, p.Log())
	}
}

// AddFlags adds arguments for the next start.
func (p *Proxy) AddFlags(flags ...string) { p.args = append(p.args, flags...) }

// PID is the process id of the running proxy.
func (p *Proxy) PID() int { return p.proc.cmd.Process.Pid }
