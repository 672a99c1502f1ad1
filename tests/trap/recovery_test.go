package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// An increment is applied twice when whoever applies it dies between the data and the note that it is done.
func TestAnIncrementIsAppliedOnceThoughTheApplierDies(t *testing.T) {
	p := start(t, 2)
	p.PauseAll()
	const writes = 4000
	commands := make([][]string, 0, 3*writes)
	for i := range writes {
		element := strconv.Itoa(i % 7)
		commands = append(commands, []string{"INCR", "n"}, []string{"HINCRBY", "h", element, "1"}, []string{"ZINCRBY", "z", "1", element})
	}
	if _, err := p.a.Pipeline(commands); err != nil {
		t.Fatal(err)
	}
	p.ResumeAll()
	applier := p.Regions[1].Proxy()
	for i := range 6 {
		time.Sleep(time.Duration(20+15*i) * time.Millisecond)
		applier.Kill()
		applier.Launch()
		applier.AwaitReady()
	}
	p.dial()
	p.Converge()
	p.everywhere("GET n", strconv.Quote(strconv.Itoa(writes)))
	p.RequireEqual(t)
}

// A live region stops serving, or answers LOADING, while another one catches up from it.
func TestALiveRegionServesWhileAnotherCatchesUp(t *testing.T) {
	p := start(t, 2)
	away := p.Regions[1]
	away.Proxy().Kill()
	const writes = 20_000
	commands := make([][]string, 0, writes)
	for i := range writes {
		commands = append(commands, []string{"HSET", "h" + strconv.Itoa(i%500), strconv.Itoa(i), "some value of ordinary length"})
	}
	if _, err := p.a.Pipeline(commands); err != nil {
		t.Fatal(err)
	}
	away.Proxy().Launch()
	away.Proxy().AwaitReady()
	p.dial()
	slowest, served := time.Duration(0), 0
	for began := time.Now(); ; served++ {
		for _, c := range []*redistest.Conn{p.a, p.b} {
			sent := time.Now()
			do(c, "SET probe "+strconv.Itoa(served)) // fails the test on any error reply
			do(c, "GET probe")
			slowest = max(slowest, time.Since(sent))
		}
		if served%20 == 19 && p.Regions[1].Dial().Must("HLEN", "h499").Int() == writes/500 {
			break
		}
		if time.Since(began) > 60*time.Second {
			t.Fatal("no catch-up within a minute")
		}
	}
	if slowest > 3*time.Second {
		t.Errorf("a write and a read took %v during the catch-up", slowest)
	}
	p.Converge()
	p.RequireEqual(t)
	t.Logf("%d probes, the slowest took %v", served, slowest)
}

// Catching up takes many times as long as the cut itself.
func TestCatchingUpIsFasterThanWriting(t *testing.T) {
	p := start(t, 2)
	p.PauseAll()
	const writes = 30_000
	commands := make([][]string, 0, writes)
	for i := range writes {
		commands = append(commands, []string{"SET", "k" + strconv.Itoa(i%5000), strconv.Itoa(i)})
	}
	began := time.Now()
	if _, err := p.a.Pipeline(commands); err != nil {
		t.Fatal(err)
	}
	wrote := time.Since(began)
	began = time.Now()
	p.Sync()
	caught := time.Since(began)
	if caught > 4*wrote+5*time.Second {
		t.Errorf("%d writes took %v, catching up took %v", writes, wrote, caught)
	}
	t.Logf("writing took %v, catching up %v", wrote, caught)
	p.RequireEqual(t)
}

// Replication does not start, or stops, because one region of three is not there.
func TestADeadRegionDoesNotStopTheOthers(t *testing.T) {
	p := start(t, 3, redistest.WithRedis(redistest.WithAOF()))
	p.Converge() // what one region only has of a dead one holds up the others until entries are relayed
	dead := p.Regions[2]
	dead.Proxy().Kill()
	dead.Redis.Kill()
	do(p.a, "SET k during")
	wantSoon(t, p.b, "GET k", `"during"`, 10*time.Second)
	// The others also start without it.
	for _, region := range p.Regions[:2] {
		region.Proxy().Restart()
	}
	p.a, p.b = p.Regions[0].Dial(), p.Regions[1].Dial()
	do(p.b, "SET k after")
	do(p.b, "INCR n")
	wantSoon(t, p.a, "GET k", `"after"`, 10*time.Second)
	do(p.a, "INCR n")
	dead.Redis.Restart()
	dead.Proxy().Launch()
	dead.Proxy().AwaitReady()
	p.dial()
	p.Converge()
	p.everywhere("GET n", `"2"`)
	p.RequireEqual(t)
}

