package backend

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"anabranch/internal/redistest"
	"anabranch/internal/resp"
	"anabranch/translate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a caller that keeps what it is told.
type sink struct {
	*Caller
	mu     sync.Mutex
	text   []byte
	broken bool
}

func newSink() *sink {
	s := &sink{}
	s.Caller = NewCaller(s)
	return s
}

func (s *sink) Deliver(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
}

func (s *sink) DeliverPart(p []byte) { s.Deliver(p) }

func (s *sink) Break() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = true
}

// take waits for all answers and returns them.
func (s *sink) take() string {
	s.Drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(s.text)
	s.text = nil
	return text
}

func (s *sink) isBroken() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// command makes the op for a command as the proxy does.
func command(t testing.TB, line string) Op {
	t.Helper()
	args := strings.Fields(line)
	raw := resp.AppendCommandStrings(nil, args...)
	words := make([][]byte, len(args))
	for i := range args {
		words[i] = []byte(args[i])
	}
	plan := translate.Classify(translate.Lookup(words[0]), words)
	op := Op{Shape: plan.Shape, Argc: len(args), Count: 1, Bytes: raw}
	if plan.Class == translate.Write {
		op.Kind = OpFree
		if plan.DenyOOM {
			op.Kind = OpWrite
		}
		_, head := resp.Length(raw, 1)
		op.Bytes = raw[head:]
		if strings.EqualFold(args[0], "SET") && len(args) == 3 {
			op.Set, op.Key, op.Value = true, words[1], words[2]
		}
	}
	return op
}

func commands(t testing.TB, lines ...string) []Op {
	var ops []Op
	for _, line := range lines {
		ops = append(ops, command(t, line))
	}
	return ops
}

// do submits commands and returns their replies.
func (s *sink) do(t testing.TB, l *Lane, lines ...string) string {
	t.Helper()
	l.Submit(s.Caller, commands(t, lines...))
	l.Flush()
	return s.take()
}

func testConfig(url string) Config {
	cfg := DefaultConfig()
	cfg.URL, cfg.RegionID, cfg.RegionName = url, 1, "test"
	cfg.HealthInterval = 200 * time.Millisecond
	if os.Getenv("BACKEND_TEST_LOG") != "" {
		cfg.Log = zerolog.New(os.Stderr)
	}
	return cfg
}

// start runs a backend on a new Redis until the test ends.
func start(t testing.TB, change func(*Config), opts ...redistest.Option) (*Backend, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t, opts...)
	cfg := testConfig(server.URL())
	if change != nil {
		change(&cfg)
	}
	return run(t, cfg), server
}

func run(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	wait, cancelWait := context.WithTimeout(ctx, 20*time.Second)
	defer cancelWait()
	if err := b.WaitReady(wait); err != nil {
		t.Fatal(err)
	}
	return b
}

// eventually retries until ok, for what happens in its own time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}
