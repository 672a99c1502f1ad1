package crdtmeta_test

import (
	"slices"
	"strconv"
	"strings"

	"anabranch/crdtmeta/model"
	"anabranch/crdtmeta/model/history"
	"anabranch/internal/redistest"
)

// databases are those that the histories use.
var databases = []int{0, 1}

// visible reads what clients can see, from Redis itself and not through the engine: database → key → value. It also
// counts the companion keys of each database.
func (n *node) visible(f failer) (map[int]map[string]model.Value, map[int]int) {
	f.Helper()
	data, companions := map[int]map[string]model.Value{}, map[int]int{}
	for _, db := range databases {
		n.pick(f, db)
		var names []string
		for _, name := range n.do(f, "KEYS", "*").Strings() {
			if rest, ours := strings.CutPrefix(name, "crdt:"); !ours {
				names = append(names, name)
			} else if rest != "" && strings.ContainsAny(rest[:1], "012345") {
				companions[db]++
			}
		}
		if len(names) > 0 {
			data[db] = n.values(f, names)
		}
	}
	return data, companions
}

func (n *node) values(f failer, names []string) map[string]model.Value {
	f.Helper()
	var questions [][]string
	for _, name := range names {
		questions = append(questions, []string{"TYPE", name}, []string{"PEXPIRETIME", name}, []string{"GET", name},
			[]string{"HGETALL", name}, []string{"SMEMBERS", name}, []string{"ZRANGE", name, "0", "-1", "WITHSCORES"},
			[]string{"LRANGE", name, "0", "-1"})
	}
	replies, err := n.conn.Pipeline(questions)
	if err != nil {
		f.Fatalf("region %d: %v", n.id, err)
	}
	values := map[string]model.Value{}
	for i, name := range names {
		values[name] = parseVisible(f, name, replies[7*i:7*i+7])
	}
	return values
}

func parseVisible(f failer, name string, r []redistest.Reply) model.Value {
	f.Helper()
	v := model.Value{}
	if deadline := r[1].Int(); deadline > 0 {
		v.Deadline = deadline
	}
	switch r[0].Text {
	case "string":
		v.Type, v.String = model.String, r[2].Text
		return v
	case "hash":
		v.Type, v.Elements = model.Hash, pairs(r[3].Strings())
	case "set":
		v.Type, v.Elements = model.Set, map[string]string{}
		for _, member := range r[4].Strings() {
			v.Elements[member] = ""
		}
	case "zset":
		v.Type, v.Elements = model.ZSet, pairs(r[5].Strings())
	case "list":
		v.Type, v.List = model.List, r[6].Strings()
	default:
		f.Fatalf("key %q has type %q", name, r[0].Text)
	}
	return v
}

func pairs(words []string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(words); i += 2 {
		m[words[i]] = words[i+1]
	}
	return m
}

// checkCount compares crdt:count with the companions that are there.
func (n *node) checkCount(f failer, companions map[int]int) {
	f.Helper()
	n.pick(f, 0)
	counted := pairs(n.do(f, "HGETALL", "crdt:count").Strings())
	for _, db := range databases {
		text := counted[strconv.Itoa(db)]
		if text == "" {
			text = "0"
		}
		if text != strconv.Itoa(companions[db]) {
			f.Fatalf("region %d: crdt:count says %q for database %d, but there are %d companions", n.id, text, db, companions[db])
		}
	}
}

// adopt writes a key past the engine, as an application did before the engine came.
func (n *node) adopt(f failer, db int, name string, v model.Value) {
	f.Helper()
	n.pick(f, db)
	switch v.Type {
	case model.String:
		n.do(f, "SET", name, v.String)
	case model.Hash:
		for field, value := range v.Elements {
			n.do(f, "HSET", name, field, value)
		}
	case model.Set:
		for member := range v.Elements {
			n.do(f, "SADD", name, member)
		}
	case model.ZSet:
		for member, score := range v.Elements {
			n.do(f, "ZADD", name, score, member)
		}
	case model.List:
		n.do(f, append([]string{"RPUSH", name}, v.List...)...)
	}
	if v.Deadline != 0 {
		n.do(f, "PEXPIREAT", name, strconv.FormatInt(v.Deadline, 10))
	}
}

// describe prints visible data in a stable order, one key a line.
func describe(data map[int]map[string]model.Value) string {
	var lines []string
	for db, keys := range data {
		for name, v := range keys {
			line := "  db" + strconv.Itoa(db) + " " + strconv.Quote(name) + " " + v.Type.String()
			if v.Type == model.String {
				line += " " + strconv.Quote(v.String)
			}
			var parts []string
			for element, value := range v.Elements {
				parts = append(parts, " "+strconv.Quote(element)+"="+strconv.Quote(value))
			}
			slices.Sort(parts)
			for _, value := range v.List {
				parts = append(parts, " "+strconv.Quote(value))
			}
			line += strings.Join(parts, "")
			if v.Deadline != 0 {
				line += " ttl=" + strconv.FormatInt(v.Deadline, 10)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	if len(lines) == 0 {
		return "  (nothing)"
	}
	return strings.Join(lines, "\n")
}

// parseWords reads a key's value in the words of a rule.
func parseWords(f failer, text string) model.Value {
	f.Helper()
	_, value := history.ParseValue(strings.Fields(text))
	return value
}