// After a restart from the append-only file the metadata is gone, and stale writes come to life again.
func TestStaleWritesStayDeadAfterARestartFromDisk(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithAOF()))
	do(p.a, "SET k old")
	do(p.a, "HSET h f old g old")
	do(p.a, "SADD set old kept")
	p.Sync()
	do(p.b, "INCRBY n 7") // not yet known in A
	do(p.a, "SET k new")
	do(p.a, "HDEL h f")
	do(p.a, "SREM set old")
	for _, region := range p.Regions {
		region.Redis.Kill()
		region.Redis.Restart()
		region.Proxy().AwaitReady()
	}
	p.dial()
	p.Sync()
	p.everywhere("GET k", `"new"`)
	p.everywhere("HMGET h f g", `[(nil) "old"]`)
	p.everywhere("SMEMBERS set", `["kept"]`)
	p.everywhere("GET n", `"7"`)
	p.RequireEqual(t)
}

// A region that lost its data uses effect ids again, and its new writes are filtered as old.
func TestNewWritesOfARegionThatLostItsDataArrive(t *testing.T) {
	p := start(t, 2) // without an append-only file
	for i := range 50 {
		do(p.a, "SET k"+strconv.Itoa(i)+" old")
	}
	p.Converge()
	lost := p.Regions[0]
	lost.Redis.Kill()
	lost.Redis.Restart()
	lost.Proxy().AwaitReady()
	p.dial()
	for i := range 50 {
		do(p.a, "SET k"+strconv.Itoa(i)+" new")
		do(p.a, "SADD fresh "+strconv.Itoa(i))
	}
	wantSoon(t, p.b, "GET k49", `"new"`, 15*time.Second)
	wantSoon(t, p.b, "SCARD fresh", "(integer) 50", 15*time.Second)
	do(p.b, "SET back again")
	wantSoon(t, p.a, "GET back", `"again"`, 15*time.Second)
}

// Effects that wait during a pause are lost when the region restarts meanwhile, or the pause is forgotten.
func TestAPauseOutlivesARestart(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithAOF()))
	p.PauseAll()
	do(p.a, "SET k v")
	for _, region := range p.Regions {
		region.Proxy().Restart()
		region.Redis.Restart()
		region.Proxy().AwaitReady()
	}
	p.dial()
	time.Sleep(time.Second)
	want(t, p.b, "GET k", "(nil)")
	p.Sync()
	p.everywhere("GET k", `"v"`)
}

// Effects are dropped, or the stream stops, when the receiving server has no memory left.
func TestEffectsWaitForAServerThatIsFull(t *testing.T) {
	p := start(t, 2)
	full := redistest.Dial(t, p.Regions[1].Redis.Addr)
	do(p.b, "SET own v")
	p.Converge()
	full.Must("CONFIG", "SET", "maxmemory", "1mb")
	for i := range 50 {
		do(p.a, fmt.Sprintf("SET k%d v%d", i, i))
	}
	do(p.a, "DEL own")
	if reply := p.b.Do("SET", "more", strings.Repeat("x", 1000)); !strings.HasPrefix(reply.Text, "OOM ") {
		t.Errorf("a write to a full server answers %s", reply)
	}
	want(t, p.b, "GET own", `"v"`)
	want(t, p.b, "DEL more", "(integer) 0") // removals work when memory is short
	full.Must("CONFIG", "SET", "maxmemory", "0")
	p.Converge()
	p.everywhere("GET k49", `"v49"`)
	p.everywhere("EXISTS own", "(integer) 0")
	p.RequireEqual(t)
}

// A server that evicts any key would evict metadata and log: it must be refused, with the reason.
func TestAServerThatEvictsAnyKeyIsRefused(t *testing.T) {
	p := start(t, 1)
	region := p.Regions[0]
	region.Proxy().Stop()
	redistest.Dial(t, region.Redis.Addr).Must("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	region.Proxy().Launch()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(region.Proxy().Log(), "maxmemory-policy") || strings.Contains(region.Proxy().Log(), "allkeys") {
			break
		}
	}
	if !strings.Contains(region.Proxy().Log(), "allkeys") {
		t.Error("nothing in the log says that allkeys-lru is dangerous")
	}
	if !region.Proxy().Running() {
		return
	}
	c, err := redistest.TryDial(t, region.Proxy().Addr)
	if err != nil {
		return
	}
	if reply, err := c.Try("SET", "k", "v"); err == nil && !reply.IsError() {
		t.Errorf("SET answers %s although the server may evict its metadata", reply)
	}
}
