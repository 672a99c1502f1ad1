package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tidwall "github.com/tidwall/resp"

	"anabranch/crdtmeta"
)

// errMalformed means that a region does not answer as this version of Anabranch does.
var errMalformed = errors.New("does not answer as this version of Anabranch does")

func (r *region) malformed(what string) error {
	return fmt.Errorf("region %s: %s: %w", r.Name, what, errMalformed)
}

// databases lists those in which there are keys.
func (r *region) databases(ctx context.Context) ([]int, error) {
	reply, err := r.do(ctx, 0, "INFO", "keyspace")
	if err != nil {
		return nil, err
	}
	var dbs []int
	for line := range strings.Lines(reply.String()) {
		name, _, found := strings.Cut(line, ":")
		if number, isDB := strings.CutPrefix(name, "db"); found && isDB {
			if db, err := strconv.Atoi(number); err == nil {
				dbs = append(dbs, db)
			}
		}
	}
	return dbs, nil
}

// scan is one step through the names of a database.
func (r *region) scan(ctx context.Context, db int, cursor string) (names []string, next string, err error) {
	reply, err := r.do(ctx, db, "SCAN", cursor, "COUNT", strconv.Itoa(2*pageKeys))
	if err != nil {
		return nil, "", err
	}
	parts := reply.Array()
	if len(parts) != 2 {
		return nil, "", r.malformed("SCAN")
	}
	return texts(parts[1]), parts[0].String(), nil
}

// lacks says whether some of the keys are missing.
func (r *region) lacks(ctx context.Context, db int, names []string) (bool, error) {
	reply, err := r.do(ctx, db, append([]string{"EXISTS"}, names...)...)
	return reply.Integer() < len(names), err
}

// page is what a region answers to CRDT DIGEST PAGE.
type page struct {
	hash  string
	done  int // keys that it got to
	large string
}

func (r *region) page(ctx context.Context, db int, names []string) (p page, err error) {
	reply, err := r.do(ctx, db, append([]string{"CRDT", "DIGEST", "PAGE"}, names...)...)
	if err != nil {
		return p, err
	}
	parts := texts(reply)
	if len(parts) != 3 {
		return p, r.malformed("CRDT DIGEST PAGE")
	}
	p.hash, p.large = parts[0], parts[2]
	if p.done, err = strconv.Atoi(parts[1]); err != nil || p.done < 1 || p.done > len(names) {
		return p, r.malformed("CRDT DIGEST PAGE")
	}
	return p, nil
}

// looks asks for each key what the region shows and knows of it. It may answer for the first ones only, at least for one.
func (r *region) looks(ctx context.Context, db int, names []string) ([]look, error) {
	reply, err := r.do(ctx, db, append([]string{"CRDT", "DIGEST", "KEYS"}, names...)...)
	if err != nil {
		return nil, err
	}
	parts := reply.Array()
	if len(parts) < 3 || len(parts) > len(names)+2 {
		return nil, r.malformed("CRDT DIGEST KEYS")
	}
	now, err := strconv.ParseInt(parts[0].String(), 10, 64)
	if err != nil {
		return nil, r.malformed("CRDT DIGEST KEYS")
	}
	flat, hash := texts(parts[1]), map[string]string{}
	for i := 0; i+1 < len(flat); i += 2 {
		hash[flat[i]] = flat[i+1]
	}
	frontier, err := crdtmeta.ParseFrontier(hash)
	if err != nil {
		return nil, fmt.Errorf("region %s: %w", r.Name, err)
	}
	looks := make([]look, 0, len(parts)-2)
	for _, part := range parts[2:] {
		f := texts(part)
		if len(f) != 8 {
			return nil, r.malformed("CRDT DIGEST KEYS")
		}
		deadline, err := strconv.ParseInt(f[5], 10, 64)
		if err != nil {
			return nil, r.malformed("CRDT DIGEST KEYS")
		}
		looks = append(looks, look{
			state: state(f[0]), head: f[1], sums: f[2], token: f[3], stamps: f[4], deadline: deadline, kind: f[6], remark: remark(f[7]),
			now: now, begin: frontier, end: frontier, whole: f[0] != string(large),
		})
	}
	return looks, nil
}

// deepLook reads a large value in parts. The look is whole only if nothing has changed the value meanwhile.
func (r *region) deepLook(ctx context.Context, db int, name string) (look, error) {
	before, err := r.looks(ctx, db, []string{name})
	if err != nil || before[0].state != large {
		return single(before), err
	}
	var sum sums
	for cursor := "0"; ; {
		reply, err := r.do(ctx, db, "CRDT", "DIGEST", cursor, name)
		if err != nil {
			return look{}, err
		}
		parts := texts(reply)
		if len(parts) != 2 || !sum.add(parts[1]) {
			return look{}, r.malformed("CRDT DIGEST")
		}
		if cursor = parts[0]; cursor == "0" {
			break
		}
	}
	after, err := r.looks(ctx, db, []string{name})
	if err != nil {
		return look{}, err
	}
	l := after[0]
	l.begin = before[0].end
	// While a large value is read, an element may come twice when Redis rearranges it; then their number is wrong.
	l.whole = l.state == large && l.token == before[0].token && l.sums == strconv.FormatUint(sum[0], 10)
	l.sums = sum.String()
	return l, nil
}

func single(looks []look) look {
	if len(looks) == 0 {
		return look{}
	}
	return looks[0]
}

// sums is a number of elements, and twice 48 bits of the sum of their hashes.
type sums [3]uint64

const modulus = 1 << 48

func (s *sums) add(text string) bool {
	parts := strings.Split(text, ":")
	if len(parts) != len(s) {
		return false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 48)
		if err != nil {
			return false
		}
		s[i] = (s[i] + n) % modulus
	}
	return true
}

func (s *sums) String() string { return fmt.Sprintf("%d:%d:%d", s[0], s[1], s[2]) }

func texts(reply tidwall.Value) []string {
	items := reply.Array()
	list := make([]string, len(items))
	for i := range items {
		list[i] = items[i].String()
	}
	return list
}

// union merges sorted lists of databases.
func union(lists [][]int) []int {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}
