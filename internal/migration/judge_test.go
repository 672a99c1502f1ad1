package migration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"anabranch/translate"
)

func planOf(line string) (*translate.Plan, [][]byte) {
	var args [][]byte
	for _, word := range strings.Fields(line) {
		args = append(args, []byte(word))
	}
	plan := translate.Classify(translate.Lookup(args[0]), args)
	return &plan, args
}

func TestOutcomesOfTwoCommands(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want Outcome
	}{
		{"SET k a", "SET k b", OneLost}, {"SET k a", "APPEND k b", OneLost}, {"SET k a EX 9", "SETEX k 9 b", OneLost}, {"MSET x 1 k 2", "SET k b", OneLost},
		{"SET k a", "SET other b", ""}, {"SET k a", "GET k", ""},
		{"SET k a NX", "SETNX k b", TakenTwice}, {"SET k a NX PX 9", "SET k b PX 9 NX", TakenTwice}, {"HSETNX k f 1", "HSETNX k f 2", TakenTwice}, {"HSETNX k f 1", "HSETNX k g 2", Merged},
		{"SET k a NX", "SET k b", OneLost},
		{"INCR k", "DECRBY k 3", Merged}, {"INCR k", "SET k 1", Merged}, {"HINCRBY k f 1", "HINCRBY k f 2", Merged},
		{"HSET k f 1", "HSET k f 2", OneLost}, {"HSET k f 1 g 2", "HSET k g 3", OneLost}, {"HSET k f 1", "HSET k g 2", Merged}, {"HSET k f 1", "HDEL k f", Survives}, {"HSET k f 1", "HDEL k g", Merged},
		{"ZADD k 1 m", "ZADD k 2 m", OneLost}, {"ZADD k CH XX 1 m", "ZADD k 2 m", OneLost}, {"ZADD k INCR 1 m", "ZINCRBY k 2 m", Merged}, {"ZADD k 1 m", "ZADD k 1 n", Merged},
		{"SADD k a", "SADD k a b", Merged}, {"SADD k a", "SREM k a", Survives}, {"SADD k a", "SREM k b", Merged}, {"SPOP k", "SPOP k", PopTwice},
		{"RPUSH k a", "LPUSH k b", Merged}, {"LPOP k", "RPOP k", PopTwice}, {"LPOP k", "RPUSH k a", Merged}, {"LSET k 0 a", "LSET k 0 b", OneLost}, {"XADD k * f v", "XADD k * f v", Merged},
		{"DEL k", "SET k a", Survives}, {"DEL x k", "UNLINK k", Merged}, {"DEL k", "SADD k a", Survives}, {"EXPIRE k 9", "PERSIST k", Longest}, {"EXPIRE k 9", "SET k a", Merged},
		{"SADD k a", "SET k a", TypeClash}, {"RPUSH k a", "HSET k f v", TypeClash}, {"PFADD k a", "PFADD k b", Merged}, {"SETBIT k 1 1", "SETBIT k 2 1", OneLost},
		{"EVAL x 1 k", "SET k a", Unsure}, {"SINTERSTORE k a b", "SINTERSTORE k c d", OneLost}, {"SINTERSTORE x k b", "SADD k c", ""}, {"GEOADD k 1 2 m", "ZADD k 3 m", OneLost},
	} {
		for _, flip := range []bool{false, true} {
			a, b := test.a, test.b
			if flip {
				a, b = b, a
			}
			if got := met(a, b); got != test.want {
				t.Errorf("%s and %s: %q, want %q", a, b, got, test.want)
			}
		}
	}
}

// met is what two commands of two regions come to, "" for nothing.
func met(a, b string) Outcome {
	r := NewRehearsal(RehearsalConfig{Region: "A", Window: time.Second})
	for region, line := range map[string]string{"A": a, "B": b} {
		plan, args := planOf(line)
		_, list := decode(encode(region, footprints(plan, args, 0, 1000, func(uint64, []byte) {})))
		r.take(region, list)
	}
	worst := Outcome("")
	for outcome := range r.conflict {
		if worst == "" || gravity[outcome] > gravity[worst] {
			worst = outcome
		}
	}
	return worst
}

// Only writes of two regions within the window count, and memory is bounded.
func TestTheRehearsalForgets(t *testing.T) {
	r := NewRehearsal(RehearsalConfig{Region: "A", Window: 100 * time.Millisecond})
	write := func(region, key string, at int64) {
		plan, args := planOf("SET " + key + " v")
		r.take(region, footprints(plan, args, 0, at, func(uint64, []byte) {}))
	}
	write("A", "k", 1000)
	write("A", "k", 1010)
	write("B", "k", 1101)
	if found := r.Conflicts(); found.Met != 1 || found.Lossy != 1 {
		t.Errorf("within the window: %+v", found)
	}
	write("B", "k", 1300)
	if found := r.Conflicts(); found.Met != 1 || found.Writes != 4 {
		t.Errorf("after it: %+v", found)
	}
	for i := range 300_000 {
		write("B", fmt.Sprint(i), 1400)
	}
	if found := r.Conflicts(); len(r.order) > maxRecent || found.Unseen == 0 {
		t.Errorf("%d are kept, %d unseen", len(r.order), found.Unseen)
	}
	write("B", "late", 1400+10_000)
	if len(r.order) != 1 || len(r.recent) != 1 {
		t.Errorf("%d and %d are kept for ever", len(r.order), len(r.recent))
	}
}

func TestRefusedCommandsAreCountedWithTheirReason(t *testing.T) {
	tally := NewTally(translate.New(""), func(*translate.Plan, [][]byte) string { return "" })
	for _, line := range []string{"SWAPDB 1 2", "swapdb 1 3", "SET k v", "GET k", "GET", "GET crdt:log", "NOSUCH secret", "SETNX k v", "CONFIG GET x", "SYNC"} {
		_, args := planOf(line)
		tally.Passed(args)
	}
	text := fmt.Sprint(tally.Refused())
	for _, want := range []string{"{SWAPDB ERR 'swapdb' is not available through Anabranch", " 2}", "{GET ERR key names starting with 'crdt:' are reserved 1}", "{NOSUCH unknown command 1}", "{SYNC "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "secret") {
		t.Errorf("an argument of a client: %s", text)
	}
	if all, writes := tally.Totals(); all != 10 || writes != 2 {
		t.Errorf("%d commands, %d writes", all, writes)
	}
	if notices := tally.Notices(); len(notices) != 1 || notices[0].Commands[0] != "SETNX" {
		t.Errorf("%v", notices)
	}
}
