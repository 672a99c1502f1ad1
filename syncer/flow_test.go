package syncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

func TestWindowStopsUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &window{limit: 100}
		big := entry{t: 1, body: make([]byte, 1000)}
		if err := w.enter(t.Context(), big); err != nil {
			t.Fatal(err) // one entry always may
		}
		entered := false
		go func() {
			_ = w.enter(t.Context(), entry{t: 2, body: make([]byte, 10)})
			entered = true
		}()
		synctest.Wait()
		if entered {
			t.Fatal("entered a full window")
		}
		w.acked(0)
		synctest.Wait()
		if entered {
			t.Fatal("entered after an acknowledgement of nothing")
		}
		w.acked(1)
		synctest.Wait()
		if !entered || len(w.sent) != 1 {
			t.Fatalf("entered %v, %d not acknowledged", entered, len(w.sent))
		}
	})
}

func TestInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(1000)
		put := 0
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for b.put(ctx, []entry{{t: 1, body: make([]byte, 268)}}) == nil {
				put++
			}
		}()
		synctest.Wait()
		if put != 3 {
			t.Fatalf("%d entries of 300 bytes in an inbox of 1000", put)
		}
		bytes := 0
		for _, e := range b.take(10) {
			bytes += e.size()
		}
		synctest.Wait()
		if put != 3 {
			t.Fatal("what was taken but not applied does not count any more")
		}
		b.release(bytes)
		synctest.Wait()
		if put != 6 {
			t.Fatalf("%d entries after a release", put)
		}
		cancel()
	})
}

func TestClockMeasuresDriftAndRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const drift, delay = 7 * time.Second, 40 * time.Millisecond
		var ours, theirs peerClock
		there := func() time.Time { return time.Now().Add(drift) }
		for range 20 {
			b := ours.outgoing(beat{}, time.Now())
			time.Sleep(delay)
			theirs.incoming(b, there())
			time.Sleep(300 * time.Millisecond)
			b = theirs.outgoing(beat{}, there())
			time.Sleep(delay)
			ours.incoming(b, time.Now())
			time.Sleep(660 * time.Millisecond)
		}
		rtt, measured := ours.state()
		if (rtt-2*delay).Abs() > 2*time.Millisecond || (measured-drift).Abs() > 2*time.Millisecond {
			t.Errorf("round trip %v, drift %v", rtt, measured)
		}
	})
}

// A clock that is set by hours shows at once, and the next beats do not remember the old one.
func TestDriftFollowsAClockThatJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 20 * time.Millisecond
		var ours, theirs peerClock
		drift := time.Duration(0)
		there := func() time.Time { return time.Now().Add(drift) }
		exchange := func() {
			b := ours.outgoing(beat{}, time.Now())
			time.Sleep(delay)
			theirs.incoming(b, there())
			b = theirs.outgoing(beat{}, there())
			time.Sleep(delay)
			ours.incoming(b, time.Now())
			time.Sleep(time.Second)
		}
		for _, drift = range []time.Duration{0, 2 * time.Hour, -3 * time.Hour, 0} {
			for range 4 {
				exchange()
			}
			rtt, measured := ours.state()
			if (rtt-2*delay).Abs() > 2*time.Millisecond || (measured-drift).Abs() > 2*time.Millisecond {
				t.Errorf("clock set to %v: round trip %v, drift %v", drift, rtt, measured)
			}
		}
	})
}

// Stamps are made by Redis's clock, so that is what drift is about, and not the clock of the machine that the proxy runs on.
func TestRegionClockFollowsRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c regionClock
		ask := func(offset, rtt time.Duration) {
			asked := time.Now()
			time.Sleep(rtt)
			c.take(asked, asked.Add(offset+rtt/2), time.Now())
		}
		for _, offset := range []time.Duration{0, 2 * time.Hour, -3 * time.Hour, 30 * time.Second} {
			ask(offset, time.Millisecond)
			if got := time.Until(c.now()); (got - offset).Abs() > clockNoise {
				t.Errorf("Redis is %v ahead, known as %v", offset, got)
			}
		}
		before := time.Until(c.now())
		ask(30*time.Second+50*time.Millisecond, 400*time.Millisecond)
		if got := time.Until(c.now()); got != before {
			t.Errorf("an answer that took long moved the clock from %v to %v", before, got)
		}
	})
}

