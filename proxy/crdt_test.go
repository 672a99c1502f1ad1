package proxy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeControl remembers what it was asked.
type fakeControl struct {
	mu     sync.Mutex
	calls  []string
	waits  chan int // what Wait returns, when it does
	gone   chan struct{}
	failed error
}

func (f *fakeControl) fail(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = errors.New(text)
}

func (f *fakeControl) note(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
	return f.failed
}

func (f *fakeControl) Pause(_ context.Context, region string) error { return f.note("pause " + region) }
func (f *fakeControl) Resume(_ context.Context, region string) error {
	return f.note("resume " + region)
}

func (f *fakeControl) Wait(ctx context.Context, regions int, timeout time.Duration) (int, error) {
	select {
	case n := <-f.waits:
		return n, nil
	case <-ctx.Done():
		close(f.gone)
		return 0, ctx.Err()
	}
}

func (f *fakeControl) Peers(context.Context) ([]Peer, error) {
	return []Peer{{Name: "us", ID: 2, State: PeerStream, Lag: 1500 * time.Millisecond, AckedTime: time.UnixMilli(77)}}, nil
}

func (f *fakeControl) Members(context.Context) ([]Member, error) {
	return []Member{{Name: "B", ID: 2, Addrs: []string{"h:1", "h:2"}}, {Name: "C", ID: 3, Removed: true}}, f.note("members")
}

func (f *fakeControl) AddMember(_ context.Context, name string, addrs []string) error {
	return f.note("add " + name + " " + strings.Join(addrs, ","))
}
func (f *fakeControl) RemoveMember(_ context.Context, name string) error {
	return f.note("remove " + name)
}

func (f *fakeControl) Info(context.Context) ([]Field, error) {
	return []Field{{"crdt_x", "1\r\n2"}}, nil
}
func (f *fakeControl) Status(context.Context) ([]Field, error) {
	return []Field{{"region", "eu"}}, nil
}

func (f *fakeControl) Conflicts(_ context.Context, n int) ([]Conflict, error) {
	return make([]Conflict, n), nil
}

