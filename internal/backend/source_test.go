package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// source says what a test wants.
type source struct {
	mu      sync.Mutex
	now     Primary
	sure    bool // Confirmed is the present
	changed chan struct{}
}

func newSource(addr string) *source {
	return &source{now: Primary{Addr: addr}, sure: true, changed: make(chan struct{}, 1)}
}

func (s *source) Primary() (Primary, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Addr == "" {
		return Primary{}, errors.New("nobody knows")
	}
	if s.sure {
		s.now.Confirmed = time.Now()
	}
	return s.now, nil
}

func (s *source) Changed() <-chan struct{} { return s.changed }

func (s *source) change(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *source) move(addr string) {
	s.change(func() { s.now.Addr = addr })
	s.changed <- struct{}{}
}

func TestItWaitsForASourceThatDoesNotKnowYet(t *testing.T) {
	server := redistest.Start(t)
	source := newSource("")
	cfg := testConfig("redis://elsewhere")
	cfg.Source = source
	ctx, cancel := context.WithCancel(context.Background())
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	time.Sleep(300 * time.Millisecond)
	if b.Ready() {
		t.Fatal("ready for nobody knows whom")
	}
	source.move(server.Addr)
	eventually(t, "it serves", func() bool { return newSink().do(t, b.Lane(0, 2, 0), "SET k 1") == "+OK\r\n" })
}

// The old primary stands still with its connections open. What it was sent is lost, what waits goes to the new one, and nobody waits
// for any time limit.
func TestCommandsMoveAwayFromAFrozenPrimary(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	source := newSource(first.Addr)
	cfg := testConfig("redis://elsewhere")
	cfg.Source, cfg.DialTimeout, cfg.Hold = source, time.Hour, time.Hour
	b := run(t, cfg)
	l := b.Lane(0, 2, 0)
	sent, waiting := newSink(), newSink()
	sent.do(t, l, "PING")
	first.Pause()
	defer first.Continue()
	for i := range cfg.FlushesInFlight {
		sent.Submit(t, l, fmt.Sprintf("SET sent%d 1", i))
		eventually(t, "it is sent", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.flights == i+1
		})
	}
	waiting.Submit(t, l, "SET waiting 1", "GET waiting")
	b.Suspect() // the check stands still as well
	time.Sleep(100 * time.Millisecond)
	source.move(second.Addr)
	if got := sent.take(); got != strings.Repeat("-"+errLostWrite+"\r\n", cfg.FlushesInFlight) {
		t.Errorf("sent: got %q", got)
	}
	if got := waiting.take(); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("waiting: got %q", got)
	}
}

// Submit hands in commands without waiting for their replies.
func (s *sink) Submit(t testing.TB, l *Lane, lines ...string) {
	t.Helper()
	l.Submit(s.Caller, commands(t, lines...))
	l.Flush()
}

// A fail-over is announced: from then on nothing is sent to the old primary, which still acknowledges.
func TestCommandsWaitForAnAnnouncedFailOver(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	source := newSource(first.Addr)
	cfg := testConfig("redis://elsewhere")
	cfg.Source = source
	b := run(t, cfg)
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	announce := func() {
		source.change(func() { source.now.Leaving = time.Now() })
		source.changed <- struct{}{}
		eventually(t, "commands are kept back", func() bool { return b.halted.Load() == b.currentTenure() })
	}
	announce()
	s.Submit(t, l, "SET k 2", "GET k")
	time.Sleep(100 * time.Millisecond)
	if s.Idle() {
		t.Errorf("got %q", s.take())
	}
	source.change(func() { source.now.Leaving = time.Time{} })
	source.move(second.Addr)
	if got := s.take(); got != "+OK\r\n$1\r\n2\r\n" {
		t.Errorf("got %q", got)
	}
	if got := first.Client().Get(context.Background(), "k").Val(); got != "1" {
		t.Errorf("the old primary has %q", got)
	}

	announce() // and nothing comes of it
	if got := s.do(t, l, "SET k 3", "GET k"); got != "+OK\r\n$1\r\n3\r\n" {
		t.Errorf("got %q", got)
	}
}

