package translate

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"anabranch/internal/redistest"
)

// optionWords are the options of the commands that read or write by their arguments, and words that can stand where an
// option takes a value. A wrong plan needs a strange order, so the test makes many.
var optionWords = map[string][]string{
	"SORT k": {
		"asc", "DESC", "ALPHA", "limit", "0", "1", "BY", "nosort", "GET", "#", "w_*", "STORE", "store", "a", "b", "COUNT",
	},
	"GEORADIUS g 1 2 500 km": {
		"WITHDIST", "ASC", "desc", "COUNT", "1", "ANY", "STORE", "store", "STOREDIST", "a", "b", "BY",
	},
	"GEORADIUSBYMEMBER g here 500 km": {
		"WITHHASH", "COUNT", "2", "STORE", "storedist", "STOREDIST", "a", "b", "GET",
	},
	"BITFIELD bits": {
		"GET", "get", "SET", "INCRBY", "OVERFLOW", "SAT", "u8", "u4", "0", "#1", "1",
	},
}

// TestDirectionIsTheServers runs random options on a real server: what is planned as a read must change nothing, and what
// is changed must be a key that EachKey called written.
func TestDirectionIsTheServers(t *testing.T) {
	server := redistest.Start(t).Client()
	prepare(t, server)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	changed := 0
	for start, words := range optionWords {
		for range 1500 {
			line := start
			for range random.IntN(7) {
				line += " " + words[random.IntN(len(words))]
			}
			args := splitLine(t, line)
			written := changes(t, server, args)
			changed += len(written)
			plan := Classify(Lookup(args[0]), args)
			if plan.Class == Read && len(written) > 0 {
				t.Errorf("seed %d: %s is planned as a read and changes %v", seed, line, written)
			}
			for _, key := range written {
				if !slices.Contains(writtenKeys(plan.Command, args), key) {
					t.Errorf("seed %d: %s changes %s unseen", seed, line, key)
				}
			}
		}
	}
	if changed < 100 {
		t.Errorf("seed %d: only %d changes in all", seed, changed)
	}
}

func prepare(t *testing.T, server *redis.Client) {
	t.Helper()
	for _, line := range []string{"RPUSH k 1 2 3", "GEOADD g 1 2 here 1.1 2.1 there", "SET bits abcdef"} {
		if err := server.Do(context.Background(), anys(splitLine(t, line))...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// changes runs a command and answers which keys it created or changed, in one round trip, and undoes the creation.
func changes(t *testing.T, server *redis.Client, args [][]byte) []string {
	t.Helper()
	ctx := context.Background()
	pipe := server.Pipeline()
	before := pipe.Info(ctx, "persistence")
	pipe.Do(ctx, anys(args)...)
	after := pipe.Info(ctx, "persistence")
	names := pipe.Keys(ctx, "*")
	_, _ = pipe.Exec(ctx) // most random options are syntax errors
	if before.Err() != nil || names.Err() != nil {
		t.Fatal(before.Err(), names.Err())
	}
	if dirty(before.Val()) == dirty(after.Val()) {
		return nil
	}
	var written []string
	for _, name := range names.Val() {
		if name != "k" && name != "g" && name != "bits" {
			written = append(written, name)
			server.Del(ctx, name)
		}
	}
	if written == nil {
		return []string{string(args[1])}
	}
	return written
}

func dirty(info string) string {
	_, rest, _ := strings.Cut(info, "rdb_changes_since_last_save:")
	count, _, _ := strings.Cut(rest, "\r\n")
	return count
}

func writtenKeys(cmd *Command, args [][]byte) []string {
	var names []string
	cmd.EachKey(args, func(position int, access Access) bool {
		if access&AccessWrite != 0 {
			names = append(names, string(args[position]))
		}
		return true
	})
	return names
}