func TestCRDTCommands(t *testing.T) {
	control := &fakeControl{waits: make(chan int, 1), gone: make(chan struct{})}
	r := start(t, func(c *Config) { c.Control = control })
	w := r.dial()
	control.waits <- 2
	for line, want := range map[string]string{
		"CRDT PAUSE us":           "+OK\r\n",
		"CRDT PAUSE all":          "+OK\r\n",
		"CRDT RESUME us":          "+OK\r\n",
		"CRDT PAUSE":              "-ERR wrong number of arguments for 'crdt|pause' command\r\n",
		"CRDT FOO":                "-ERR unknown subcommand 'FOO'. Try CRDT HELP.\r\n",
		"CRDT":                    "-ERR wrong number of arguments for 'crdt' command\r\n",
		"CRDT WAIT 1 1000":        ":2\r\n",
		"CRDT WAIT x 1000":        "-ERR value is not an integer or out of range\r\n",
		"CRDT WAIT -1 1000":       "-ERR value is not an integer or out of range\r\n",
		"CRDT WAIT 1 x":           "-ERR timeout is not an integer or out of range\r\n",
		"CRDT WAIT 1 -1":          "-ERR timeout is negative\r\n",
		"CRDT CONFLICTS x":        "-ERR value is not an integer or out of range\r\n",
		"CRDT CONFLICTS 1 2":      "-ERR syntax error\r\n",
		"CRDT STATUS":             "*2\r\n$6\r\nregion\r\n$2\r\neu\r\n",
		"CRDT INFO":               "$21\r\n# CRDT\r\ncrdt_x:1  2\r\n\r\n",
		"INFO crdt":               "$21\r\n# CRDT\r\ncrdt_x:1  2\r\n\r\n",
		"CRDT EXPLAIN crdt:x":     "-ERR key names starting with 'crdt:' are reserved\r\n",
		"CRDT CONFLICTS 0":        "*0\r\n",
		"CRDT VERIFY":             "-ERR 'crdt|verify' is not available through Anabranch: a proxy knows its own region; the program compares regions, with 'anabranch verify'\r\n",
		"CRDT DIGEST KEYS":        "-ERR wrong number of arguments for 'crdt|digest' command\r\n",
		"CRDT DIGEST page crdt:x": "-ERR key names starting with 'crdt:' are reserved\r\n",
		"CRDT DIGEST 0 x y":       "-ERR syntax error\r\n",
		"CRDT DIGEST 0 no:such":   "*2\r\n$1\r\n0\r\n$5\r\n0:0:0\r\n",
		"CRDT EXPLAIN no:such":    "",
		"CRDT REPAIR":             "-ERR wrong number of arguments for 'crdt|repair' command\r\n",
		"CRDT REPAIR crdt:x":      "-ERR key names starting with 'crdt:' are reserved\r\n",
		"CRDT REPAIR no:such":     ":0\r\n",
	} {
		if got := w.do(line); got != want && want != "" {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	w.want("MULTI", "+OK\r\n")
	w.want("SET repaired v", "+QUEUED\r\n")
	w.want("CRDT REPAIR repaired no:such", "+QUEUED\r\n")
	w.want("EXEC", "*2\r\n+OK\r\n:1\r\n")
	if got := w.do("CRDT PEERS"); !strings.Contains(got, "$6\r\nlag-ms\r\n$4\r\n1500\r\n") || !strings.Contains(got, "acked-at\r\n$2\r\n77\r\n") {
		t.Errorf("PEERS: got %q", got)
	}
	if got := w.do("CRDT CONFLICTS"); !strings.HasPrefix(got, "*10\r\n*26\r\n") {
		t.Errorf("CONFLICTS: got %q", got)
	}
	if got := w.do("CRDT HELP"); !strings.Contains(got, "WAIT <regions> <timeout>") {
		t.Errorf("HELP: got %q", got)
	}
	if info := w.do("INFO"); !strings.Contains(info, "redis_version:") || !strings.Contains(info, "\r\n\r\n# CRDT\r\ncrdt_x:") {
		t.Errorf("INFO: %q", info)
	}
	if info := w.do("INFO server"); strings.Contains(info, "# CRDT") {
		t.Errorf("INFO server: %q", info)
	}
	control.fail("no such region")
	w.want("CRDT PAUSE mars", "-ERR no such region\r\n")
	control.fail("NOPEER no such region")
	w.want("CRDT PAUSE mars", "-NOPEER no such region\r\n")
	control.mu.Lock()
	defer control.mu.Unlock()
	if calls := strings.Join(control.calls, ","); !strings.Contains(calls, "pause ALL") || !strings.Contains(calls, "pause us") {
		t.Errorf("calls: %s", calls)
	}
}

func TestWaitBlocksItsClientAlone(t *testing.T) {
	control := &fakeControl{waits: make(chan int), gone: make(chan struct{})}
	r := start(t, func(c *Config) { c.Control = control })
	w, other := r.dial(), r.dial()
	w.send("SET k 1\r\nCRDT WAIT 1 0\r\nGET k\r\n")
	if got := w.reply(); got != "+OK\r\n" {
		t.Errorf("got %q", got)
	}
	other.want("GET k", "$1\r\n1\r\n")
	control.waits <- 1
	if got := w.reply() + w.reply(); got != ":1\r\n$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
	w.send("CRDT WAIT 1 0\r\n")
	time.Sleep(20 * time.Millisecond)
	w.conn.Close()
	select {
	case <-control.gone:
	case <-time.After(10 * time.Second):
		t.Error("waiting for a client that is gone")
	}
}

func TestWithoutControl(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.want("CRDT PEERS", "-"+errNoControl+"\r\n")
	w.want("CRDT WAIT 1 0", "-"+errNoControl+"\r\n")
	w.want("CRDT INFO", "$24\r\n# CRDT\r\ncrdt_enabled:0\r\n\r\n")
}

func TestEvictionPolicyIsRefused(t *testing.T) {
	r := start(t, nil)
	w := r.dial()
	w.want("CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru", "-"+fmt.Sprintf(errConfigSet, "maxmemory-policy", whyEviction)+"\r\n")
	w.want("CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n")
	w.want("CONFIG SET maxmemory-policy volatile-lru", "+OK\r\n")
}
