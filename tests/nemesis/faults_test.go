package nemesis

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// faultsEnv chooses faults by name, with commas between.
const faultsEnv = "NEMESIS_FAULTS"

// fault is one kind of trouble.
type fault struct {
	name    string
	between bool          // two regions are concerned
	least   time.Duration // how long it has to last to be of interest
	after   time.Duration // how long its places have peace afterwards
	places  func(strike) []string
	detail  func(strike) string // what else the plan shows, or nil
	begin   func(*world, strike)
	end     func(*world, strike)
}

// faults are those with which a server keeps what it has acknowledged.
var faults = []*fault{
	{name: "kill-proxy", places: oneProxy, detail: whichProxy,
		begin: func(w *world, s strike) { w.proxy(s).Kill() },
		end:   func(w *world, s strike) { w.proxy(s).Launch() }},
	{name: "freeze-proxy", places: oneProxy, detail: whichProxy,
		begin: func(w *world, s strike) { w.proxy(s).Pause() },
		end:   func(w *world, s strike) { w.proxy(s).Continue() }},
	{name: "kill-redis", places: server,
		begin: func(w *world, s strike) { w.region(s).Redis.Kill() },
		end:   func(w *world, s strike) { w.region(s).Redis.Restart() }},
	{name: "freeze-redis", places: server,
		begin: func(w *world, s strike) { w.region(s).Redis.Pause() },
		end:   func(w *world, s strike) { w.region(s).Redis.Continue() }},
	{name: "cut-one-way", between: true, places: oneWay,
		begin: func(w *world, s strike) { w.disturb(s.region, s.other, redistest.Trouble{Cut: true}) },
		end:   func(w *world, s strike) { w.disturb(s.region, s.other, redistest.Trouble{}) }},
	{name: "cut-both-ways", between: true, places: bothWays,
		begin: func(w *world, s strike) { w.disturbBoth(s, redistest.Trouble{Cut: true}) },
		end:   func(w *world, s strike) { w.disturbBoth(s, redistest.Trouble{}) }},
	{name: "silent-link", between: true, places: bothWays,
		begin: func(w *world, s strike) { w.disturbBoth(s, redistest.Trouble{Silent: redistest.Both}) },
		end:   func(w *world, s strike) { w.disturbBoth(s, redistest.Trouble{}) }},
	{name: "half-silent", between: true, places: oneWay, // data or acknowledgements, but not both
		detail: func(s strike) string { return []string{"towards the server", "from the server"}[s.amount%2] },
		begin: func(w *world, s strike) {
			w.disturb(s.region, s.other, redistest.Trouble{Silent: []redistest.Direction{redistest.Up, redistest.Down}[s.amount%2]})
		},
		end: func(w *world, s strike) { w.disturb(s.region, s.other, redistest.Trouble{}) }},
	{name: "slow-link", between: true, places: bothWays,
		detail: func(s strike) string {
			t := slowness(s)
			return fmt.Sprintf("%v, %d bytes a second", t.Latency, t.BytesPerSecond)
		},
		begin: func(w *world, s strike) { w.disturbBoth(s, slowness(s)) },
		end:   func(w *world, s strike) { w.disturbBoth(s, redistest.Trouble{}) }},
	{name: "isolate", places: allWays,
		begin: func(w *world, s strike) { w.disturbAll(s.region, redistest.Trouble{Cut: true}) },
		end:   func(w *world, s strike) { w.disturbAll(s.region, redistest.Trouble{}) }},
	{name: "clock", places: func(s strike) []string { return []string{at(s, "clock")} },
		detail: func(s strike) string { return fmt.Sprintf("off by %v", jump(s)) },
		begin:  func(w *world, s strike) { w.shiftClock(s.region, jump(s)) },
		end:    func(w *world, s strike) { w.shiftClock(s.region, 0) }},
	{name: "memory", places: server,
		begin: func(w *world, s strike) { w.limitMemory(s.region, "1mb") },
		end:   func(w *world, s strike) { w.limitMemory(s.region, "0") }},
	{name: "pause", places: wholeRegion,
		detail: func(s strike) string { return "CRDT PAUSE " + paused(s) },
		begin:  func(w *world, s strike) { w.control(s.region, "PAUSE", paused(s)) },
		end:    func(w *world, s strike) { w.control(s.region, "RESUME", paused(s)) }},
}

// Places, which one strike has for itself.

func at(s strike, what string) string { return regionNames[s.region] + " " + what }

func proxyPlace(s strike, i int) string { return at(s, "proxy "+strconv.Itoa(i)) }

func oneProxy(s strike) []string { return []string{proxyPlace(s, s.proxy)} }

func server(s strike) []string { return []string{at(s, "redis")} }

// wholeRegion is its server and all of its proxies.
func wholeRegion(s strike) []string {
	places := server(s)
	for i := range proxiesOf(s.region) {
		places = append(places, proxyPlace(s, i))
	}
	return places
}

func way(puller, server int) string {
	return regionNames[puller] + " pulls from " + regionNames[server]
}

func oneWay(s strike) []string { return []string{way(s.region, s.other)} }

func bothWays(s strike) []string { return []string{way(s.region, s.other), way(s.other, s.region)} }

func allWays(s strike) []string {
	var places []string
	for other := range regionNames {
		if other != s.region {
			places = append(places, way(s.region, other), way(other, s.region))
		}
	}
	return places
}

// What a strike's amount decides.

func whichProxy(s strike) string { return "proxy " + strconv.Itoa(s.proxy+1) }

func slowness(s strike) redistest.Trouble {
	return redistest.Trouble{Latency: time.Duration(20+s.amount%300) * time.Millisecond, BytesPerSecond: 20_000 << (s.amount >> 32 % 5)}
}

// jump is between a minute and four hours, in either direction.
func jump(s strike) time.Duration {
	by := time.Minute << (s.amount % 8)
	by += time.Duration(s.amount >> 8 % uint64(by))
	if s.amount>>63 == 0 {
		return -by
	}
	return by
}

func paused(s strike) string {
	if s.amount%3 == 0 {
		return "ALL"
	}
	return regionNames[s.other]
}

// allFaults are those that can be chosen.
func allFaults() []*fault { return append(slices.Clone(faults), losses...) }

// chosenFaults are all of them, or those that the environment names.
func chosenFaults(t testing.TB) []*fault {
	t.Helper()
	names, all := os.Getenv(faultsEnv), allFaults()
	if names == "" {
		return all
	}
	var chosen []*fault
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(f *fault) bool { return f.name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.name)
			}
			t.Fatalf("%s: there is no fault %q; there are %s", faultsEnv, name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen
}
