package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"anabranch/internal/backend"
	"anabranch/internal/redistest"
	"anabranch/internal/resp"
)

func TestMain(m *testing.M) { redistest.NoLeaks(m) }

// rig is a proxy in front of a Redis of its own.
type rig struct {
	t       testing.TB
	redis   *redistest.Server
	backend *backend.Backend
	server  *Server
	addr    string
	stop    func()
}

// start runs a proxy until the test ends.
func start(t testing.TB, change func(*Config), opts ...redistest.Option) *rig {
	t.Helper()
	redis := redistest.Start(t, opts...)
	r := startOn(t, redis, change)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.backend.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the users are known", func() bool { return r.server.users.now() != nil })
	return r
}

func startOn(t testing.TB, redis *redistest.Server, change func(*Config)) *rig {
	t.Helper()
	return startAs(t, redis, "", change)
}

// startAs has the proxy log in as a user, given as NAME:PASSWORD@.
func startAs(t testing.TB, redis *redistest.Server, user string, change func(*Config)) *rig {
	t.Helper()
	backendConfig := backend.DefaultConfig()
	backendConfig.URL, backendConfig.RegionID, backendConfig.RegionName = "redis://"+user+redis.Addr, 1, "test"
	backendConfig.HealthInterval, backendConfig.Hold = 200*time.Millisecond, time.Second
	b, err := backend.New(backendConfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.Backend = "127.0.0.1:0", b
	if change != nil {
		change(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := server.Bind()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, redis: redis, backend: b, server: server, addr: addr.String()}
	backendCtx, endBackend := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- b.Run(backendCtx) }()
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("proxy: %v", err)
		}
		endBackend()
		if err := <-ended; err != nil {
			t.Errorf("backend: %v", err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// wire is a client that speaks bytes.
type wire struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

func (r *rig) dial() *wire { return dial(r.t, r.addr) }

func dial(t testing.TB, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{t: t, conn: conn}
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.conn, text); err != nil {
		w.t.Fatal(err)
	}
}

// reply reads one whole reply.
func (w *wire) reply() string {
	w.t.Helper()
	var scan resp.ReplyScanner
	pos := 0
	w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	piece := make([]byte, 64<<10)
	for {
		end, done, err := scan.Scan(w.buf, pos, 1)
		if err != nil {
			w.t.Fatalf("%v in %.200q", err, w.buf)
		}
		pos = end
		if done == 1 {
			reply := string(w.buf[:pos])
			w.buf = append([]byte(nil), w.buf[pos:]...)
			return reply
		}
		n, err := w.conn.Read(piece)
		if err != nil {
			w.t.Fatalf("%v after %.200q", err, w.buf)
		}
		w.buf = append(w.buf, piece[:n]...)
	}
}

// do sends inline commands in one piece and returns their replies.
func (w *wire) do(lines ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	for _, line := range lines {
		fmt.Fprintf(&out, "%s\r\n", line)
	}
	w.send(out.String())
	replies := ""
	for range lines {
		replies += w.reply()
	}
	return replies
}

// want fails the test when a command's reply is not the expected one.
func (w *wire) want(line, reply string) {
	w.t.Helper()
	if got := w.do(line); got != reply {
		w.t.Errorf("%s: got %q, want %q", line, got, reply)
	}
}

// rest reads until the other side closes.
func (w *wire) rest() string {
	w.t.Helper()
	w.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	all, err := io.ReadAll(w.conn)
	if err != nil && len(all) == 0 && !isReset(err) {
		w.t.Errorf("the connection was not closed: %v", err)
	}
	return string(w.buf) + string(all)
}

func isReset(err error) bool {
	timeout, ok := err.(net.Error)
	return !ok || !timeout.Timeout()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}
