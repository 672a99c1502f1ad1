package trap

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// later is a clock that is hours ahead, earlier one that is hours behind.
const (
	later   = 2 * time.Hour
	earlier = -3 * time.Hour
)

// awaitStatus waits until CRDT STATUS of a region has a line, anywhere in it.
func awaitStatus(t *testing.T, c *redistest.Conn, line string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = c.Do("CRDT", "STATUS").String(); strings.Contains(got, line) {
			return
		}
	}
	t.Fatalf("CRDT STATUS never says %q: %s", line, got)
}

// awaitNoStatus waits until CRDT STATUS has it no more.
func awaitNoStatus(t *testing.T, c *redistest.Conn, line string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = c.Do("CRDT", "STATUS").String(); !strings.Contains(got, line) {
			return
		}
	}
	t.Fatalf("CRDT STATUS still says %q: %s", line, got)
}

// infoNumber is a number in a region's INFO crdt.
func infoNumber(t *testing.T, c *redistest.Conn, name string) int64 {
	t.Helper()
	for line := range strings.Lines(c.Must("INFO", "crdt").Text) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return n
		}
	}
	t.Fatalf("INFO crdt has no %s", name)
	return 0
}

// Regions whose clocks are hours apart diverge, or the region that is ahead wins against all later writes.
func TestRegionsWithClocksHoursApartLoseNoLaterWrite(t *testing.T) {
	p := start(t, 3, redistest.WithClocks(later, earlier, 0))
	for i, c := range []*redistest.Conn{p.a, p.b, p.c} {
		do(c, fmt.Sprintf("SET both %d", i))
		do(c, fmt.Sprintf("HSET h shared %d own%d x", i, i))
		do(c, fmt.Sprintf("RPUSH l %d", i))
		do(c, fmt.Sprintf("ZADD z %d m", i))
		do(c, "INCRBY n 5")
		do(c, "XADD x * f v")
	}
	p.Converge()
	p.RequireEqual(t)
	p.everywhere("GET n", `"15"`)

	// Whoever has seen a value overwrites it, whatever the clocks say.
	for round := range 3 {
		for i, c := range []*redistest.Conn{p.a, p.b, p.c} {
			value := strconv.Itoa(10*round + i)
			do(c, "SET both "+value)
			do(c, "HSET h shared "+value)
			do(c, "SADD s "+value)
			do(c, "DEL gone")
			p.Converge()
			p.everywhere("GET both", strconv.Quote(value))
			p.everywhere("HGET h shared", strconv.Quote(value))
			do(c, "SET gone "+value)
			p.Converge()
			p.everywhere("GET gone", strconv.Quote(value))
		}
	}
	p.everywhere("SCARD s", "(integer) 9")
	do(p.b, "DEL both")
	p.Converge()
	p.everywhere("EXISTS both", "(integer) 0")
	p.RequireEqual(t)
}

// Clocks that are wrong stay unnoticed until data is missing.
func TestWrongClocksAreMeasuredAndAlarm(t *testing.T) {
	p := start(t, 3, redistest.WithClocks(later, earlier, 0))
	do(p.a, "SET k v")
	p.Converge()
	awaitStatus(t, p.c, "the clock of region 'A' is 2h0m0s ahead")
	awaitStatus(t, p.c, "the clock of region 'B' is 3h0m0s behind")
	awaitStatus(t, p.a, "the clock of region 'B' is 5h0m0s behind")
	awaitStatus(t, p.c, " ahead of this region's clock")
	if n := infoNumber(t, p.c, "crdt_stamps_ahead"); n == 0 {
		t.Error("no stamp was counted as too far ahead")
	}
	if n := infoNumber(t, p.c, "crdt_alarms"); n != 3 {
		t.Errorf("%d alarms in INFO", n)
	}
	if log := p.Regions[2].Proxy().Log(); strings.Count(log, "the clock of region 'A' is") != 1 {
		t.Error("the log does not have the alarm once")
	}
	for _, row := range p.c.Must("CRDT", "PEERS").Items {
		name, drift := "", int64(0)
		for i := 0; i+1 < len(row.Items); i += 2 {
			switch row.Items[i].Text {
			case "name":
				name = row.Items[i+1].Text
			case "drift-ms":
				drift, _ = strconv.ParseInt(row.Items[i+1].Text, 10, 64)
			}
		}
		want := map[string]time.Duration{"A": later, "B": earlier}[name]
		if off := time.Duration(drift)*time.Millisecond - want; off.Abs() > time.Second {
			t.Errorf("CRDT PEERS has a drift of %d ms for %s", drift, name)
		}
	}
	p.Regions[0].Redis.SetClock(0)
	p.Regions[1].Redis.SetClock(0)
	awaitNoStatus(t, p.c, "the clock of region")
	do(p.c, "SET k w")
	p.Converge()
	p.everywhere("GET k", `"w"`)
}

