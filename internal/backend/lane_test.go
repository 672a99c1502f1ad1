package backend

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOrderWithinOneCaller(t *testing.T) {
	b, _ := start(t, nil)
	s := newSink()
	got := s.do(t, b.Lane(0, 2, 0), "SET k 1", "GET k", "SET k 2", "GET k", "DEL k", "GET k", "INCR k", "DBSIZE", "GET k")
	const want = "+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n:1\r\n$-1\r\n:1\r\n:1\r\n$1\r\n1\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadsSeeTheWritesOfTheirCallerUnderLoad(t *testing.T) {
	b, _ := start(t, nil)
	l := b.Lane(0, 2, 0)
	var callers sync.WaitGroup
	for id := range 20 {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(id), 7))
			s := newSink()
			last, counted := "", 0
			for round := range 60 {
				var lines []string
				var want strings.Builder
				for i := range 1 + random.IntN(20) {
					switch random.IntN(6) {
					case 0, 1:
						last = fmt.Sprintf("v%d.%d", round, i)
						lines = append(lines, fmt.Sprintf("SET key:%d %s", id, last))
						want.WriteString("+OK\r\n")
					case 2:
						lines = append(lines, fmt.Sprintf("DEL none:%d", id))
						want.WriteString(":0\r\n")
					case 3: // ends a run of SETs, in the same call
						counted++
						lines = append(lines, fmt.Sprintf("INCR {count}:%d", id))
						fmt.Fprintf(&want, ":%d\r\n", counted)
					default:
						lines = append(lines, fmt.Sprintf("GET key:%d", id))
						if last == "" {
							want.WriteString("$-1\r\n")
						} else {
							fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(last), last)
						}
					}
				}
				if got := s.do(t, l, lines...); got != want.String() {
					t.Errorf("caller %d: %q: got %q, want %q", id, lines, got, want.String())
					return
				}
			}
		})
	}
	callers.Wait()
}

func TestWritesOfManyCallersShareCalls(t *testing.T) {
	b, server := start(t, nil)
	l := b.Lane(0, 2, 0)
	first := newSink()
	first.do(t, l, "SET a 1")
	client := server.Client()
	client.ConfigResetStat(context.Background())

	var sinks []*sink
	for i := range 40 {
		s := newSink()
		l.Submit(s.Caller, commands(t, fmt.Sprintf("SET k%d v", i)))
		sinks = append(sinks, s)
	}
	l.Flush()
	for _, s := range sinks {
		if got := s.take(); got != "+OK\r\n" {
			t.Errorf("got %q", got)
		}
	}
	stats := client.Info(context.Background(), "commandstats").Val()
	if !strings.Contains(stats, "cmdstat_fcall:calls=1,") {
		t.Errorf("more than one call:\n%s", stats)
	}
}

// Callers that change between reads and writes share their changes: two calls for all of them, not two for each.
func TestAlternatingCallersShareCalls(t *testing.T) {
	b, server := start(t, nil)
	l := b.Lane(0, 2, 0)
	newSink().do(t, l, "SET a 1")
	client := server.Client()
	client.ConfigResetStat(context.Background())
	var sinks []*sink
	for i := range 20 {
		s := newSink()
		l.Submit(s.Caller, commands(t, fmt.Sprintf("GET k%d", i), fmt.Sprintf("SET k%d one", i), fmt.Sprintf("GET k%d", i),
			fmt.Sprintf("APPEND k%d two", i), fmt.Sprintf("GET k%d", i)))
		sinks = append(sinks, s)
	}
	l.Flush()
	for i, s := range sinks {
		if got := s.take(); got != "$-1\r\n+OK\r\n$3\r\none\r\n:6\r\n$6\r\nonetwo\r\n" {
			t.Errorf("caller %d got %q", i, got)
		}
	}
	stats := client.Info(context.Background(), "commandstats").Val()
	if !strings.Contains(stats, "cmdstat_fcall:calls=2,") {
		t.Errorf("not two calls:\n%s", stats)
	}
}