func TestFailedAttemptsBackOffAndAreLoggedOnce(t *testing.T) {
	unused := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer unused.Close()
	synctest.Test(t, func(t *testing.T) {
		logs := &testLog{}
		attempts := map[string]int{}
		cfg := Config{
			Region: Region{Name: "a", ID: 1}, RunID: "r", Redis: unused, Log: zerolog.New(logs),
			Peers: map[string][]string{"b": {"one", "two"}},
			Dial: func(_ context.Context, addr string) (net.Conn, error) {
				attempts[addr]++
				return nil, errors.New("connection refused")
			},
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var news signal
		p := &puller{Syncer: s, linkStatus: newLinkStatus("b", &news), view: newView()}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		p.run(ctx)
		total := attempts["one"] + attempts["two"]
		if total < 80 || total > 260 || (attempts["one"]-attempts["two"])*(attempts["one"]-attempts["two"]) > 1 {
			t.Errorf("attempts in ten minutes: %v", attempts)
		}
		if n := logs.count("no link to region"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		if status := p.snapshot(time.Now(), time.Now()); status.State != StateProbe || status.Error != "connection refused" {
			t.Errorf("status %+v", status)
		}
	})
}

func TestViewKeepsWhatWasRaisedDuringALoad(t *testing.T) {
	v := newView()
	v.raise(peerOne, 10)
	err := v.load(context.Background(), func(context.Context) (crdtmeta.Frontier, error) {
		v.raise(peerTwo, 7)
		return crdtmeta.Frontier{peerOne: 4}, nil // a fail-over lost some
	})
	if err != nil || v.at(peerOne) != 4 || v.at(peerTwo) != 7 {
		t.Errorf("%v %v", v.snapshot(), err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{
		Region: Region{Name: "a", ID: 1}, RunID: "r", Redis: redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}),
		Peers: map[string][]string{"b": {"x:1"}},
	}
	defer good.Redis.Close()
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no name":        func(c *Config) { c.Region.Name = "" },
		"id 0":           func(c *Config) { c.Region.ID = 0 },
		"id 64":          func(c *Config) { c.Region.ID = 64 },
		"no run id":      func(c *Config) { c.RunID = "" },
		"no redis":       func(c *Config) { c.Redis = nil },
		"itself":         func(c *Config) { c.Peers = map[string][]string{"a": {"x:1"}} },
		"no address":     func(c *Config) { c.Peers = map[string][]string{"b": nil} },
		"ALL":            func(c *Config) { c.Peers = map[string][]string{"ALL": {"x:1"}} },
		"a number":       func(c *Config) { c.Peers = map[string][]string{"2": {"x:1"}} },
		"short silence":  func(c *Config) { c.SilenceLimit, c.BeatInterval = time.Second, time.Second },
		"too small":      func(c *Config) { c.FrameBytes = 1000 },
		"another shard":  func(c *Config) { c.Shard = 1 },
		"long name":      func(c *Config) { c.Region.Name = string(make([]byte, 200)) },
		"long run id":    func(c *Config) { c.RunID = string(make([]byte, 200)) },
		"negative limit": func(c *Config) { c.WindowBytes = -1 },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// What a peer has received is applied, though the link breaks: the region that sent it may be gone, and nobody else may have it.
func TestWhatWasReceivedIsAppliedWhenTheLinkEnds(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	const calls, ops = 2000, 20
	for i := range calls {
		args := []any{"FCALL", crdtmeta.FuncWrite, 0, 0}
		for j := range ops {
			args = append(args, 4, "HSET", fmt.Sprint("key", j), fmt.Sprint(i), "v")
		}
		if err := a.rdb.Do(context.Background(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions), func(cfg *Config) { cfg.ChunkEntries = 1 })
	eventually(t, "b has received more than it has applied", func() bool {
		p := b.peer(a.name)
		return p.State == StateStream && p.EntriesReceived > p.EntriesApplied
	})
	a.stop()
	a.server.Kill()
	eventually(t, "the link is down", func() bool { return b.peer(a.name).State == StateProbe })
	if p := b.peer(a.name); p.EntriesApplied != p.EntriesReceived || p.EntriesApplied == 0 {
		t.Errorf("%d entries are applied of %d received", p.EntriesApplied, p.EntriesReceived)
	} else {
		t.Logf("%d entries of %d", p.EntriesApplied, calls)
	}
}
