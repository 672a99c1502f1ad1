package redistest

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// databases is how many Redis has by default.
const databases = 16

// MetadataPrefix is what the names of companion keys begin with; no client may ever see one.
const MetadataPrefix = "crdt:"

// Entry is one key as a client sees it, in a form that is equal for equal data.
type Entry struct {
	Type     string
	Value    string // canonical: elements sorted where the type has no order
	Deadline int64  // PEXPIRETIME: Unix time in milliseconds, -1 for none
}

// Keyspace is everything that a client can see, by "db:key".
type Keyspace map[string]Entry

// Snapshot reads the whole keyspace over one connection, all databases. Nobody may write meanwhile.
func Snapshot(t testing.TB, c *Conn) Keyspace {
	t.Helper()
	space := Keyspace{}
	for db := range databases {
		c.Must("SELECT", strconv.Itoa(db))
		if c.Must("DBSIZE").Int() == 0 {
			continue
		}
		for keys := range slices.Chunk(c.Must("KEYS", "*").Strings(), 500) {
			readEntries(t, c, db, keys, space)
		}
	}
	c.Must("SELECT", "0")
	return space
}

// readCommand is what reads the whole value of a type.
var readCommand = map[string]func(key string) []string{
	"string": func(key string) []string { return []string{"GET", key} },
	"hash":   func(key string) []string { return []string{"HGETALL", key} },
	"set":    func(key string) []string { return []string{"SMEMBERS", key} },
	"zset":   func(key string) []string { return []string{"ZRANGE", key, "0", "-1", "WITHSCORES"} },
	"list":   func(key string) []string { return []string{"LRANGE", key, "0", "-1"} },
	"stream": func(key string) []string { return []string{"XRANGE", key, "-", "+"} },
}

// readEntries adds the keys to the space, in two round trips. Keys that have expired meanwhile are left out.
func readEntries(t testing.TB, c *Conn, db int, keys []string, space Keyspace) {
	t.Helper()
	var asks, reads [][]string
	for _, key := range keys {
		asks = append(asks, []string{"TYPE", key}, []string{"PEXPIRETIME", key})
	}
	answers := pipeline(t, c, asks)
	var present []int
	for i, key := range keys {
		read := readCommand[answers[2*i].Text]
		if read == nil {
			if answers[2*i].Text != "none" {
				t.Fatalf("redistest: key %q has type %s", key, answers[2*i])
			}
			continue
		}
		present = append(present, i)
		reads = append(reads, read(key))
	}
	values := pipeline(t, c, reads)
	for n, i := range present {
		entry := Entry{Type: answers[2*i].Text, Deadline: answers[2*i+1].Int()}
		if entry.Deadline == -2 || values[n].Null {
			continue
		}
		entry.Value = canonical(entry.Type, values[n])
		space[fmt.Sprintf("%d:%s", db, keys[i])] = entry
	}
}

func pipeline(t testing.TB, c *Conn, commands [][]string) []Reply {
	t.Helper()
	replies, err := c.Pipeline(commands)
	if err != nil {
		t.Fatalf("redistest: %s: %v", c.addr, err)
	}
	for i, reply := range replies {
		if reply.IsError() {
			t.Fatalf("redistest: %s: %.200q: %s", c.addr, commands[i], reply)
		}
	}
	return replies
}

func canonical(kind string, value Reply) string {
	switch kind {
	case "string":
		if registers, valid := Registers(value.Text); valid {
			return fmt.Sprint("registers ", registers) // maps print in order
		}
		return strconv.Quote(value.Text)
	case "hash":
		return joinPairs(value.Strings(), true)
	case "set":
		members := value.Strings()
		sort.Strings(members)
		return fmt.Sprintf("%q", members)
	case "zset":
		return joinPairs(value.Strings(), false)
	case "list":
		return fmt.Sprintf("%q", value.Strings())
	}
	return value.String()
}

func joinPairs(flat []string, sorted bool) string {
	pairs := make([]string, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%q=%q", flat[i], flat[i+1]))
	}
	if sorted {
		sort.Strings(pairs)
	}
	return strings.Join(pairs, " ")
}

// Diff describes how two keyspaces differ, at most limit lines; it is empty when they are equal. Deadlines may differ by
// slackMillis: two servers that were sent the same relative TTL got it at two moments.
func Diff(a, b Keyspace, slackMillis int64, limit int) string {
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		left, inA := a[key]
		right, inB := b[key]
		switch {
		case !inA || !inB:
			lines = append(lines, fmt.Sprintf("%q: %s | %s", key, show(left, inA), show(right, inB)))
		case left.Type != right.Type || left.Value != right.Value || !deadlinesMatch(left, right, slackMillis):
			lines = append(lines, fmt.Sprintf("%q: %s | %s", key, show(left, true), show(right, true)))
		}
	}
	if len(lines) > limit {
		lines = append(lines[:limit], fmt.Sprintf("and %d more", len(lines)-limit))
	}
	return strings.Join(lines, "\n")
}

