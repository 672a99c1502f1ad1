package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// logLength is how many entries were ever added to a region's log.
func logLength(t *testing.T, region *redistest.Region) int64 {
	t.Helper()
	reply := redistest.Dial(t, region.Redis.Addr).Must("XINFO", "STREAM", "crdt:log")
	for i := 0; i+1 < len(reply.Items); i += 2 {
		if reply.Items[i].Text == "entries-added" {
			return reply.Items[i+1].Int()
		}
	}
	t.Fatalf("region %s: no entries-added in %s", region.Name, reply)
	return 0
}

// inputBytes is what a region's Redis has received so far.
func inputBytes(t *testing.T, region *redistest.Region) int64 {
	t.Helper()
	info := redistest.Dial(t, region.Redis.Addr).Must("INFO", "stats").Text
	_, after, _ := strings.Cut(info, "total_net_input_bytes:")
	number, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A region's own commands are echoed back to it and run again.
func TestOwnWritesAreNotEchoedBack(t *testing.T) {
	p := start(t, 3)
	const writes = 100
	for range writes {
		do(p.a, "INCR n")
		do(p.a, "APPEND s x")
		do(p.a, "HINCRBY h f 1")
	}
	p.Converge()
	time.Sleep(300 * time.Millisecond)
	p.everywhere("GET n", `"100"`)
	p.everywhere("STRLEN s", "(integer) 100")
	p.everywhere("HGET h f", `"100"`)
	for _, other := range p.Regions[1:] {
		if n := effectsNaming(t, other, "h"); n != 0 {
			t.Errorf("region %s logged %d effects of another region as its own", other.Name, n)
		}
	}
}

// Regions that do nothing answer each other's records for ever.
func TestIdleRegionsLogNothing(t *testing.T) {
	p := start(t, 3)
	do(p.a, "SET k v")
	do(p.b, "SET k w")
	do(p.c, "SET k x")
	p.Converge()
	time.Sleep(500 * time.Millisecond)
	before := map[string]int64{}
	for _, region := range p.Regions {
		before[region.Name] = logLength(t, region)
	}
	time.Sleep(3 * time.Second)
	for _, region := range p.Regions {
		if grown := logLength(t, region) - before[region.Name]; grown != 0 {
			t.Errorf("region %s logged %d entries while idle", region.Name, grown)
		}
	}
}

// An idle mesh keeps the servers busy.
func TestIdleRegionsCostLittle(t *testing.T) {
	p := start(t, 3)
	p.Converge()
	time.Sleep(500 * time.Millisecond)
	before := map[string]int64{}
	for _, region := range p.Regions {
		before[region.Name] = inputBytes(t, region)
	}
	const watched = 3
	time.Sleep(watched * time.Second)
	for _, region := range p.Regions {
		if rate := (inputBytes(t, region) - before[region.Name]) / watched; rate > 20_000 {
			t.Errorf("region %s: its idle server receives %d bytes per second", region.Name, rate)
		}
	}
}

// What crosses the link, or what the servers take in, is a multiple of what was written.
func TestTrafficIsNotAMultipleOfWhatWasWritten(t *testing.T) {
	p := start(t, 3)
	const (
		writes = 300
		size   = 1000
	)
	value := strings.Repeat("x", size)
	p.Converge()
	time.Sleep(300 * time.Millisecond)
	before := map[string]int64{}
	for _, region := range p.Regions {
		before[region.Name] = inputBytes(t, region)
	}
	for i := range writes {
		p.a.Must("SET", "k"+strconv.Itoa(i), value)
	}
	p.Converge()
	for _, region := range p.Regions {
		// Each server takes every value in once, and pays for names, stamps and questions.
		if got, most := inputBytes(t, region)-before[region.Name], int64(writes*size*2); got > most {
			t.Errorf("region %s: its server received %d bytes for %d bytes written, want at most %d", region.Name, got, writes*size, most)
		}
	}
	for _, region := range p.Regions[1:] {
		log := redistest.Dial(t, region.Redis.Addr).Must("XRANGE", "crdt:log", "-", "+")
		if strings.Contains(log.Raw, value) {
			t.Errorf("region %s keeps the values of another region in its own log", region.Name)
		}
	}
}

// A region that is given its own address as a peer replicates to itself.
func TestARegionThatPeersWithItselfCountsOnce(t *testing.T) {
	p := start(t, 2)
	proxy := p.Regions[0].Proxy()
	proxy.Stop()
	proxy.AddFlags("--peer", fmt.Sprintf("B=%s", proxy.PeerAddr)) // B's name, but our own address, beside the right one
	proxy.Launch()
	time.Sleep(2 * time.Second)
	if !proxy.Running() {
		return // refusing to start is right too
	}
	proxy.AwaitReady()
	p.dial()
	do(p.a, "INCRBY n 5")
	do(p.b, "INCRBY n 3")
	p.Converge()
	p.everywhere("GET n", `"8"`)
	p.RequireEqual(t)
}
