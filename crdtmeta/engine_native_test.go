package crdtmeta_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"

	"pgregory.net/rapid"
)

// A region that is alone must be a plain Redis: the same commands give the same replies and the same data. And a peer
// that takes its log must get that data, for every command that writes.
func TestOneRegionAloneIsRedis(t *testing.T) {
	nodes := startNodes(t, 2)
	plain := redistest.Start(t)
	redis := &node{id: 9, server: plain, conn: redistest.Dial(t, plain.Addr)}
	templates := readTemplates(t, "testdata/commands.txt")
	checkHistories(t, 100, func(rt *rapid.T) {
		for _, n := range nodes {
			n.reset(rt)
		}
		redis.db = -1
		redis.do(rt, "FLUSHALL")
		for _, words := range rapid.SliceOfN(fill(templates), rapid.SampledFrom([]int{1, 20, 60}).Draw(rt, "length"), 200).Draw(rt, "commands") {
			db := 0
			if words[0] == "@1" {
				db, words = 1, words[1:]
			}
			redis.pick(rt, db)
			want, err := redis.conn.Try(words...)
			if err != nil {
				rt.Fatal(err)
			}
			got, entry := nodes[0].call(rt, db, words)
			rt.Logf("db%d %s -> %v  [%s]", db, history.Quote(words), got[0], entry.effects())
			if a, b := comparable(words, want), comparable(words, got[0]); a != b {
				rt.Fatalf("%s\nRedis replies  %s\nthe engine     %s", history.Quote(words), a, b)
			}
			requireSame(rt, "Redis", redis, "the region", nodes[0], 2000)
		}
		nodes[1].apply(rt, nodes[0].origin, 0, nodes[0].log...)
		requireSame(rt, "the region", nodes[0], "its peer", nodes[1], 0)
		for _, n := range nodes {
			keys, companions := n.names(rt)
			n.checkCount(rt, companions)
			for _, db := range databases {
				// Companions are not counted, and RANDOMKEY never answers with one.
				replies, _ := n.call(rt, db, []string{"DBSIZE"}, []string{"RANDOMKEY"})
				if replies[0].Int() != int64(len(keys[db])) {
					rt.Fatalf("DBSIZE says %v of %q", replies[0], keys[db])
				}
				if random := replies[1]; random.Null != (len(keys[db]) == 0) || !random.Null && !slices.Contains(keys[db], random.Text) {
					rt.Fatalf("RANDOMKEY says %v of %q", random, keys[db])
				}
			}
		}
	})
}

// readTemplates reads commands with placeholders: one a line, # for comments.
func readTemplates(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var list [][]string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 0 && words[0] != "#" {
			list = append(list, words)
		}
	}
	return list
}

// placeholders are drawn anew for every use.
var placeholders = map[string][]string{
	"<key>":   {"k", "l", "{k}m", "n}"},
	"<el>":    {"a", "b", "c\x00", ""},
	"<value>": {"x", "10", "-3", "3.5", "", "\xff\x00y"},
	"<int>":   {"1", "-1", "5", "-7", "9007199254740993", "4611686018427387904"},
	"<float>": {"0.5", "-1.25", "3", "1e2", "0.1"},
	"<id>":    {"1-1", "1-2", "2-70", "3-5", "4-5", "5-18446744073709551615"},
	"<score>": {"1", "2", "-1.5", "3", "0.1", "inf", "-inf"},
	"<empty>": {""},
	"<lon>":   {"2.35", "13.4", "-0.12"},
	"<lat>":   {"48.85", "52.5", "51.5"},
	// Serialized: the string 12, a set of 1, 2, 3, a hash f v, a sorted set a 1, a HyperLogLog, a list.
	"<dump>": {
		"\x00\xc0\x0c\x0a\x00\x3c\x2a\xf8\x51\x5c\x04\xbc\xd5",
		"\x0b\x0e\x02\x00\x00\x00\x03\x00\x00\x00\x01\x00\x02\x00\x03\x00\x0a\x00\xa5\x02\x5c\xe2\x6d\x6e\x4d\x1b",
		"\x10\x0d\x0d\x00\x00\x00\x02\x00\x81\x66\x02\x81\x76\x02\xff\x0a\x00\x20\xf1\x3d\x44\x23\x54\x08\x9d",
		"\x11\x0c\x0c\x00\x00\x00\x02\x00\x81\x61\x02\x01\x01\xff\x0a\x00\xa8\x05\xce\xb8\xd7\xa9\x33\x02",
		"\x00\x15\x48\x59\x4c\x4c\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x71\xa6\x84\x4e\x57\x0a\x00\x66\x31\xff\x02\x36\x8d\x32\x34",
		"\x12\x01\x02\x0d\x0d\x00\x00\x00\x02\x00\x81\x61\x02\x81\x62\x02\xff\x0a\x00\x68\xeb\x0a\x89\x13\x41\xbb\xb1",
	},
}