func TestRunsOfSetsAnswerEachCaller(t *testing.T) {
	b, _ := start(t, nil)
	l := b.Lane(0, 2, 0)
	one, other := newSink(), newSink()
	quiet := command(t, "SET k quiet")
	quiet.Discard = true
	big := strings.Repeat("v", maxRunValue+1)
	l.Submit(one.Caller, commands(t, "SET k 1", "SET k 2"))
	l.Submit(other.Caller, append(commands(t, "SET {a}b 1", "INCR {a}b"), quiet))
	l.Submit(one.Caller, []Op{quiet, {Kind: OpLiteral, Bytes: []byte("+said\r\n")}, command(t, "SET k 3"), command(t, "SET k "+big)})
	l.Submit(other.Caller, commands(t, "SET l 4", "STRLEN k"))
	l.Flush()
	if got, want := one.take(), "+OK\r\n+OK\r\n+said\r\n+OK\r\n+OK\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := other.take(), fmt.Sprintf("+OK\r\n:2\r\n+OK\r\n:%d\r\n", len(big)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorOfOneOpLeavesTheOthersAlone(t *testing.T) {
	b, _ := start(t, nil)
	got := newSink().do(t, b.Lane(0, 2, 0), "SET k x", "INCR k", "SET l y", "HSET k f v", "GET l")
	want := "+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n" +
		"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n$1\r\ny\r\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLiteralsKeepTheirPlace(t *testing.T) {
	b, _ := start(t, nil)
	s := newSink()
	ops := []Op{command(t, "SET k 1"), {Kind: OpLiteral, Bytes: []byte("+one\r\n")}, command(t, "GET k"),
		{Kind: OpLiteral, Bytes: []byte("+two\r\n")}, {Kind: OpLiteral, Discard: true, Bytes: []byte("+no\r\n")}}
	l := b.Lane(0, 2, 0)
	l.Submit(s.Caller, ops)
	l.Flush()
	if got := s.take(); got != "+OK\r\n+one\r\n$1\r\n1\r\n+two\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestDiscardedRepliesAreExecuted(t *testing.T) {
	b, _ := start(t, nil)
	s := newSink()
	l := b.Lane(0, 2, 0)
	ops := commands(t, "SET k 1", "GET k", "GET k")
	ops[0].Discard, ops[1].Discard = true, true
	l.Submit(s.Caller, ops)
	l.Flush()
	if got := s.take(); got != "$1\r\n1\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestBigValuesTravelAlone(t *testing.T) {
	b, _ := start(t, nil)
	big := strings.Repeat("x", 3<<20)
	got := newSink().do(t, b.Lane(0, 2, 0), "SET a 1", "SET b "+big, "SET c 1", "GET b", "STRLEN b")
	want := fmt.Sprintf("+OK\r\n+OK\r\n+OK\r\n$%d\r\n%s\r\n:%d\r\n", len(big), big, len(big))
	if got != want {
		t.Errorf("got %d bytes, want %d", len(got), len(want))
	}
}

func TestDatabasesAndProtocolsAreApart(t *testing.T) {
	b, _ := start(t, nil)
	newSink().do(t, b.Lane(3, 2, 0), "SET k three")
	if got := newSink().do(t, b.Lane(3, 3, 0), "GET k", "GET none"); got != "$5\r\nthree\r\n_\r\n" {
		t.Errorf("database 3: %q", got)
	}
	if got := newSink().do(t, b.Lane(0, 2, 0), "GET k"); got != "$-1\r\n" {
		t.Errorf("database 0: %q", got)
	}
}

func TestBackPressure(t *testing.T) {
	b, server := start(t, func(c *Config) { c.PendingBytes, c.Hold = 10_000, time.Minute })
	l := b.Lane(0, 2, 0)
	s := newSink()
	s.do(t, l, "GET k")
	server.Pause()
	submitted := 0
	var waited chan struct{}
	for full := false; !full; { // what the kernel takes makes room once more
		for room := true; room; submitted++ {
			if submitted > 10_000 {
				t.Fatal("no end of room")
			}
			l.Submit(s.Caller, commands(t, "SET k "+strings.Repeat("v", 500)))
			l.Flush()
			l.mu.Lock()
			room = l.hasRoom()
			l.mu.Unlock()
		}
		waited = make(chan struct{})
		go func() { l.WaitRoom(); close(waited) }()
		select {
		case <-waited:
		case <-time.After(50 * time.Millisecond):
			full = true
		}
	}
	server.Continue()
	<-waited
	if got := strings.Count(s.take(), "+OK"); got != submitted {
		t.Errorf("%d answers to %d commands", got, submitted)
	}
}

func TestSubmitAllocatesNothing(t *testing.T) {
	b, _ := start(t, nil)
	l := b.Lane(0, 2, 0)
	s := NewCaller(discard{})
	ops := commands(t, "GET k", "GET k", "SET k 1", "GET k")
	round := func() {
		l.Submit(s, ops)
		l.Flush()
		s.Drain()
	}
	for range 100 {
		round()
	}
	if allocs := testing.AllocsPerRun(500, round); allocs > 0.1 {
		t.Errorf("%v allocations for %d commands", allocs, len(ops))
	}
}

type discard struct{}

func (discard) Deliver([]byte)     {}
func (discard) DeliverPart([]byte) {}
func (discard) Break()             {}

func BenchmarkLaneGet(b *testing.B) {
	back, _ := start(b, nil)
	l := back.Lane(0, 2, 0)
	s := NewCaller(discard{})
	op := command(b, "GET k")
	run := Op{Count: 100}
	for range 100 {
		run.Bytes = append(run.Bytes, op.Bytes...)
	}
	ops := []Op{run}
	for b.Loop() {
		l.Submit(s, ops)
		l.Flush()
		s.Drain()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/command")
}
