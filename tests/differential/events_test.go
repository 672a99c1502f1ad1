package differential

import (
	"os"
	"slices"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// TestKeyspaceEventsAreRedissOwn plays commands and compares, after each, what a subscriber to all keyspace notifications is
// told: neither companions nor the engine's own steps may show.
func TestKeyspaceEventsAreRedissOwn(t *testing.T) { playEvents(t, newRig(t, 1)) }

// TestKeyspaceEventsAreDeterministic compares Redis with itself: what differs there proves nothing.
func TestKeyspaceEventsAreDeterministic(t *testing.T) { playEvents(t, newPlainRig(t)) }

const eventsEnd = "events-end" // a channel on which nothing else is said

func playEvents(t *testing.T, r *rig) {
	script, err := os.ReadFile("testdata/events.txt")
	if err != nil {
		t.Fatal(err)
	}
	var sides [2]struct{ client, subscriber *redistest.Conn }
	for i, addr := range []string{r.reference.Addr, r.addr} {
		sides[i].client, sides[i].subscriber = redistest.Dial(t, addr), redistest.Dial(t, addr)
		sides[i].client.Must("FLUSHALL")
		sides[i].client.Must("CONFIG", "SET", "notify-keyspace-events", "KEA")
		sides[i].subscriber.Must("PSUBSCRIBE", "__key*__:*", eventsEnd)
		if _, err := sides[i].subscriber.Receive(); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for text := range strings.Lines(string(script)) {
		args := strings.Fields(text)
		if len(args) == 0 || args[0] == "#" {
			continue
		}
		var events [2][]string
		for i, side := range sides {
			if reply := side.client.Do(args...); reply.IsError() {
				t.Fatalf("%s: %s", text, reply.Text)
			}
			side.client.Must("PUBLISH", eventsEnd, "")
			events[i] = eventsUntilEnd(t, side.subscriber)
		}
		seen += len(events[0])
		if !slices.Equal(events[0], events[1]) {
			t.Errorf("%s: redis announces %q, anabranch %q", strings.TrimSpace(text), events[0], events[1])
		}
	}
	if seen < 100 {
		t.Errorf("only %d events in all: the test compares nothing", seen)
	}
}

func eventsUntilEnd(t *testing.T, subscriber *redistest.Conn) []string {
	t.Helper()
	var events []string
	for {
		message, err := subscriber.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if len(message.Items) != 4 {
			t.Fatalf("got %v", message)
		}
		if message.Items[2].Text == eventsEnd {
			return events
		}
		events = append(events, message.Items[2].Text+" "+message.Items[3].Text)
	}
}
