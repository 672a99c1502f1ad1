package crdtmeta_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"anabranch/crdtmeta"

	"github.com/vmihailenco/msgpack/v5"
)

// checkFormats reads every companion by docs/engine.md, section 2, and asks the engine to explain every key, which must
// change nothing.
func (n *node) checkFormats(f failer) {
	f.Helper()
	for _, db := range databases {
		n.pick(f, db)
		var keys []string
		for _, name := range n.do(f, "KEYS", "*").Strings() {
			rest, ours := strings.CutPrefix(name, "crdt:")
			if !ours {
				keys = append(keys, name)
				continue
			}
			if rest == "" || !strings.ContainsAny(rest[:1], "012345") {
				continue
			}
			switch kind := n.do(f, "TYPE", name).Text; kind {
			case "string":
				checkRecord(f, name, n.do(f, "GET", name).Text)
			case "hash":
				checkCompanionHash(f, name, pairs(n.do(f, "HGETALL", name).Strings()))
			case "list":
				n.checkPlaces(f, name)
			default:
				f.Fatalf("companion %q has type %s", name, kind)
			}
		}
		before := n.do(f, "DEBUG", "DIGEST").Text
		for _, key := range append(keys, "a key that is not there") {
			replies, entry := n.call(f, db, []string{"XCRDT.EXPLAIN", key})
			if replies[0].Kind != '$' || entry != nil {
				f.Fatalf("EXPLAIN %q answers %v and logs %v", key, replies[0], entry)
			}
		}
		if n.do(f, "DEBUG", "DIGEST").Text != before {
			f.Fatalf("region %d: EXPLAIN changed something", n.id)
		}
	}
}

func checkCompanionHash(f failer, name string, fields map[string]string) {
	f.Helper()
	if _, found := fields[""]; !found {
		f.Fatalf("companion %q has no record", name)
	}
	for field, value := range fields {
		switch {
		case field == "":
			if value != "" {
				checkRecord(f, name, value)
			}
		case field[0] == 'n':
			if _, err := crdtmeta.ParseOrigin(field[1:]); err != nil {
				f.Fatalf("companion %q, field %q: %v", name, field, err)
			}
			if _, err := crdtmeta.ParseTime(value); err != nil {
				f.Fatalf("companion %q, field %q: %v", name, field, err)
			}
		case strings.ContainsAny(field[:1], "shzloxp"):
			checkRecord(f, name+" "+field, value)
		default:
			f.Fatalf("companion %q has field %q", name, field)
		}
	}
}

// checkRecord reads a record or a cell.
func checkRecord(f failer, name, value string) {
	f.Helper()
	d := msgpack.NewDecoder(bytes.NewReader([]byte(value)))
	var values []any
	for {
		v, err := d.DecodeInterface()
		if err != nil {
			break
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		f.Fatalf("record %q of %q is no msgpack", value, name)
	}
	switch kind := fmt.Sprint(values[0]); {
	case (kind == "1" || kind == "3") && len(values) == 4:
		origin, isText := values[1].(string)
		if _, err := crdtmeta.ParseOrigin(origin); !isText || err != nil && origin != "" {
			f.Fatalf("record %v of %q: %v", values, name, err)
		}
	case kind == "2" && len(values) == 2:
		fields, isMap := values[1].(map[string]any)
		if empty, isList := values[1].([]any); isList && len(empty) == 0 {
			return // how Lua packs an empty table
		}
		if !isMap {
			f.Fatalf("record %v of %q", values, name)
		}
		for field := range fields {
			if !slices.Contains([]string{"w", "s", "x", "T", "y", "c", "b", "r", "q", "d", "g", "l", "m", "k", "p", "e", "j", "z", "v"}, field) {
				f.Fatalf("record %v of %q has %q", values, name, field)
			}
		}
	default:
		f.Fatalf("record %v of %q", values, name)
	}
}

// What an applied batch touched is named in its record, so that a peer can be served from it and garbage can be found.
func TestFrontierRecordsNameTheirKeys(t *testing.T) {
	nodes := regions(t, 2)
	a, b := nodes[0], nodes[1]
	a.call(t, 0, []string{"SET", "k", "v"}, []string{"SADD", "s\x00{}", "m"}, []string{"DEL", "k"})
	a.call(t, 1, []string{"HSET", "h", "f", "v"})
	b.apply(t, a.origin, 0, a.log...)
	b.pick(t, 0)
	newest := b.do(t, "XREVRANGE", "crdt:log", "+", "-", "COUNT", "1").Items[0].Items[1].Strings()
	fields := pairs(newest)
	header, err := crdtmeta.DecodeHeader([]byte(fields["b"]))
	if err != nil || header.Kind != crdtmeta.KindRecord {
		t.Fatalf("the newest entry is %q: %v", newest, err)
	}
	frontier, err := crdtmeta.ParseFrontier(pairs(b.do(t, "HGETALL", "crdt:frontier").Strings()))
	if err != nil || !header.Frontier.CoversAll(frontier) || !frontier.CoversAll(header.Frontier) {
		t.Errorf("the record says %v, the region %v (%v)", header.Frontier, frontier, err)
	}
	var list []any
	if err := msgpack.Unmarshal([]byte(fields["k"]), &list); err != nil {
		t.Fatal(err)
	}
	var touched []string
	for i := 0; i < len(list); i += 2 {
		for _, name := range list[i+1].([]any) {
			touched = append(touched, fmt.Sprintf("%v:%v", list[i], name))
		}
	}
	slices.Sort(touched)
	if want := []string{"0:k", "0:s\x00{}", "1:h"}; !slices.Equal(touched, want) {
		t.Errorf("touched %q, want %q", touched, want)
	}
}
