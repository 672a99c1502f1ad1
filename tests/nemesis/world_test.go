package nemesis

import (
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// regionNames are what StartCluster calls them.
var regionNames = []string{"A", "B", "C"}

// twoProxies is the region that has a second one.
const twoProxies = 0

func proxiesOf(region int) int {
	if region == twoProxies {
		return 2
	}
	return 1
}

// world is three regions of real processes, and what the faults have done to them. The test's goroutine alone strikes.
type world struct {
	*redistest.Cluster
	t       *testing.T
	scratch *redistest.Server // a plain Redis, to calculate with

	odd        [3]spell                  // the region's clock is not the machine's
	doubtful   [3]spell                  // what the region acknowledges may be lost with its server
	outdated   [3]spell                  // the region has lost something, and not yet got it back
	recovering [3]atomic.Int32           // how many losses it has still to get over
	losses     int                       // how often
	servers    [3]atomic.Pointer[string] // addresses of the regions' servers, for other goroutines
}

// spell is a time in which something holds, and a moment longer, for commands that are under way when it ends.
type spell struct{ until atomic.Int64 }

func (s *spell) begin() { s.until.Store(math.MaxInt64) }

func (s *spell) end() { s.until.Store(time.Now().Add(time.Second).UnixNano()) }

func (s *spell) holds() bool { return time.Now().UnixNano() < s.until.Load() }

// startWorld has metadata and logs go soon, so that this happens in the middle of everything.
func startWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t,
		Cluster: redistest.StartCluster(t, len(regionNames),
			redistest.WithRedis(redistest.WithAOF(), redistest.WithClock(0)),
			redistest.WithReplicas(), redistest.WithRelays(), redistest.WithProxiesIn(regionNames[twoProxies], 2),
			redistest.WithFlags("--gc-grace", "500ms", "--backlog-time", "1s", "--backlog-size", "1mb", "--lease-time", "1500ms")),
		scratch: redistest.Start(t),
	}
	for i, region := range w.Regions {
		w.servers[i].Store(&region.Redis.Addr)
	}
	return w
}

// observer asks the server of a region itself, past the proxies.
type observer struct {
	w      *world
	region int
	addr   string // that conn goes to
	conn   *redistest.Conn
}

// ask connects if it must. It answers false when there is no answer, or an error.
func (o *observer) ask(args ...string) (redistest.Reply, bool) {
	if addr := *o.w.servers[o.region].Load(); o.conn == nil || addr != o.addr {
		o.close()
		conn, err := redistest.TryDial(o.w.t, addr)
		if err != nil {
			return redistest.Reply{}, false
		}
		o.conn, o.addr = conn, addr
	}
	reply, err := o.conn.Try(args...)
	if err != nil {
		o.close()
		return reply, false
	}
	return reply, !reply.IsError()
}

func (o *observer) close() {
	if o.conn != nil {
		o.conn.Close()
		o.conn = nil
	}
}

func (w *world) region(s strike) *redistest.Region { return w.Regions[s.region] }

func (w *world) proxy(s strike) *redistest.Proxy { return w.Regions[s.region].Proxies[s.proxy] }

// disturb is about one direction of effects: those that puller takes from server.
func (w *world) disturb(puller, server int, trouble redistest.Trouble) {
	for _, relay := range w.Relays(regionNames[puller], regionNames[server]) {
		relay.Set(trouble)
	}
}

func (w *world) disturbBoth(s strike, trouble redistest.Trouble) {
	w.disturb(s.region, s.other, trouble)
	w.disturb(s.other, s.region, trouble)
}

func (w *world) disturbAll(region int, trouble redistest.Trouble) {
	for other := range regionNames {
		if other != region {
			w.disturb(region, other, trouble)
			w.disturb(other, region, trouble)
		}
	}
}

// shiftClock sets the clocks of the region's server and replica.
func (w *world) shiftClock(region int, ahead time.Duration) {
	w.odd[region].begin()
	w.Regions[region].Redis.SetClock(ahead)
	w.Regions[region].Replica.SetClock(ahead)
	if ahead == 0 {
		w.odd[region].end()
	}
}

// limitMemory goes to the server itself, as an operator would.
func (w *world) limitMemory(region int, limit string) {
	conn := redistest.Dial(w.t, w.Regions[region].Redis.Addr)
	defer conn.Close()
	conn.Must("CONFIG", "SET", "maxmemory", limit)
}

// control runs a CRDT subcommand.
func (w *world) control(region int, args ...string) {
	w.ask(region, append([]string{"CRDT"}, args...)...)
}

// ask runs a command in a region. Its answer may be an error, for instance when the memory of the server is short.
func (w *world) ask(region int, args ...string) {
	r := w.Regions[region]
	conn, err := redistest.TryDial(w.t, r.Proxies[len(r.Proxies)-1].Addr)
	if err != nil {
		w.t.Logf("region %s: %v: %v", r.Name, args, err)
		return
	}
	defer conn.Close()
	if reply, err := conn.Try(args...); err != nil || reply.IsError() {
		w.t.Logf("region %s: %v: %s, %v", r.Name, args, reply, err)
	}
}

// carryOut executes a plan in its order. A moment may come late, when what was before it took long.
func (w *world) carryOut(plan []strike) {
	w.t.Helper()
	began := time.Now()
	for _, m := range moments(plan) {
		time.Sleep(m.at() - time.Since(began))
		if m.begins {
			w.t.Logf("%6.1fs begins: %s", time.Since(began).Seconds(), m)
			m.fault.begin(w, m.strike)
		} else {
			w.t.Logf("%6.1fs ends:   %s", time.Since(began).Seconds(), m)
			m.fault.end(w, m.strike)
		}
	}
}

// heal makes sure that nothing of any fault is left, and waits until everybody serves.
func (w *world) heal() {
	w.t.Helper()
	for i, region := range w.Regions {
		w.disturbAll(i, redistest.Trouble{})
		w.shiftClock(i, 0)
		w.limitMemory(i, "0")
		for _, proxy := range region.Proxies {
			proxy.AwaitReady()
		}
	}
	w.ResumeAll()
}

// info is a number of INFO of a region's server itself.
func (w *world) info(region int, section, field string) int64 {
	w.t.Helper()
	conn := redistest.Dial(w.t, w.Regions[region].Redis.Addr)
	defer conn.Close()
	text, found := infoField(conn.Must("INFO", section).Text, field)
	number, err := strconv.ParseInt(text, 10, 64)
	if !found || err != nil {
		w.t.Fatalf("region %s: INFO %s has no number %s: %q", regionNames[region], section, field, text)
	}
	return number
}
