package nemesis

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/redistest"
)

// losses are faults with which a region's server loses what it has acknowledged:
//
//	begins: what the server will come back with is fixed, and replicated or copied
//	  │     all that is acknowledged from here on will be lost to the server
//	doubt:  a peer has all that was acknowledged until here, so it must survive; what comes now may be lost
//	ends:   the server is killed, and comes back with what was fixed
//	  ⋮     it gets back what peers have; clients see old data meanwhile
//
// If no peer confirms in time, nothing is lost: the strike ends without a kill.
var losses = []*fault{
	{name: "fail-over", places: regionAndLinks, begin: beginFailOver, end: endFailOver, least: 3 * time.Second, after: recoveryTime},
	{name: "old-snapshot", places: regionAndLinks, begin: beginOldSnapshot, end: endOldSnapshot, least: 3 * time.Second, after: recoveryTime},
	{name: "empty-restart", places: regionAndLinks, begin: nothingYet, end: endEmptyRestart, least: time.Second, after: recoveryTime},
}

const (
	recoveryTime = 8 * time.Second // nothing else goes wrong there, and no other region loses anything
	confirmTime  = 5 * time.Second // for a peer to say that it has everything
)

// regionAndLinks leaves nothing else to go wrong in the region meanwhile, and nothing to be lost in another one: of what two
// regions lose at once nobody can say that somebody still has it.
func regionAndLinks(s strike) []string {
	return append(append(wholeRegion(s), allWays(s)...), at(s, "clock"), "loss")
}

func nothingYet(*world, strike) {}

// beginFailOver cuts the replica off when it has all that was acknowledged.
func beginFailOver(w *world, s strike) {
	w.ask(s.region, "WAIT", "1", "10000")
	w.replicate(s, "NO", "ONE")
}

func (w *world) replicate(s strike, of ...string) {
	conn := redistest.Dial(w.t, w.region(s).Replica.Addr)
	defer conn.Close()
	conn.Must(append([]string{"REPLICAOF"}, of...)...)
}

// endFailOver makes the replica the primary, and the old primary its replica.
func endFailOver(w *world, s strike) {
	region := w.region(s)
	if !w.confirmed(s) {
		w.replicate(s, strings.Split(region.Redis.Addr, ":")...)
		return
	}
	region.Redis.Kill()
	region.Redis, region.Replica = region.Replica, region.Redis
	w.servers[s.region].Store(&region.Redis.Addr)
	region.Redis.Follow(nil)
	region.Replica.Follow(region.Redis)
	region.Replica.Restart()
	for _, proxy := range region.Proxies {
		proxy.Kill()
		proxy.AddFlags("--redis", region.Redis.URL())
		proxy.Launch()
	}
	w.doubtful[s.region].end()
}

// oldFiles is where the copy of a server's files lies.
func oldFiles(w *world, s strike) string { return filepath.Join(w.region(s).Redis.Dir, "old") }

const appendOnlyDir = "appendonlydir"

// beginOldSnapshot copies the server's files while it is frozen.
func beginOldSnapshot(w *world, s strike) {
	server := w.region(s).Redis
	server.Pause()
	defer server.Continue()
	if err := os.RemoveAll(oldFiles(w, s)); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(oldFiles(w, s), os.DirFS(filepath.Join(server.Dir, appendOnlyDir))); err != nil {
		w.t.Fatal(err)
	}
}

// endOldSnapshot restarts the server with the copy.
func endOldSnapshot(w *world, s strike) {
	if !w.confirmed(s) {
		return
	}
	server := w.region(s).Redis
	server.Kill()
	files := filepath.Join(server.Dir, appendOnlyDir)
	if err := os.RemoveAll(files); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(oldFiles(w, s), files); err != nil {
		w.t.Fatal(err)
	}
	server.Restart()
	w.doubtful[s.region].end()
}

// endEmptyRestart restarts the server without its files.
func endEmptyRestart(w *world, s strike) {
	if !w.confirmed(s) {
		return
	}
	server := w.region(s).Redis
	server.Kill()
	if err := os.RemoveAll(filepath.Join(server.Dir, appendOnlyDir)); err != nil {
		w.t.Fatal(err)
	}
	server.Restart()
	w.doubtful[s.region].end()
}

// confirmed begins the doubt and then waits until a peer has all that was acknowledged before, and what this region has of
// others, too. If none has, it ends the doubt and answers false.
func (w *world) confirmed(s strike) bool {
	w.doubtful[s.region].begin()
	own, known, ahead := w.positions(s.region)
	for deadline := time.Now().Add(confirmTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for other := range regionNames {
			if !ahead && other != s.region && w.covers(other, own, known) {
				w.losses++
				w.recovering[s.region].Add(1)
				w.outdated[s.region].begin()
				go w.awaitRecovery(s.region, own, known)
				return true
			}
		}
	}
	w.t.Logf("no region has confirmed what region %s would lose: it loses nothing", regionNames[s.region])
	w.doubtful[s.region].end()
	return false
}

// positions are what a region has of all origins; own is its own among them. ahead says that some keys show more than that.
func (w *world) positions(region int) (own string, known map[string]int64, ahead bool) {
	server := observer{w: w, region: region}
	defer server.close()
	return server.positions()
}

func (o *observer) positions() (own string, known map[string]int64, ahead bool) {
	known = map[string]int64{}
	frontier, ok := o.ask("HGETALL", "crdt:frontier")
	if !ok {
		return "", nil, false
	}
	vectors, _ := o.ask("HLEN", "crdt:ahead")
	ahead = vectors.Int() > 0
	pairs := frontier.Strings()
	for i := 0; i+1 < len(pairs); i += 2 {
		known[pairs[i]], _ = strconv.ParseInt(pairs[i+1], 10, 64)
	}
	info, ok := o.ask("FCALL", "anabranch_info_1", "0")
	if !ok {
		return "", known, ahead
	}
	pairs = info.Strings()
	for i := 0; i+1 < len(pairs); i += 2 {
		switch pairs[i] {
		case "origin":
			own = pairs[i+1]
		case "last_effect":
			known[own], _ = strconv.ParseInt(pairs[i+1], 10, 64)
		}
	}
	return own, known, ahead
}

// covers says whether a region has all of that, and is sure to know its own.
func (w *world) covers(region int, own string, wanted map[string]int64) bool {
	mine, known, _ := w.positions(region)
	if own == "" || mine == "" {
		return false
	}
	for origin, t := range wanted {
		if known[origin] < t && region != regionOf(origin) {
			return false
		}
	}
	return true
}

// regionOf is the index of an origin's region.
func regionOf(origin string) int {
	id, _, _ := strings.Cut(origin, ".")
	n, _ := strconv.Atoi(id)
	return n - 1
}

// awaitRecovery waits, beside everything else, until a region has again what it had when the doubt began, and is past the epoch
// that it lost.
func (w *world) awaitRecovery(region int, own string, wanted map[string]int64) {
	server := observer{w: w, region: region}
	defer server.close()
	for w.t.Context().Err() == nil {
		time.Sleep(50 * time.Millisecond)
		mine, known, ahead := server.positions()
		missing := ahead || mine == "" || mine == own
		for origin, t := range wanted {
			missing = missing || known[origin] < t
		}
		if !missing {
			if w.recovering[region].Add(-1) == 0 {
				w.outdated[region].end()
			}
			return
		}
	}
}
