package nemesis

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"

	"github.com/vmihailenco/msgpack/v5"
)

// limits say how long something may take after everything was healed, before it counts as not done.
const (
	equalLimit   = 150 * time.Second // also for the deletes of keys whose time is up
	replicaLimit = 60 * time.Second
	collectLimit = 90 * time.Second
	memoryLimit  = 30 * time.Second
)

const (
	// memorySlack is how much more a server may use than before the first write: logs are trimmed to a megabyte or two, the
	// ledger of conflicts and the buffers of connections are bounded, and an allocator keeps some.
	memorySlack = 16 << 20
	// proxyMemory is for a proxy with the race detector, which needs many times what one without it does.
	proxyMemory = 768 << 20
)

// await asks again and again until nothing is wrong, and says what is when the limit is over.
func await(t testing.TB, what string, limit time.Duration, wrong func() string) {
	t.Helper()
	began := time.Now()
	for {
		text := wrong()
		if text == "" {
			return
		}
		if time.Since(began) > limit {
			t.Errorf("%s: not within %v: %s", what, limit, text)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// requireEqual waits until all regions show the same and no key is there whose time is up.
func requireEqual(w *world, l *ledger) redistest.Keyspace {
	w.t.Helper()
	var space redistest.Keyspace
	await(w.t, "all regions equal", equalLimit, func() string {
		w.Converge()
		var diff string
		if space, diff = w.Compare(w.t); diff != "" {
			return diff
		}
		return l.overdue(space)
	})
	if w.t.Failed() {
		_, diff := w.Compare(w.t)
		w.t.Logf("%s\n%s", w.Explain(), explainKeys(w, diff))
	}
	return space
}

// differing finds the keys in the lines of a difference.
var differing = regexp.MustCompile(`(?m)^"(\d+):(.+?)": `)

// mostExplained bounds what is printed of keys.
const mostExplained = 6

// explainKeys prints what each region knows about the keys in which they differ.
func explainKeys(w *world, diff string) string {
	var text strings.Builder
	for _, match := range differing.FindAllStringSubmatch(diff, mostExplained) {
		explain(&text, w, match[1], match[2])
	}
	return text.String()
}

// cellName is that of a key, or of an element behind a slash; outside of database 0 the number stands before it.
var cellName = regexp.MustCompile(`^(?:(\d+):)?([^/]+)`)

// explainCells does the same for cells.
func explainCells(w *world, cells []string) string {
	var text strings.Builder
	for _, cell := range cells {
		if match := cellName.FindStringSubmatch(cell); match != nil {
			explain(&text, w, cmp.Or(match[1], "0"), match[2])
		}
	}
	return text.String()
}

func explain(text *strings.Builder, w *world, db, key string) {
	number, _ := strconv.Atoi(db)
	for _, region := range w.Regions {
		conn := region.Dial()
		conn.Must("SELECT", db)
		reply := conn.Do("CRDT", "EXPLAIN", key)
		fmt.Fprintf(text, "%s:%s in region %s:\n%.2000s\n", db, key, region.Name, reply.Text)
		conn.Close()
		logged(text, region, number, key)
	}
}

// logged prints what a region's own log still has about a key, effect by effect.
func logged(text *strings.Builder, region *redistest.Region, db int, key string) {
	entries, err := region.Redis.Client().XRange(context.Background(), "crdt:log", "-", "+").Result()
	if err != nil {
		fmt.Fprintln(text, err)
	}
	lines := 0
	for _, entry := range entries {
		body, _ := entry.Values["b"].(string)
		touches := false
		_ = crdtmeta.Touched([][]byte{[]byte("b"), []byte(body)}, func(d int, k string) { touches = touches || d == db && k == key })
		var values []any
		if !touches || lines == 40 || msgpack.Unmarshal([]byte(body), &values) != nil {
			continue
		}
		lines++
		for i, v := range values {
			if v == key {
				fmt.Fprintf(text, "  %s %s: … %.300q\n", entry.ID, values[1], fmt.Sprint(values[max(0, i-4):min(len(values), i+8)]))
			}
		}
	}
}

// overdue names keys whose time is up and that are still there.
func (l *ledger) overdue(space redistest.Keyspace) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	late, example := 0, ""
	for key, over := range l.mortals {
		name := key
		if !strings.Contains(key, ":") {
			name = "0:" + key
		}
		if _, there := space[name]; there && over {
			late, example = late+1, fmt.Sprintf("%s %+v", name, space[name])
		}
	}
	if late == 0 {
		return ""
	}
	return fmt.Sprintf("%d keys whose time is up are there, among them %s", late, example)
}

// requireSketches wants each HyperLogLog to hold all that was acknowledged, and nothing that was not tried: a plain Redis
// joins it with each of the two, which changes nothing in the one and gives the other.
func requireSketches(w *world, l *ledger) {
	w.t.Helper()
	scratch := redistest.Dial(w.t, w.scratch.Addr)
	conns := make([]*redistest.Conn, len(w.Regions))
	for i, region := range w.Regions {
		conns[i] = region.Dial()
	}
	registers := func(key string) string {
		found, valid := redistest.Registers(scratch.Must("GET", key).Text)
		if !valid {
			w.t.Errorf("%s is no HyperLogLog", key)
		}
		return fmt.Sprint(found)
	}
	for key, elements := range l.sketches {
		db, name := "0", key
		if before, after, found := strings.Cut(key, ":"); found {
			db, name = before, after
		}
		scratch.Must("FLUSHALL")
		for element, o := range elements {
			if o == acknowledged {
				scratch.Must("PFADD", "least", element)
			}
			if o != refused {
				scratch.Must("PFADD", "most", element)
			}
		}
		var counts []int64
		for i, conn := range conns {
			conn.Must("SELECT", db)
			counts = append(counts, conn.Must("PFCOUNT", name).Int())
			if i == 0 {
				if value := conn.Must("GET", name); !value.Null {
					scratch.Must("SET", "shown", value.Text)
				}
			}
			if counts[i] != counts[0] {
				w.t.Errorf("PFCOUNT %s: %d in region A, %d in region %s", key, counts[0], counts[i], regionNames[i])
			}
		}
		if scratch.Must("EXISTS", "shown", "most").Int() != 2 {
			if scratch.Must("EXISTS", "least").Int() == 1 {
				w.t.Errorf("the HyperLogLog %s is not there", key)
			}
			continue
		}
		shown := registers("shown")
		scratch.Must("PFMERGE", "shown", "least")
		if registers("shown") != shown {
			w.t.Errorf("the HyperLogLog %s lacks acknowledged elements", key)
		}
		scratch.Must("PFMERGE", "most", "shown")
		scratch.Must("PFMERGE", "again", "most", "shown")
		if before := registers("most"); registers("again") != before {
			w.t.Errorf("the HyperLogLog %s holds what nobody added", key)
		}
	}
}

// requireReplicas waits until each replica holds what its primary does. Effects of the leaders' own upkeep go on, so the two
// are asked until they agree.
func requireReplicas(w *world) {
	w.t.Helper()
	for _, region := range w.Regions {
		primary, replica := redistest.Dial(w.t, region.Redis.Addr), redistest.Dial(w.t, region.Replica.Addr)
		await(w.t, "the replica of region "+region.Name+" equals its primary", replicaLimit, func() string {
			for range 20 {
				if a, b := primary.Must("DEBUG", "DIGEST"), replica.Do("DEBUG", "DIGEST"); a.Text == b.Text {
					return ""
				}
			}
			text := replica.Do("INFO", "replication").Text
			return "digests differ; " + strings.Join(strings.Fields(text), " ")
		})
	}
}

// deleteAll deletes everything: a part in each region by DEL, at the same time, and the rest by FLUSHALL in one.
func deleteAll(w *world, space redistest.Keyspace) {
	w.t.Helper()
	for i, region := range w.Regions {
		conn, n := region.Dial(), 0
		var commands [][]string
		for name := range space {
			if db, key, _ := strings.Cut(name, ":"); db == "0" {
				if n++; n%(len(w.Regions)+1) == i {
					commands = append(commands, []string{"DEL", key})
				}
			}
		}
		if _, err := conn.Pipeline(commands); err != nil {
			w.t.Fatal(err)
		}
		conn.Close()
	}
	w.Converge()
	w.RequireEqual(w.t)
	w.Regions[1].Dial().Must("FLUSHALL")
	w.Converge()
}

// requireNothingLeft waits until no metadata is left, and memory is back to what it was before the first write.
func requireNothingLeft(w *world, before []int64) {
	w.t.Helper()
	for i, region := range w.Regions {
		await(w.t, "region "+region.Name+" has collected all metadata", collectLimit, func() string {
			left := region.Leftovers(w.t)
			if len(left) == 0 {
				return ""
			}
			conn := redistest.Dial(w.t, region.Redis.Addr)
			defer conn.Close()
			contexts := ""
			for origin, packed := range region.Redis.Client().HGetAll(context.Background(), "crdt:context").Val() {
				f, err := crdtmeta.DecodeFrontier([]byte(packed))
				contexts += fmt.Sprintln(origin, f, err)
			}
			return fmt.Sprintf("%d keys are left: %.500q\nnoted: %.300s\ncollected: %s\nnewest: %s\nfrontier: %s\ncontexts:\n%slog: %s", len(left), left,
				conn.Do("ZRANGE", "crdt:gc", "0", "-1", "WITHSCORES"), conn.Do("HGETALL", "crdt:collected"), conn.Do("HGETALL", "crdt:newest"),
				conn.Do("HGETALL", "crdt:frontier"), contexts, conn.Do("XREVRANGE", "crdt:log", "+", "-", "COUNT", "1"))
		})
		await(w.t, "region "+region.Name+" uses little memory", memoryLimit, func() string {
			used := w.info(i, "memory", "used_memory")
			if used <= before[i]+memorySlack {
				return ""
			}
			return fmt.Sprintf("%d bytes, and %d before the first write", used, before[i])
		})
	}
}

// requireModestProxies looks at what the proxies have needed at most since they were started.
func requireModestProxies(w *world) {
	w.t.Helper()
	for _, region := range w.Regions {
		for i, proxy := range region.Proxies {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", proxy.PID()))
			if err != nil {
				w.t.Fatal(err)
			}
			text, found := procField(string(status), "VmHWM")
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
			if !found || err != nil {
				w.t.Fatalf("/proc/%d/status has no VmHWM: %q", proxy.PID(), text)
			}
			w.t.Logf("proxy %s%d: %d MiB at most", region.Name, i+1, kilobytes>>10)
			if kilobytes<<10 > proxyMemory {
				w.t.Errorf("proxy %s%d has used %d MiB", region.Name, i+1, kilobytes>>10)
			}
		}
	}
}

func procField(text, name string) (string, bool) { return field(text, name+":") }

func infoField(text, name string) (string, bool) { return field(text, name+":") }

// field finds a line by its beginning.
func field(text, begins string) (string, bool) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, begins); found {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// merging says whether a region takes keys one by one, or has keys that are ahead of what its logs have brought: meanwhile what was
// written together need not be seen together. It is true, too, when nobody can tell.
func (o *observer) merging() bool {
	reply, ok := o.ask("EXISTS", "crdt:merges", "crdt:ahead")
	return !ok || reply.Int() > 0
}

// watchPairs reads, over and over, what is always written together, and wants to see it whole.
func watchPairs(ctx context.Context, w *world, r int) {
	var (
		conn     *redistest.Conn
		commands = [][]string{{"MULTI"}}
		server   = observer{w: w, region: r}
	)
	defer server.close()
	for _, pair := range pairs {
		commands = append(commands, []string{"GET", pair[0]}, []string{"MGET", pair[1]})
	}
	commands = append(commands, []string{"EXEC"})
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(10 * time.Millisecond)
		merging := server.merging()
		if conn == nil {
			proxies := w.Regions[r].Proxies
			fresh, err := redistest.TryDial(w.t, proxies[n%len(proxies)].Addr)
			if err != nil {
				continue
			}
			conn = fresh
		}
		replies, err := conn.Pipeline(commands)
		if err != nil {
			conn.Close()
			conn = nil
			continue
		}
		read := replies[len(replies)-1].Items
		for i, pair := range pairs {
			if len(read) != 2*len(pairs) || read[2*i].IsError() || read[2*i+1].IsError() {
				continue // refused: the server is away, or its memory is short
			}
			if a, b := read[2*i].Text, read[2*i+1].Items[0].Text; a != b {
				if !merging && !server.merging() {
					w.t.Errorf("region %s shows %s %q with %s %q", regionNames[r], pair[0], a, pair[1], b)
				}
			}
		}
	}
	if conn != nil {
		conn.Close()
	}
}
