package redistest

import (
	"testing"
	"time"
)

// Each trouble does what it says, and is over when it is taken away.
func TestRelayDisturbsAndRecovers(t *testing.T) {
	server := Start(t)
	relay := StartRelay(t, server.Addr)
	c := Dial(t, relay.Addr)
	c.Must("SET", "k", "v")

	relay.Set(Trouble{Silent: Down})
	if err := c.Send("INCR", "n"); err != nil {
		t.Fatal(err)
	}
	direct := Dial(t, server.Addr)
	for direct.Must("EXISTS", "n").Int() == 0 {
		time.Sleep(time.Millisecond) // the way up is open
	}
	if _, err := c.ReceiveWithin(50 * time.Millisecond); err == nil {
		t.Error("a silent way back lets an answer through")
	}
	relay.Set(Trouble{})
	if reply, err := c.Receive(); err != nil || reply.Int() != 1 {
		t.Errorf("INCR n: %s, %v", reply, err)
	}

	relay.Set(Trouble{Latency: 100 * time.Millisecond})
	c = Dial(t, relay.Addr)
	before := time.Now()
	c.Must("GET", "k")
	if took := time.Since(before); took < 200*time.Millisecond {
		t.Errorf("a round trip took %v with 100ms each way", took)
	}

	relay.Set(Trouble{BytesPerSecond: 10_000})
	direct.Must("SETRANGE", "large", "4999", "x")
	before = time.Now()
	c.Must("GET", "large")
	if took := time.Since(before); took < 400*time.Millisecond {
		t.Errorf("5,000 bytes at 10,000 a second took %v", took)
	}

	relay.Set(Trouble{Cut: true})
	if _, err := c.Try("PING"); err == nil {
		t.Error("a cut relay carries an open connection on")
	}
	if c, err := TryDial(t, relay.Addr); err == nil {
		if _, err := c.Try("PING"); err == nil {
			t.Error("a cut relay takes a new connection")
		}
	}
	relay.Set(Trouble{})
	Dial(t, relay.Addr).Must("PING")
}

// The server's wall clock goes where the test wants it, over a restart too, and the machine's stays.
func TestClockOfAServerIsShifted(t *testing.T) {
	server := Start(t, WithClock(0))
	ahead := func() time.Duration {
		seconds := Dial(t, server.Addr).Must("TIME").Items[0].Int()
		return time.Until(time.Unix(seconds, 0)).Round(time.Minute)
	}
	for _, want := range []time.Duration{0, 3 * time.Hour, -20 * time.Minute} {
		server.SetClock(want)
		if got := ahead(); got != want {
			t.Errorf("the clock is %v ahead, want %v", got, want)
		}
	}
	server.Restart()
	if got := ahead(); got != -20*time.Minute {
		t.Errorf("after a restart the clock is %v ahead", got)
	}
}