// At an address another server may answer by now: a connection is used only when it leads to the one that was armed.
func TestConnectionsLeadToTheArmedServerAlone(t *testing.T) {
	first := redistest.Start(t)
	stranger := redistest.Start(t)
	b := run(t, testConfig(first.URL()))
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	info := stranger.Client().Info(context.Background(), "server", "replication").Val()
	if err := b.recognize(info); !errors.Is(err, errOtherServer) {
		t.Errorf("a stranger: %v", err)
	}
	if err := b.recognize(strings.Replace(info, "role:master", "role:slave", 1)); !errors.Is(err, ErrNotPrimary) {
		t.Errorf("a replica: %v", err)
	}
	info = first.Client().Info(context.Background(), "server", "replication").Val()
	if err := b.recognize(info); err != nil {
		t.Errorf("the armed server: %v", err)
	}
}

// fenced runs a backend on a primary with a replica, whose Source confirms nothing any more from the first write on.
func fenced(t *testing.T) (b *Backend, source *source, replica *redistest.Server, l *Lane, s *sink) {
	t.Helper()
	primary := redistest.Start(t, redistest.WithConfig("repl-diskless-sync-delay 0"))
	replica = redistest.StartReplica(t, primary)
	source = newSource(primary.Addr)
	source.now.Replicas = []string{replica.Addr}
	cfg := testConfig("redis://elsewhere")
	cfg.Source, cfg.FenceAfter, cfg.Hold = source, 6*time.Second, time.Second
	b = run(t, cfg)
	l, s = b.Lane(0, 2, 0), newSink()
	if got := s.do(t, l, "SET k 1"); got != "+OK\r\n" {
		t.Fatal(got)
	}
	eventually(t, "the replica is there", func() bool {
		_, all := lastSeen(primary.Client().Info(context.Background(), "replication").Val(), source.now.Replicas, time.Now())
		return all
	})
	source.change(func() { source.sure = false })
	return b, source, replica, l, s
}

func TestAPrimaryWithItsReplicasNeedsNoSentinels(t *testing.T) {
	b, _, _, l, s := fenced(t)
	for end := time.Now().Add(9 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got := s.do(t, l, "SET k 2"); got != "+OK\r\n" || !b.Ready() {
			t.Fatalf("got %q", got)
		}
	}
}

func TestAPrimaryThatNobodyConfirmsIsFenced(t *testing.T) {
	b, source, replica, l, s := fenced(t)
	replica.Pause()
	eventually(t, "writes are refused", func() bool { return s.do(t, l, "SET k 2") == "-"+errFenced+"\r\n" })
	eventually(t, "nothing is served", func() bool { return !b.Serving() })
	if got := s.do(t, l, "GET k"); got != "-"+errNotSent+"\r\n" {
		t.Errorf("a read: %q", got)
	}
	eventually(t, "the control plane has no connection either", func() bool {
		return errors.Is(b.Client().Ping(context.Background()).Err(), ErrUnconfirmed)
	})
	if err := b.Arm(context.Background()); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("Arm: %v", err)
	}
	replica.Continue()
	eventually(t, "the replica confirms it", func() bool { return s.do(t, l, "SET k 3") == "+OK\r\n" })
	replica.Kill()
	eventually(t, "writes are refused again", func() bool { return s.do(t, l, "SET k 4") == "-"+errFenced+"\r\n" })
	source.change(func() { source.sure = true })
	eventually(t, "the Source confirms it", func() bool { return s.do(t, l, "SET k 5", "GET k") == "+OK\r\n$1\r\n5\r\n" })
}

func TestLastSeen(t *testing.T) {
	const info = "# Replication\r\nrole:master\r\nconnected_slaves:3\r\n" +
		"slave0:ip=10.0.0.1,port=6379,state=online,offset=100,lag=0\r\n" +
		"slave1:ip=fd00::1,port=6379,state=online,offset=100,lag=3\r\n" +
		"slave2:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n"
	now := time.Now()
	for name, test := range map[string]struct {
		replicas []string
		ago      time.Duration
		all      bool
	}{
		"none":             {nil, 0, true},
		"one":              {[]string{"10.0.0.1:6379"}, time.Second, true},
		"the later one":    {[]string{"10.0.0.1:6379", "[fd00::1]:6379"}, 4 * time.Second, true},
		"not there":        {[]string{"10.0.0.1:6379", "10.0.0.2:6379"}, 0, false},
		"another port":     {[]string{"10.0.0.1:6380"}, 0, false},
		"not synchronised": {[]string{"10.0.0.3:6379"}, 0, false},
	} {
		at, all := lastSeen(info, test.replicas, now)
		if all != test.all || all && now.Sub(at) != test.ago {
			t.Errorf("%s: %v ago, %v", name, now.Sub(at), all)
		}
	}
}
