package haproxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"anabranch/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheAgentAnswersByStateLagAndLoad(t *testing.T) {
	for _, test := range []struct {
		state State
		want  string
	}{
		{State{}, "ready up 100%\n"},
		{State{Lag: time.Second, Load: 0.5}, "ready up 100%\n"},
		{State{Lag: 15 * time.Second}, "ready up 60%\n"},
		{State{Lag: time.Hour}, "ready up 10%\n"},
		{State{Load: 0.75}, "ready up 60%\n"},
		{State{Load: 7}, "ready up 10%\n"},
		{State{Lag: -time.Hour, Load: -1}, "ready up 100%\n"},
		{State{Draining: "stopping"}, "up drain #stopping\n"},
		{State{Down: "Redis\n100% up", Draining: "x"}, "down #Redis 100% up\n"},
	} {
		if got := test.state.Answer(true); got != test.want {
			t.Errorf("%+v: %q, want %q", test.state, got, test.want)
		}
	}
	if got := (State{}).Answer(false); got != "up 100%\n" {
		t.Errorf("without a drain to end: %q", got)
	}
}

// A drain is ended where it was said, however long that host did not ask; nobody else's is.
func TestOnlyTheAgentsOwnDrainIsEnded(t *testing.T) {
	a := NewAgent("", nil, zerolog.Nop())
	now := time.Now()
	for i, step := range []struct {
		host     string
		after    time.Duration
		draining bool
		want     bool
	}{
		{"one", 0, false, true}, // an earlier life may have said drain
		{"one", 5 * time.Second, false, true},
		{"one", 20 * time.Second, false, false}, // what an operator has set stays
		{"one", 30 * time.Second, true, false},
		{"two", 30 * time.Second, false, true},
		{"one", time.Hour, false, true}, // it did not ask meanwhile
		{"one", time.Hour + 5*time.Second, false, true},
		{"one", 2 * time.Hour, false, false},
		{"two", 2 * time.Hour, false, false},
	} {
		if got := a.endsDrain(step.host, step.draining, now.Add(step.after)); got != step.want {
			t.Errorf("step %d, %+v: %v", i, step, got)
		}
	}
	for i := range 2 * maxHosts {
		a.endsDrain(fmt.Sprint(i), false, now)
	}
	if len(a.drains) > maxHosts {
		t.Errorf("%d hosts are remembered", len(a.drains))
	}
}

// Whoever connects, however often, gets one line or nothing; the agent goes on.
func TestTheAgentAnswersManyAtOnce(t *testing.T) {
	addr := redistest.FreeAddr(t)
	a := NewAgent(addr, func(context.Context) State { return State{} }, zerolog.Nop())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }() // ends with ctx
	var open []net.Conn
	for range 3 * maxAsking {
		conn, err := net.Dial("tcp", addr)
		for range 100 {
			if err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
			conn, err = net.Dial("tcp", addr)
		}
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	answered := 0
	for _, conn := range open {
		text, _ := io.ReadAll(conn) // a connection too many is closed without an answer
		if string(text) == "ready up 100%\n" {
			answered++
		}
		conn.Close()
	}
	if answered < maxAsking {
		t.Errorf("%d of %d were answered", answered, len(open))
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
