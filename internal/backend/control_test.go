package backend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"
)

func TestLibraryThatIsGoneComesBack(t *testing.T) {
	b, server := start(t, nil)
	if err := server.Client().Do(context.Background(), "FUNCTION", "FLUSH").Err(); err != nil {
		t.Fatal(err)
	}
	got := newSink().do(t, b.Lane(0, 2, 0), "SET k 1", "GET k", "DEL k", "GET k")
	if got != "+OK\r\n$1\r\n1\r\n:1\r\n$-1\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestLibraryLoadedBySomebodyElseIsArmed(t *testing.T) {
	b, server := start(t, nil)
	source, err := crdtmeta.Library(crdtmeta.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Client().FunctionLoadReplace(context.Background(), source).Err(); err != nil {
		t.Fatal(err)
	}
	if got := newSink().do(t, b.Lane(0, 2, 0), "SET k 1", "GET k"); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestEngineOfALaterProxyStays(t *testing.T) {
	b, server := start(t, nil)
	later := b.library + "-- a later build\n"
	if err := server.Client().FunctionLoadReplace(context.Background(), later).Err(); err != nil {
		t.Fatal(err)
	}
	if got := newSink().do(t, b.Lane(0, 2, 0), "SET k 1", "GET k"); got != "+OK\r\n$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
	there, err := server.Client().FunctionList(context.Background(), redis.FunctionListQuery{LibraryNamePattern: crdtmeta.LibraryName, WithCode: true}).Result()
	if err != nil || len(there) != 1 || there[0].Code != later {
		t.Errorf("a proxy that was there before has put its own engine back (%v)", err)
	}
	run(t, testConfig(server.URL())) // a proxy that comes now puts its own
	there, err = server.Client().FunctionList(context.Background(), redis.FunctionListQuery{LibraryNamePattern: crdtmeta.LibraryName, WithCode: true}).Result()
	if err != nil || len(there) != 1 || there[0].Code != b.library {
		t.Errorf("a new proxy has not put its engine (%v)", err)
	}
}

func TestOutOfMemory(t *testing.T) {
	b, server := start(t, nil)
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1", "SET l 2")
	server.Client().ConfigSet(context.Background(), "maxmemory", "1")
	got := s.do(t, l, "SET k 3", "DEL l", "GET k", "GET l", "INCR n")
	want := "-OOM command not allowed when used memory > 'maxmemory'.\r\n:1\r\n$1\r\n1\r\n$-1\r\n" +
		"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConnectionsComeBack(t *testing.T) {
	b, server := start(t, nil)
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	server.Client().Do(context.Background(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	eventually(t, "commands are served again", func() bool { return s.do(t, l, "GET k") == "$1\r\n1\r\n" })
}

func TestRestartedServerIsTakenOver(t *testing.T) {
	b, server := start(t, nil, redistest.WithAOF())
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	before := b.Server()
	server.Kill()
	eventually(t, "the loss is noticed", func() bool { return !b.Ready() })
	server.Restart()
	eventually(t, "writes are served again", func() bool { return s.do(t, l, "SET k 2", "GET k") == "+OK\r\n$1\r\n2\r\n" })
	if after := b.Server(); after.RunID == before.RunID || after.Origin == before.Origin {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestHoldEnds(t *testing.T) {
	b, server := start(t, func(c *Config) { c.Hold = 300 * time.Millisecond })
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	server.Kill()
	eventually(t, "the loss is noticed", func() bool { return !b.Ready() })
	begun := time.Now()
	if got := s.do(t, l, "SET k 2", "GET k"); got != strings.Repeat("-"+errNotSent+"\r\n", 2) {
		t.Errorf("got %q", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	eventually(t, "nothing is served", func() bool { return !b.Serving() })
	if got := s.do(t, l, "GET k"); got != "-"+errNotSent+"\r\n" {
		t.Errorf("at once: got %q", got)
	}
	server.Restart()
	eventually(t, "it works again", func() bool { return s.do(t, l, "SET k 3", "GET k") == "+OK\r\n$1\r\n3\r\n" })
}

func TestHeldCommandsAreSentWhenTheConnectionIsBack(t *testing.T) {
	b, server := start(t, func(c *Config) { c.Hold = time.Minute }, redistest.WithAOF())
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k 1")
	server.Kill()
	eventually(t, "the loss is noticed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.connected
	})
	l.Submit(s.Caller, commands(t, "INCR k", "GET k"))
	l.Flush()
	server.Restart()
	if got := s.take(); got != ":2\r\n$1\r\n2\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestReconnectFollowsTheAddress(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	source := newSource(first.Addr)
	cfg := testConfig("redis://elsewhere")
	cfg.Source = source
	b := run(t, cfg)
	l, s := b.Lane(0, 2, 0), newSink()
	s.do(t, l, "SET k first")
	source.move(second.Addr)
	eventually(t, "the other server answers", func() bool { return s.do(t, l, "GET k") == "$-1\r\n" })
	if got := s.do(t, l, "SET k second", "GET k"); got != "+OK\r\n$6\r\nsecond\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestServersThatCannotBeUsed(t *testing.T) {
	for name, test := range map[string]struct {
		config []string
		setup  func(t *testing.T, server *redistest.Server)
		want   error
	}{
		"eviction of any key": {config: []string{"maxmemory-policy allkeys-lru"}, want: ErrEvictionPolicy},
		"no functions":        {config: []string{`rename-command FUNCTION ""`}, want: ErrNoFunctions},
		"another format": {want: ErrFormat, setup: func(t *testing.T, server *redistest.Server) {
			later := `return redis.call('SET', KEYS[1], cmsgpack.pack({format = 2, region = 1, name = 'one', origin = '1.0.1-abcdef'}))`
			if err := server.Client().Eval(context.Background(), later, []string{"crdt:self"}).Err(); err != nil {
				t.Fatal(err)
			}
		}},
		"another region": {want: ErrWrongRegion, setup: func(t *testing.T, server *redistest.Server) {
			cfg := testConfig(server.URL())
			cfg.RegionID, cfg.RegionName = 2, "other"
			ctx, cancel := context.WithCancel(context.Background())
			b, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { cancel(); b.client.Close() }()
			if err := b.Arm(ctx); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redistest.WithConfig(test.config...))
			if test.setup != nil {
				test.setup(t, server)
			}
			b, err := New(testConfig(server.URL()))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := b.Run(ctx); !errors.Is(err, test.want) {
				t.Errorf("Run: %v, want %v", err, test.want)
			}
		})
	}
}

func TestReplicaIsNoBackend(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Do(context.Background(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	b, err := New(testConfig(server.URL()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.client.Close()
	if err := b.Arm(context.Background()); !errors.Is(err, ErrNotPrimary) {
		t.Errorf("Arm: %v", err)
	}
}

func TestForbiddenConfigIsNoObstacle(t *testing.T) {
	b, _ := start(t, nil, redistest.WithConfig(`rename-command CONFIG ""`))
	for db, want := range map[int]bool{0: true, 15: true, 16: false} {
		if got, err := b.HasDatabase(context.Background(), db); got != want || err != nil {
			t.Errorf("database %d: %v, %v", db, got, err)
		}
	}
	if got := newSink().do(t, b.Lane(0, 2, 0), "SET k 1"); got != "+OK\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestLogin(t *testing.T) {
	server := redistest.Start(t, redistest.WithConfig("user service on >secret ~* &* +@all"))
	cfg := testConfig("redis://service:secret@" + server.Addr)
	b := run(t, cfg)
	for proto := 2; proto <= 3; proto++ {
		if got := newSink().do(t, b.Lane(1, proto, 0), "SET k 1", "GET k"); got != "+OK\r\n$1\r\n1\r\n" {
			t.Errorf("RESP%d: got %q", proto, got)
		}
	}
	if who := b.Client().Do(context.Background(), "ACL", "WHOAMI").Val(); who != "service" {
		t.Errorf("control plane is %v", who)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"RegionID":     func(c *Config) { c.RegionID = 64 },
		"RegionName":   func(c *Config) { c.RegionName = "" },
		"URL":          func(c *Config) { c.URL = "http://x" },
		"database":     func(c *Config) { c.URL = "redis://127.0.0.1/3" },
		"Connections":  func(c *Config) { c.Connections = 0 },
		"PendingBytes": func(c *Config) { c.PendingBytes = 0 },
		"prefix":       func(c *Config) { c.Prefix = "a{b" },
	} {
		cfg := testConfig("redis://127.0.0.1:6379")
		change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not name %s", err, want)
		}
	}
}

// A server that one command keeps for longer than it may be away serves again with the reply, not with the next check.
func TestServesAgainAfterALongCommand(t *testing.T) {
	b, server := start(t, func(c *Config) { c.Hold, c.DialTimeout = time.Second, 500*time.Millisecond })
	s := newSink()
	l := b.Lane(0, 2, 0)
	s.do(t, l, "PING")
	conn := redistest.Dial(t, server.Addr)
	go conn.Do("DEBUG", "SLEEP", "6") // ends with its reply
	eventually(t, "the server is away", func() bool { return !b.Serving() })
	l.Submit(s.Caller, []Op{{Kind: OpRead, Count: 1, Bytes: []byte("PING\r\n")}})
	l.Flush()
	eventually(t, "the reply", func() bool { return s.Caller.Idle() })
	if !b.Serving() {
		t.Error("not serving after a reply")
	}
}
