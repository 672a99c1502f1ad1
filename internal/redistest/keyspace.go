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
		for _, key := range c.Must("KEYS", "*").Strings() {
			if entry, ok := readEntry(t, c, key); ok {
				space[fmt.Sprintf("%d:%s", db, key)] = entry
			}
		}
	}
	c.Must("SELECT", "0")
	return space
}

// readEntry is false for a key that has expired meanwhile.
func readEntry(t testing.TB, c *Conn, key string) (Entry, bool) {
	t.Helper()
	entry := Entry{Type: c.Must("TYPE", key).Text}
	switch entry.Type {
	case "none":
		return entry, false
	case "string":
		entry.Value = strconv.Quote(c.Must("GET", key).Text)
	case "hash":
		entry.Value = joinPairs(c.Must("HGETALL", key).Strings(), true)
	case "set":
		members := c.Must("SMEMBERS", key).Strings()
		sort.Strings(members)
		entry.Value = fmt.Sprintf("%q", members)
	case "zset":
		entry.Value = joinPairs(c.Must("ZRANGE", key, "0", "-1", "WITHSCORES").Strings(), false)
	case "list":
		entry.Value = fmt.Sprintf("%q", c.Must("LRANGE", key, "0", "-1").Strings())
	case "stream":
		entry.Value = c.Must("XRANGE", key, "-", "+").String()
	default:
		t.Fatalf("redistest: key %q has type %q", key, entry.Type)
	}
	entry.Deadline = c.Must("PEXPIRETIME", key).Int()
	return entry, entry.Deadline != -2
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

// RequireEqual fails the test unless all regions of the cluster show the same values and deadlines.
func (c *Cluster) RequireEqual(t testing.TB) Keyspace {
	t.Helper()
	first := Snapshot(t, Dial(t, c.Regions[0].Proxy().Addr))
	for _, region := range c.Regions[1:] {
		if diff := Diff(first, Snapshot(t, Dial(t, region.Proxy().Addr)), 0, 20); diff != "" {
			t.Errorf("regions %s | %s differ:\n%s", c.Regions[0].Name, region.Name, diff)
		}
	}
	return first
}

// RequireNoMetadata fails the test when a client of the region can see a companion key, or when DBSIZE, KEYS and SCAN
// do not agree.
func (r *Region) RequireNoMetadata(t testing.TB) {
	t.Helper()
	c := Dial(t, r.Proxy().Addr)
	keys := c.Must("KEYS", "*").Strings()
	var scanned []string
	for cursor := "0"; ; {
		page := c.Must("SCAN", cursor, "COUNT", "1000")
		if len(page.Items) != 2 {
			t.Fatalf("region %s: SCAN answers %s", r.Name, page)
		}
		scanned = append(scanned, page.Items[1].Strings()...)
		if cursor = page.Items[0].Text; cursor == "0" {
			break
		}
	}
	sort.Strings(keys)
	sort.Strings(scanned)
	if scanned = slices.Compact(scanned); !slices.Equal(keys, scanned) {
		t.Errorf("region %s: KEYS shows %d keys, SCAN %d", r.Name, len(keys), len(scanned))
	}
	if size := c.Must("DBSIZE").Int(); size != int64(len(keys)) {
		t.Errorf("region %s: DBSIZE %d, KEYS shows %d", r.Name, size, len(keys))
	}
	for range 50 {
		keys = append(keys, c.Must("RANDOMKEY").Text)
	}
	for _, key := range keys {
		if strings.HasPrefix(key, MetadataPrefix) {
			t.Errorf("region %s: a client can see %q", r.Name, key)
			return
		}
	}
}