func deadlinesMatch(a, b Entry, slackMillis int64) bool {
	if (a.Deadline < 0) != (b.Deadline < 0) {
		return false
	}
	return a.Deadline-b.Deadline <= slackMillis && b.Deadline-a.Deadline <= slackMillis
}

func show(e Entry, exists bool) string {
	if !exists {
		return "absent"
	}
	value := e.Value
	if len(value) > 400 {
		value = value[:400] + "…"
	}
	return fmt.Sprintf("%s %s deadline %d", e.Type, value, e.Deadline)
}

// RequireEqual fails the test unless all regions of the cluster show the same values, deadlines and consumer groups.
func (c *Cluster) RequireEqual(t testing.TB) Keyspace {
	t.Helper()
	space, diff := c.Compare(t)
	if diff != "" {
		t.Error(diff)
	}
	return space
}

// Compare answers what the first region shows, and how the others differ from it; nothing when they do not.
func (c *Cluster) Compare(t testing.TB) (space Keyspace, diff string) {
	t.Helper()
	for i, region := range c.Regions {
		conn := Dial(t, region.Proxy().Addr)
		shown := Snapshot(t, conn)
		addGroups(t, conn, shown)
		conn.Close()
		if i == 0 {
			space = shown
		} else if d := Diff(space, shown, 0, 20); d != "" {
			diff += fmt.Sprintf("regions %s | %s differ:\n%s\n", c.Regions[0].Name, region.Name, d)
		}
	}
	return space, diff
}

// addGroups adds the names of consumer groups to the streams of a snapshot. Only regions are compared by them: Redis alone
// keeps groups where Anabranch does not, for instance over RENAME.
func addGroups(t testing.TB, c *Conn, space Keyspace) {
	t.Helper()
	selected := ""
	for _, name := range slices.Sorted(maps.Keys(space)) {
		entry := space[name]
		if entry.Type != "stream" {
			continue
		}
		db, key, _ := strings.Cut(name, ":")
		if db != selected {
			c.Must("SELECT", db)
			selected = db
		}
		reply := c.Do("XINFO", "GROUPS", key)
		if reply.IsError() {
			continue // it has expired meanwhile
		}
		var groups []string
		for _, group := range reply.Items {
			groups = append(groups, group.Items[1].Text)
		}
		sort.Strings(groups)
		entry.Value += fmt.Sprintf(" groups %q", strings.Join(groups, ","))
		space[name] = entry
	}
}

// RequireNoMetadata fails the test when a client of the region can see a companion key, or when DBSIZE, KEYS and SCAN
// do not agree. Keys may expire between two of these, so they are asked again before they count as different.
func (r *Region) RequireNoMetadata(t testing.TB) {
	t.Helper()
	c := Dial(t, r.Proxy().Addr)
	trouble := ""
	for range 5 {
		if trouble = visibleTrouble(t, c); trouble == "" {
			return
		}
	}
	t.Errorf("region %s: %s", r.Name, trouble)
}

func visibleTrouble(t testing.TB, c *Conn) string {
	t.Helper()
	keys := c.Must("KEYS", "*").Strings()
	var scanned []string
	for cursor := "0"; ; {
		page := c.Must("SCAN", cursor, "COUNT", "1000")
		if len(page.Items) != 2 {
			t.Fatalf("redistest: %s: SCAN answers %s", c.addr, page)
		}
		scanned = append(scanned, page.Items[1].Strings()...)
		if cursor = page.Items[0].Text; cursor == "0" {
			break
		}
	}
	sort.Strings(keys)
	sort.Strings(scanned)
	if scanned = slices.Compact(scanned); !slices.Equal(keys, scanned) {
		return fmt.Sprintf("KEYS shows %d keys, SCAN %d", len(keys), len(scanned))
	}
	if size := c.Must("DBSIZE").Int(); size != int64(len(keys)) {
		return fmt.Sprintf("DBSIZE %d, KEYS shows %d", size, len(keys))
	}
	for range 50 {
		keys = append(keys, c.Must("RANDOMKEY").Text)
	}
	for _, key := range keys {
		if strings.HasPrefix(key, MetadataPrefix) {
			return fmt.Sprintf("a client can see %q", key)
		}
	}
	return ""
}
