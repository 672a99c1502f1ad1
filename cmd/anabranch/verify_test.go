package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// regionFlags names every region of a cluster.
func regionFlags(c *redistest.Cluster, more ...string) []string {
	args := []string{"verify"}
	for _, region := range c.Regions {
		args = append(args, "--region", region.Name+"="+region.Proxy().Addr)
	}
	return append(args, more...)
}

// found reads what verify --json prints: the reasons by "db key", and the summary.
func found(t *testing.T, stdout string) (reasons map[string]jsonKey, summary jsonSummary) {
	t.Helper()
	reasons = map[string]jsonKey{}
	for line := range strings.Lines(stdout) {
		var key jsonKey
		if err := json.Unmarshal([]byte(line), &key); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if key.Kind == "summary" {
			if err := json.Unmarshal([]byte(line), &summary); err != nil {
				t.Fatal(err)
			}
			continue
		}
		name := fmt.Sprintf("%d %s", key.DB, key.Key)
		if _, twice := reasons[name]; twice {
			t.Errorf("%s is named twice", name)
		}
		reasons[name] = key
	}
	return reasons, summary
}

var verifyData = []string{
	"SET s v", "SET counter 7", "INCR counter", "HSET h f v g w", "SADD set a b c", "ZADD z 1 a 2.5 b", "RPUSH l a b c", "XADD x 1-1 f v",
	"XGROUP CREATE x group 0", "PFADD p a b c", "SET timed v EX 5000", "SET lost v", "SET again v", "HSET h2 f v",
}

// changed are writes past Anabranch to the first region's Redis.
var changed = map[string]struct{ command, reason string }{
	"0 s":       {"SET s other", "bypass write"},
	"0 timed":   {"PEXPIREAT timed 4102444800000", "bypass write"},
	"0 h":       {"PEXPIREAT h 4102444800000", "bypass write"},
	"0 l":       {"LSET l 0 x", "bypass write"},
	"0 z":       {"ZADD z 3 a", "bypass write"},
	"0 set":     {"SREM set a", "bypass write"},
	"0 x":       {"XGROUP DESTROY x group", "bypass write"},
	"0 p":       {"PFADD p d e f g", "bypass write"},
	"0 again":   {"LPUSH again x", "bypass write"}, // another type, see below
	"0 foreign": {"SET foreign v", "bypass write"},
	"0 lost":    {"DEL lost", "eviction"},
	"0 h2":      {"DEL h2", "eviction"},
}

func TestVerifyNamesEachDifferenceAndItsReason(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	conn := cluster.Region("A").Dial()
	for _, command := range verifyData {
		conn.Must(strings.Fields(command)...)
	}
	conn.Must("SELECT", "3")
	conn.Must("SET", "elsewhere", "v")
	cluster.Converge()
	code, stdout, stderr := call(t, regionFlags(cluster, "--json")...)
	if reasons, summary := found(t, stdout); code != exitOK || len(reasons) > 0 || summary.Keys != 13 {
		t.Fatalf("of equal regions: status %d, %s%s", code, stdout, stderr)
	}
	past := redistest.Dial(t, cluster.Region("A").Redis.Addr)
	past.Must("DEL", "again")
	for _, change := range changed {
		past.Must(strings.Fields(change.command)...)
	}
	// What one region has alone is found too, whichever it is.
	other := redistest.Dial(t, cluster.Region("C").Redis.Addr)
	other.Must("SELECT", "5")
	other.Must("SET", "\xffalone", "v")

	code, stdout, stderr = call(t, regionFlags(cluster, "--json")...)
	reasons, summary := found(t, stdout)
	if code != exitFailure || stderr != "" || len(reasons) != len(changed)+1 || summary.Undecided != 0 {
		t.Errorf("status %d, %d differences, want %d; %s", code, len(reasons), len(changed)+1, stderr)
	}
	for name, want := range changed {
		got := reasons[name]
		if got.Reason != want.reason || len(got.Regions) != 3 || got.Regions[1].Digest != got.Regions[2].Digest {
			t.Errorf("%s: %+v, want %s", name, got, want.reason)
		}
		if !strings.Contains(got.Detail, "region A") {
			t.Errorf("%s: %q does not name the region", name, got.Detail)
		}
	}
	if got := reasons["5 \ufffdalone"]; got.Reason != "bypass write" || got.Base64 != "/2Fsb25l" || got.Regions[0].Type != "none" || got.Regions[2].Type != "string" {
		t.Errorf("a key of region C: %+v", got)
	}
	code, stdout, _ = call(t, regionFlags(cluster)...)
	for _, want := range []string{`db0 "lost": eviction: region A has no data`, "13 keys differ (bypass write 11, eviction 2)", "absent"} {
		if code != exitFailure || !strings.Contains(stdout, want) {
			t.Errorf("in words: status %d, no %q in\n%s", code, want, stdout)
		}
	}
}

