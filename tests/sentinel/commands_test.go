package sentinel

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// failOver kills the primary, and returns when the region takes writes again.
func failOver(t *testing.T, cluster *redistest.Cluster, g *redistest.Guarded) {
	t.Helper()
	old := g.Primary()
	old.Kill()
	firstWrite(t, cluster.Regions[0].Proxy().Addr)
	soon(t, "the Sentinels name another primary", func() bool { return g.Primary() != old })
}

// What clients had begun before a fail-over goes on behind it, whole or not at all.
func TestCommandsAcrossAFailOver(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	cluster, g := pair(t, redistest.Guard{})
	a, b := cluster.Regions[0], cluster.Regions[1]
	queued, watching, waiting, held := a.Dial(), a.Dial(), a.Dial(), a.Dial()

	queued.Must("MULTI")
	queued.Must("SET", "x", "1")
	queued.Must("INCR", "y")
	watching.Must("SET", "watched", "1")
	watching.Must("WATCH", "watched")
	watching.Must("MULTI")
	watching.Must("SET", "watched", "2")
	if err := waiting.Send("BLPOP", "queue", "0"); err != nil {
		t.Fatal(err)
	}
	subscriber := a.Dial()
	subscriber.Must("SUBSCRIBE", "news")
	if reply := a.Dial().Must("WAIT", "2", "10000"); reply.Int() != 2 {
		t.Fatalf("WAIT: %s", reply)
	}

	g.Primary().Pause()
	if err := held.Send("INCR", "sent"); err != nil { // it may be executed when the old primary wakes up; then that is lost
		t.Fatal(err)
	}
	old := g.Primary()
	firstWrite(t, a.Proxy().Addr)
	if reply, err := held.Receive(); err != nil || reply.Text != "ERR backend connection lost; the command may or may not have been executed" {
		t.Errorf("a command that was sent to the old primary: %s, %v", reply, err)
	}
	if reply := queued.Do("EXEC"); reply.String() != `[OK (integer) 1]` {
		t.Errorf("EXEC: %s", reply)
	}
	if reply := queued.Do("SET", "after", "1"); reply.String() != "OK" {
		t.Errorf("behind EXEC: %s", reply)
	}
	// What was watched is watched no more, so the transaction must not run: the connection is closed, as by a server that died.
	if reply, err := watching.Try("EXEC"); err == nil && !reply.IsError() && !strings.Contains(reply.String(), "nil") {
		t.Errorf("EXEC of a client that had watched a key: %s", reply)
	}
	if reply, err := subscriber.ReceiveWithin(10 * time.Second); err == nil {
		t.Errorf("a subscriber hears %s", reply)
	}
	a.Dial().Must("RPUSH", "queue", "v")
	if reply, err := waiting.Receive(); err != nil || reply.String() != `["queue" "v"]` {
		t.Errorf("BLPOP: %s, %v", reply, err)
	}
	old.Continue()
	g.AwaitGuarded()
	cluster.Converge()
	cluster.RequireEqual(t)
	for _, c := range []*redistest.Conn{a.Dial(), b.Dial()} {
		for command, want := range map[string]string{"GET x": `"1"`, "GET y": `"1"`, "GET after": `"1"`, "GET watched": `"1"`, "LLEN queue": "(integer) 0"} {
			if reply := c.Must(strings.Fields(command)...); reply.String() != want {
				t.Errorf("%s: %s, want %s", command, reply, want)
			}
		}
	}
}

// Both regions have been apart for longer than their logs go back, and merge. In the middle of that, the primary of one dies.
func TestFailOverDuringAMerge(t *testing.T) {
	redistest.Slow(t)
	t.Parallel()
	cluster, g := pair(t, redistest.Guard{}, redistest.WithRelays(), redistest.WithFlags("--backlog-size", "1mb", "--backlog-time", "1s"))
	a, b := cluster.Regions[0], cluster.Regions[1]
	links := append(cluster.Relays("A", "B"), cluster.Relays("B", "A")...)
	for _, relay := range links {
		relay.Set(redistest.Trouble{Cut: true})
	}
	const keys = 8_000
	for _, region := range cluster.Regions {
		fill(t, region, keys)
	}
	if reply := a.Dial().Must("WAIT", "2", "20000"); reply.Int() != 2 {
		t.Fatalf("WAIT: %s", reply)
	}
	for _, region := range cluster.Regions {
		server := region.Redis.Client()
		soon(t, "the log is shorter than what it had", func() bool {
			return server.MemoryUsage(t.Context(), "crdt:log").Val() < 2<<20
		})
	}
	for _, relay := range links {
		relay.Set(redistest.Trouble{BytesPerSecond: 1 << 20}) // so that there is a middle
	}
	soon(t, "a merge is under way", func() bool {
		return strings.Contains(fmt.Sprint(a.CRDT("STATUS").Strings(), b.CRDT("STATUS").Strings()), "keys merged")
	})
	failOver(t, cluster, g)
	for _, relay := range links {
		relay.Set(redistest.Trouble{})
	}
	cluster.Converge()
	space := cluster.RequireEqual(t)
	for _, region := range cluster.Regions {
		for i := range keys {
			if entry := space[fmt.Sprintf("0:%s%d", region.Name, i)]; entry.Value != fmt.Sprintf("%q", strings.Repeat("v", valueBytes)) {
				t.Fatalf("%s%d holds %s", region.Name, i, entry.Value)
			}
		}
	}
	if got := space["0:both"].Value; got != fmt.Sprintf("%q", fmt.Sprint(2*keys)) {
		t.Errorf("both holds %s, want %d", got, 2*keys)
	}
}

const valueBytes = 300

// fill writes keys of a region's own, and counts them in one of all regions.
func fill(t *testing.T, region *redistest.Region, keys int) {
	t.Helper()
	c := region.Dial()
	const step = 500
	for from := 0; from < keys; from += step {
		var commands [][]string
		for i := from; i < from+step; i++ {
			commands = append(commands, []string{"SET", fmt.Sprint(region.Name, i), strings.Repeat("v", valueBytes)}, []string{"INCR", "both"})
		}
		replies, err := c.Pipeline(commands)
		if err != nil {
			t.Fatal(err)
		}
		for _, reply := range replies {
			if reply.IsError() {
				t.Fatal(reply.Text)
			}
		}
	}
}