// A clock that jumps stops replication, loses writes, or makes ids twice.
func TestAClockThatJumpsLosesNothing(t *testing.T) {
	p := start(t, 2, redistest.WithClocks(0, 0))
	jumps := []time.Duration{later, earlier, 26 * time.Hour, -time.Second, 0}
	for i, jump := range jumps {
		p.Regions[i%2].Redis.SetClock(jump)
		for n := range 50 {
			for _, c := range []*redistest.Conn{p.a, p.b} {
				do(c, "INCR n")
				do(c, fmt.Sprintf("RPUSH l%d %d", n%3, n))
				do(c, "XADD x * f v")
			}
		}
		last := strconv.Itoa(i)
		p.Converge()
		do(p.a, "SET k a"+last)
		p.Converge()
		do(p.b, "SET k b"+last)
		p.Converge()
		p.everywhere("GET k", strconv.Quote("b"+last))
	}
	total := 2 * 50 * len(jumps)
	p.everywhere("GET n", strconv.Quote(strconv.Itoa(total)))
	p.everywhere("XLEN x", fmt.Sprintf("(integer) %d", total))
	p.RequireEqual(t)
}

// A deadline is one point in time for all regions. Where clocks differ it is reached at different moments, and the owner's end of
// the key is everybody's.
func TestDeadlinesAreTheSameUnderWrongClocks(t *testing.T) {
	p := start(t, 3, redistest.WithClocks(later, earlier, 0))
	do(p.a, "SET a v EX 36000")
	do(p.b, "SET b v EX 36000")
	do(p.c, "SET c v EX 36000")
	do(p.c, "SET stays v EX 36000")
	p.Converge()
	do(p.b, "PERSIST stays")
	p.Converge()
	for _, key := range []string{"a", "b", "c"} {
		p.everywhere("PEXPIRETIME "+key, do(p.c, "PEXPIRETIME "+key).String())
	}
	p.everywhere("TTL stays", "(integer) -1")
	p.RequireEqual(t)

	// A's clock passes the deadline of its own key, and is set back: what ended has ended.
	p.Regions[0].Redis.SetClock(later + 11*time.Hour)
	want(t, p.a, "GET a", "(nil)")
	wantSoon(t, p.c, "EXISTS a", "(integer) 0", 20*time.Second)
	p.Regions[0].Redis.SetClock(0)
	do(p.a, "SET a again EX 36000")
	p.Converge()
	p.everywhere("GET a", `"again"`)
	p.RequireEqual(t)
}

// A leader that died before the clock went back stays leader for as long as it went back.
func TestADeadLeaderIsReplacedThoughTheClockWentBack(t *testing.T) {
	p := start(t, 2, redistest.WithClocks(later, 0), redistest.WithProxies(2))
	do(p.b, "SET k 1")
	p.Converge()
	dead := p.Regions[0].Proxies[0]
	if strings.Contains(p.a.Must("CRDT", "STATUS").String(), `"this_proxy_leads" "false"`) {
		dead = p.Regions[0].Proxies[1]
	}
	dead.Kill()
	p.Regions[0].Redis.SetClock(0)
	do(p.b, "SET k 2")
	wantSoon(t, redistest.Dial(t, p.Regions[0].Redis.Addr), "GET k", `"2"`, 30*time.Second)
}

// A clock that was ahead takes the logs of all regions along, which then stay ahead of every clock. Metadata is collected all
// the same, also while nobody writes.
func TestMetadataIsCollectedAfterAClockWasAhead(t *testing.T) {
	p := start(t, 2, redistest.WithRedis(redistest.WithClock(0)), redistest.WithFlags("--gc-grace", "300ms"))
	p.Regions[0].Redis.SetClock(time.Hour)
	for _, command := range []string{"INCRBY counter 5", "HINCRBY hash n 3", "ZINCRBY zset 2 m", "SET expires v EX 10000", "RPUSH list a"} {
		do(p.a, command)
	}
	p.Converge()
	p.Regions[0].Redis.SetClock(0)
	do(p.b, "DEL counter hash zset expires list")
	p.Converge()
	p.wantLeft()
}
