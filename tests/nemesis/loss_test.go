package nemesis

import (
	"os"
	"path/filepath"
	"time"

	"anabranch/internal/redistest"
)

// notYet are faults with which a region's server loses what it has acknowledged. They are chosen by name alone. What is
// acknowledged while one of them lasts counts as unknown.
var notYet = []*fault{
	{name: "fail-over", places: regionAndLinks, begin: beginFailOver, end: endFailOver, least: 3 * time.Second},
	{name: "old-snapshot", places: regionAndLinks, begin: beginOldSnapshot, end: endOldSnapshot, least: 3 * time.Second},
	{name: "empty-restart", places: regionAndLinks, begin: beginEmptyRestart, end: endEmptyRestart, least: 3 * time.Second},
}

// regionAndLinks leaves nothing else to go wrong in the region meanwhile.
func regionAndLinks(s strike) []string {
	return append(append(wholeRegion(s), allWays(s)...), at(s, "clock"))
}

// beginFailOver lets the replica catch up with all that was acknowledged without doubt. What comes then it may lack.
func beginFailOver(w *world, s strike) {
	w.doubtful[s.region].begin()
	w.ask(s.region, "WAIT", "1", "10000")
}

// endFailOver makes the replica the primary, and the old primary its replica.
func endFailOver(w *world, s strike) {
	region := w.region(s)
	region.Redis.Kill()
	promoted := region.Replica
	conn := redistest.Dial(w.t, promoted.Addr)
	conn.Must("REPLICAOF", "NO", "ONE")
	conn.Close()
	region.Redis, region.Replica = promoted, region.Redis
	promoted.Follow(nil)
	region.Replica.Follow(promoted)
	region.Replica.Restart()
	for _, proxy := range region.Proxies {
		proxy.Kill()
		proxy.AddFlags("--redis", promoted.URL())
		proxy.Launch()
	}
	w.trustAgain(s)
}

// oldFiles is where the copy of a server's files lies.
func oldFiles(w *world, s strike) string { return filepath.Join(w.region(s).Redis.Dir, "old") }

const appendOnlyDir = "appendonlydir"

// beginOldSnapshot copies the server's files while it is frozen. All that it acknowledges from now on will be lost to it.
func beginOldSnapshot(w *world, s strike) {
	w.doubtful[s.region].begin()
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
	w.trustAgain(s)
}

// beginEmptyRestart waits until the other regions have all that was acknowledged without doubt.
func beginEmptyRestart(w *world, s strike) {
	w.doubtful[s.region].begin()
	w.control(s.region, "WAIT", "2", "30000")
}

// endEmptyRestart restarts the server without its files.
func endEmptyRestart(w *world, s strike) {
	server := w.region(s).Redis
	server.Kill()
	if err := os.RemoveAll(filepath.Join(server.Dir, appendOnlyDir)); err != nil {
		w.t.Fatal(err)
	}
	server.Restart()
	w.trustAgain(s)
}

// trustAgain ends the doubt.
func (w *world) trustAgain(s strike) {
	for _, proxy := range w.region(s).Proxies {
		proxy.AwaitReady()
	}
	w.doubtful[s.region].end()
}