// Under load of every type, with keys that come, go and expire, nothing is called different.
func TestVerifyFindsNothingUnderLoad(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	var written [3]int
	for i, region := range cluster.Regions {
		conn := region.Dial()
		random := rand.New(rand.NewPCG(7, uint64(i)))
		writers.Go(func() {
			for ctx.Err() == nil {
				for range 20 {
					n := fmt.Sprint(random.IntN(300))
					v := fmt.Sprint(random.IntN(3))
					commands := [][]string{
						{"SET", "s" + n, v}, {"INCR", "c" + n}, {"HSET", "h" + n, v, n}, {"HDEL", "h" + n, v}, {"SADD", "set" + n, v},
						{"SREM", "set" + n, v}, {"ZINCRBY", "z" + n, "1", v}, {"RPUSH", "l" + n, v}, {"LPOP", "l" + n}, {"DEL", "s" + n, "l" + n},
						{"SET", "s" + n, v, "PX", "300"}, {"PFADD", "p" + n, v}, {"XADD", "x" + n, "*", "f", v}, {"PERSIST", "s" + n},
					}
					conn.Must(commands[random.IntN(len(commands))]...)
					written[i]++
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	for range 4 {
		time.Sleep(300 * time.Millisecond)
		code, stdout, stderr := call(t, regionFlags(cluster)...)
		if code != exitOK {
			t.Errorf("status %d: %s%s", code, stdout, stderr)
		}
	}
	stop()
	writers.Wait()
	if total := written[0] + written[1] + written[2]; total < 1000 {
		t.Errorf("only %d writes", total)
	}
	time.Sleep(400 * time.Millisecond) // deadlines pass
	cluster.Converge()
	cluster.RequireEqual(t)
}

// Effects that are held back are lag, not a difference; and the comparison says that it could not decide.
func TestVerifyTakesLagForNoDifference(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a := cluster.Region("A")
	a.Dial().Must("SET", "k", "old")
	cluster.Converge()
	cluster.PauseAll()
	a.Dial().Must("SET", "k", "new")
	code, stdout, stderr := call(t, regionFlags(cluster, "--patience", "500ms")...)
	if code != exitUsage || !strings.Contains(stdout, `db0 "k": undecided: effects are still on their way to region B`) || strings.Contains(stdout, "differ (") {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
	cluster.ResumeAll()
	if code, stdout, stderr := call(t, regionFlags(cluster)...); code != exitOK {
		t.Errorf("after the link is open again: status %d: %s%s", code, stdout, stderr)
	}
}

// Large values are compared in parts.
func TestVerifyComparesLargeValues(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	conn := cluster.Region("A").Dial()
	for from := 0; from < 20_000; from += 1000 {
		set, list := []string{"SADD", "set"}, []string{"RPUSH", "list"}
		for i := range 1000 {
			set, list = append(set, fmt.Sprint("member", from+i)), append(list, fmt.Sprint("element", from+i))
		}
		conn.Must(set...)
		conn.Must(list...)
	}
	conn.Must("SET", "string", strings.Repeat("0123456789", 500_000))
	cluster.Converge()
	if code, stdout, stderr := call(t, regionFlags(cluster)...); code != exitOK {
		t.Fatalf("status %d: %s%s", code, stdout, stderr)
	}
	past := redistest.Dial(t, cluster.Region("B").Redis.Addr)
	past.Must("SREM", "set", "member77")
	past.Must("LSET", "list", "19999", "other")
	past.Must("SETRANGE", "string", "4999999", "x")
	code, stdout, stderr := call(t, regionFlags(cluster, "--json")...)
	if reasons, _ := found(t, stdout); code != exitFailure || len(reasons) != 3 {
		t.Errorf("status %d: %s%s", code, stdout, stderr)
	}
}

func TestVerifyCannotCompareWithoutARegion(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	a := "A=" + cluster.Region("A").Proxy().Addr
	for _, args := range [][]string{
		{"--region", a}, {"--region", a, "--region", a}, {"--region", "x"}, {"--region", a, "--region", "B=" + redistest.FreeAddr(t)},
		{"--region", a, "--region", "B=redis://:wrong@" + cluster.Region("B").Proxy().Addr},
		{"--region", a, "--region", "B=" + cluster.Region("B").Redis.Addr}, // no proxy
		{"--rate", "-1"}, {"extra"},
	} {
		if code, stdout, stderr := call(t, append([]string{"verify"}, args...)...); code != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("%v: status %d, %q %q", args, code, stdout, stderr)
		}
	}
	if code, stdout, _ := call(t, "verify", "--help"); code != exitOK || !strings.Contains(stdout, "--region") {
		t.Errorf("--help: status %d, %q", code, stdout)
	}
}

// lines gathers what is printed, while it is printed.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(strings.Lines(l.text.String()))
}

func TestVerifyWatchNamesEachDifferenceOnce(t *testing.T) {
	cluster := redistest.StartCluster(t, 2)
	cluster.Region("A").Dial().Must("SET", "k", "v")
	cluster.Region("A").Dial().Must("SET", "l", "v")
	cluster.Converge()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out lines
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, regionFlags(cluster, "--watch", "--json"), &out, &out) }()
	past := redistest.Dial(t, cluster.Region("A").Redis.Addr)
	past.Must("SET", "k", "w")
	eventually(t, "the first difference is named", func() bool { return len(out.all()) == 1 })
	past.Must("SET", "l", "w")
	eventually(t, "the second difference is named", func() bool { return len(out.all()) == 2 })
	time.Sleep(2500 * time.Millisecond) // two more comparisons
	if got := out.all(); len(got) != 2 || !strings.Contains(got[0], `"key":"k"`) || !strings.Contains(got[1], `"key":"l"`) {
		t.Errorf("printed %q", got)
	}
	cluster.Region("A").Dial().Must("SET", "k", "healed")
	time.Sleep(2500 * time.Millisecond)
	past.Must("SET", "k", "again")
	eventually(t, "what differs anew is named anew", func() bool { return len(out.all()) == 3 })
	stop()
	if code := <-ended; code != exitFailure {
		t.Errorf("status %d", code)
	}
}
