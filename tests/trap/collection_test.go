package trap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// wantLeft waits until nothing else is left anywhere.
func (p *trapped) wantLeft(names ...string) {
	p.t.Helper()
	for _, region := range p.Regions {
		var got []string
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if got = region.Leftovers(p.t); slices.Equal(got, names) {
				break
			}
			if time.Now().After(deadline) {
				p.t.Errorf("region %s: %d keys are left: %.300q, want %.300q\n%s\n%s", region.Name, len(got), got, names,
					region.CRDT("INFO").Text, region.CRDT("STATUS"))
				break
			}
		}
	}
}

var oneOfEach = []string{
	"SET string v", "APPEND string w", "INCRBY counter 5", "SADD set a b c", "HSET hash f v g w", "HINCRBY hash n 3", "ZADD zset 1 m 2 n",
	"ZINCRBY zset 2 m", "RPUSH list a b c", "XADD stream * f v", "XGROUP CREATE stream group 0", "PFADD hll a b", "SETBIT bits 7 1",
	"SET expires v EX 1000", "SELECT 1", "SET other v", "SELECT 0",
}

// Metadata goes once every region has seen what it is about: of cold data, and of what was deleted everywhere.
func TestMetadataOfDeletedKeysIsCollected(t *testing.T) {
	p := start(t, 3, redistest.WithFlags("--gc-grace", "300ms"))
	p.PauseAll()
	for _, c := range []*redistest.Conn{p.a, p.b, p.c} {
		for _, command := range oneOfEach {
			do(c, command)
		}
	}
	p.ResumeAll()
	p.Converge()
	do(p.b, "DEL set")
	do(p.c, "SREM set a")
	p.Converge()
	// What stays as long as its key: shares of counters, places of list elements, a TTL, registers.
	p.wantLeft("bits", "counter", "crdt:0{counter}", "crdt:0{expires}", "crdt:0{hash}", "crdt:0{hll}", "crdt:0{list}", "crdt:0{zset}", "crdt:3{list}",
		"crdt:ttl", "expires", "hash", "hll", "list", "other", "stream", "string", "zset")
	p.RequireEqual(t)
	// Cold data merges like any other.
	p.PauseAll()
	do(p.a, "APPEND string x")
	do(p.b, "DEL string stream")
	do(p.b, "INCR counter")
	do(p.c, "XADD stream * g w")
	do(p.c, "SET counter 100")
	do(p.c, "LPUSH list z")
	p.ResumeAll()
	p.Converge()
	p.everywhere("GET string", `"vwx"`)
	p.everywhere("GET counter", `"101"`)
	p.everywhere("XLEN stream", "(integer) 1")
	do(p.a, "FLUSHALL")
	p.Converge()
	p.wantLeft()
}

// Many keys are collected, also those whose log entries were trimmed before their time had come, and whatever process leads.
func TestCollectionSurvivesTrimmingAndANewLeader(t *testing.T) {
	p := start(t, 2, redistest.WithProxies(2), redistest.WithFlags("--gc-grace", "2s", "--backlog-size", "1mb", "--backlog-time", "1s"))
	const count = 20_000
	value := strings.Repeat("v", 200)
	for from := 0; from < count; from += 500 {
		var commands [][]string
		for i := from; i < from+500; i++ {
			commands = append(commands, []string{"SET", fmt.Sprintf("k%d", i), value}, []string{"HSET", fmt.Sprintf("h%d", i), "f", value})
		}
		if _, err := p.a.Pipeline(commands); err != nil {
			t.Fatal(err)
		}
	}
	for from := 0; from < 5000; from += 1000 { // a companion that is too large for one step
		command := []string{"SADD", "large"}
		for i := from; i < from+1000; i++ {
			command = append(command, fmt.Sprint("m", i))
		}
		p.b.Must(command...)
	}
	p.Converge()
	p.Regions[0].Proxies[0].Kill() // leads, or not
	p.Regions[1].Proxies[0].Kill()
	p.a, p.b = p.Regions[0].Proxies[1].Dial(), p.Regions[1].Proxies[1].Dial()
	for i := range count {
		if i%500 == 0 {
			do(p.b, fmt.Sprintf("DEL k%d", i))
		}
	}
	want := func() bool {
		for _, region := range p.Regions {
			if n := len(region.Leftovers(t)); n != 2*count-count/500+1 {
				t.Logf("region %s: %d keys", region.Name, n)
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(60 * time.Second); !want(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("metadata of cold keys is left")
		}
	}
}

// A region that is away keeps metadata from being collected, and is named; when it is back, all goes on.
func TestADeadRegionHoldsCollectionBackByName(t *testing.T) {
	p := start(t, 3, redistest.WithFlags("--gc-grace", "200ms"))
	p.Partition("A", "C")
	p.Partition("B", "C")
	do(p.a, "SET k v")
	do(p.a, "DEL k")
	time.Sleep(2 * time.Second)
	for _, name := range []string{"A", "B"} {
		if got := p.Region(name).Leftovers(t); !slices.Equal(got, []string{"crdt:0{k}"}) {
			t.Errorf("region %s, which C may still contradict, has %q", name, got)
		}
	}
	do(p.c, "SET k mine")
	p.Heal()
	p.ResumeAll()
	p.Converge()
	p.everywhere("GET k", `"mine"`)
	p.wantLeft("k")
}