// fill draws a command: a template with its placeholders filled in, now and then in database 1.
func fill(templates [][]string) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		var words []string
		if rapid.IntRange(0, 9).Draw(t, "database") == 9 {
			words = append(words, "@1")
		}
		// Rapid prefers small numbers; a large prime step spreads them over the table.
		at := rapid.IntRange(0, len(templates)-1).Draw(t, "template") * 7919 % len(templates)
		for _, word := range templates[at] {
			if choice := placeholders[word]; choice != nil {
				word = rapid.SampledFrom(choice).Draw(t, "word")
			}
			words = append(words, word)
		}
		return words
	})
}

// comparable is a reply without what the contract lets differ: digits for large integers, null for null arrays. Sets
// pop their members in an order of their own.
func comparable(words []string, r redistest.Reply) string {
	if n, err := strconv.ParseInt(r.Text, 10, 64); err == nil && (n >= 1<<53 || n <= -1<<53) {
		return r.Text
	}
	if r.Kind == '*' && !r.Null {
		parts := make([]string, len(r.Items))
		for i, item := range r.Items {
			parts[i] = comparable(nil, item)
		}
		if words != nil && words[0] == "SPOP" {
			slices.Sort(parts)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return r.String()
}

// names lists the user keys of each database, and counts our companions there.
func (n *node) names(f failer) (keys map[int][]string, companions map[int]int) {
	keys, companions = map[int][]string{}, map[int]int{}
	for _, db := range databases {
		n.pick(f, db)
		for _, name := range n.do(f, "KEYS", "*").Strings() {
			if rest, ours := strings.CutPrefix(name, "crdt:"); !ours {
				keys[db] = append(keys[db], name)
			} else if rest != "" && strings.ContainsAny(rest[:1], "012345") {
				companions[db]++
			}
		}
	}
	return keys, companions
}

// item is a key of any type in a comparable form.
type item struct {
	value    string
	deadline int64
}

func (n *node) items(f failer) map[string]item {
	f.Helper()
	items := map[string]item{}
	keys, _ := n.names(f)
	for db, names := range keys {
		n.pick(f, db)
		for _, name := range names {
			kind := n.do(f, "TYPE", name).Text
			read := map[string][]string{
				"string": {"GET", name}, "hash": {"HGETALL", name}, "set": {"SMEMBERS", name}, "list": {"LRANGE", name, "0", "-1"},
				"zset": {"ZRANGE", name, "0", "-1", "WITHSCORES"}, "stream": {"XRANGE", name, "-", "+"},
			}[kind]
			reply := n.do(f, read...)
			value := fmt.Sprintf("%q", reply.Text)
			if registers, valid := redistest.Registers(reply.Text); valid {
				value = fmt.Sprint("registers ", registers)
			}
			switch elements := reply.Strings(); kind {
			case "hash":
				value = fmt.Sprintf("%q", pairs(elements)) // fmt sorts maps
			case "set":
				slices.Sort(elements)
				value = fmt.Sprintf("%q", elements)
			case "list", "zset":
				value = fmt.Sprintf("%q", elements)
			}
			if kind == "stream" {
				value = reply.String()
				for _, group := range n.do(f, "XINFO", "GROUPS", name).Items {
					value += " group " + group.Items[1].Text
				}
			}
			items[fmt.Sprintf("db%d %q", db, name)] = item{kind + " " + value, n.do(f, "PEXPIRETIME", name).Int()}
		}
	}
	return items
}

func requireSame(f failer, nameA string, a *node, nameB string, b *node, slackMillis int64) {
	f.Helper()
	left, right := a.items(f), b.items(f)
	all := maps.Clone(left)
	maps.Copy(all, right)
	for key := range all {
		l, inLeft := left[key]
		r, inRight := right[key]
		near := l.deadline-r.deadline <= slackMillis && r.deadline-l.deadline <= slackMillis
		if inLeft != inRight || l.value != r.value || !near || (l.deadline < 0) != (r.deadline < 0) {
			f.Fatalf("%s differs: %s %+v, %s %+v", key, nameA, l, nameB, r)
		}
	}
}
