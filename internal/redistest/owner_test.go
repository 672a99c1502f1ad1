package redistest

import (
	"os"
	"testing"
	"time"
)

// A relay keeps silent towards the processes that it bars, and towards nobody else; over new connections too.
func TestRelayBarsProcesses(t *testing.T) {
	server := Start(t)
	relay := StartRelay(t, server.Addr)
	open := Dial(t, relay.Addr)
	open.Must("SET", "k", "v")
	relay.Set(Trouble{Barred: []int{server.PID()}}) // which has no connection of its own there
	open.Must("GET", "k")
	relay.Set(Trouble{Barred: []int{server.PID(), os.Getpid()}})
	fresh := Dial(t, relay.Addr)
	for _, c := range []*Conn{open, fresh} {
		if err := c.Send("GET", "k"); err != nil {
			t.Fatal(err)
		}
		if reply, err := c.ReceiveWithin(100 * time.Millisecond); err == nil {
			t.Errorf("a barred process gets %s", reply)
		}
	}
	relay.Set(Trouble{})
	for _, c := range []*Conn{open, fresh} {
		if reply, err := c.Receive(); err != nil || reply.Text != "v" {
			t.Errorf("afterwards: %s, %v", reply, err)
		}
	}
}
