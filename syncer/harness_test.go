package syncer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/crdtmeta"
	"anabranch/internal/redistest"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) { redistest.NoLeaks(m) }

// testRegion is a Redis with the engine in it, and one proxy's syncer.
type testRegion struct {
	t      testing.TB
	name   string
	id     int
	server *redistest.Server
	rdb    *redis.Client
	listen string
	logs   *testLog
	copyOf string // see FuncArm
	trust  string // the same

	*Syncer
	stop func()
}

var regionNames = []string{"alpha", "beta", "gamma", "delta"}

// newRegions starts n Redis servers and arms them. No syncer runs yet.
func newRegions(t testing.TB, n int) []*testRegion { return newRegionsWith(t, n) }

func newRegionsWith(t testing.TB, n int, opts ...redistest.Option) []*testRegion {
	t.Helper()
	regions := unarmed(t, n, opts...)
	for _, r := range regions {
		if err := r.arm(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	return regions
}

// unarmed starts Redis servers that Anabranch does not know yet.
func unarmed(t testing.TB, n int, opts ...redistest.Option) []*testRegion {
	t.Helper()
	regions := make([]*testRegion, n)
	for i := range regions {
		server := redistest.Start(t, opts...)
		r := &testRegion{
			t: t, name: regionNames[i], id: i + 1, server: server, rdb: server.Client(),
			listen: "127.0.0.1:" + strconv.Itoa(redistest.FreePort(t)), logs: &testLog{t: t, name: regionNames[i]}, stop: func() {},
		}
		t.Cleanup(r.logs.end)
		regions[i] = r
	}
	return regions
}

// mesh starts n regions that know each other.
func mesh(t testing.TB, n int, change ...func(*Config)) []*testRegion {
	t.Helper()
	regions := newRegions(t, n)
	for _, r := range regions {
		r.run(peersOf(r, regions), change...)
	}
	return regions
}

func peersOf(self *testRegion, all []*testRegion) map[string][]string {
	peers := map[string][]string{}
	for _, r := range all {
		if r != self {
			peers[r.name] = []string{r.listen}
		}
	}
	return peers
}

// arm loads and arms the engine, as the proxy's backend does.
func (r *testRegion) arm(ctx context.Context) error {
	library, err := crdtmeta.Library(crdtmeta.DefaultPrefix)
	if err != nil {
		return err
	}
	info, err := r.rdb.Info(ctx, "server", "replication").Result()
	if err != nil {
		return err
	}
	// Loading it anew would disarm it, under the writes of a test that has just found it armed.
	if err := r.rdb.FunctionLoad(ctx, library).Err(); err != nil && !strings.Contains(err.Error(), "already exists") {
		return err
	}
	return r.rdb.Do(ctx, "FCALL", crdtmeta.FuncArm, 0, r.id, r.name, 0, fmt.Sprintf("%06x", rand.N(1<<24)),
		infoField(info, "run_id"), infoField(info, "master_replid"), "", "", r.trust, r.copyOf).Err()
}

func infoField(info, name string) string {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// config has short times, so that tests are quick.
func (r *testRegion) config(peers map[string][]string) Config {
	return Config{
		Region: Region{Name: r.name, ID: r.id}, RunID: "run-" + r.name, Redis: r.rdb, Peers: peers, PeerListen: r.listen,
		Arm: r.arm, Log: zerolog.New(r.logs).With().Timestamp().Logger(),
		LeaseTime: 600 * time.Millisecond, BeatInterval: 100 * time.Millisecond, SilenceLimit: 2 * time.Second,
		RetryMin: 10 * time.Millisecond, RetryMax: 200 * time.Millisecond, StatusInterval: 100 * time.Millisecond,
		TrimInterval: 100 * time.Millisecond, RelayAfter: 500 * time.Millisecond,
	}
}

// run starts the syncer. It is stopped when the test ends, or by r.stop.
func (r *testRegion) run(peers map[string][]string, change ...func(*Config)) {
	r.t.Helper()
	r.start(peers, "", change...)
}

// start can give the syncer a lease of its own.
func (r *testRegion) start(peers map[string][]string, lease string, change ...func(*Config)) {
	r.t.Helper()
	cfg := r.config(peers)
	for _, f := range change {
		f(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Syncer = s
	if lease != "" {
		s.keys.lease = lease
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with r.stop
		defer close(done)
		if err := s.Run(ctx); err != nil && ctx.Err() == nil {
			r.t.Errorf("%s: %v", r.name, err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	r.t.Cleanup(r.stop)
}

// write runs commands, each a call of its own, and fails the test on an error.
func (r *testRegion) write(commands ...string) {
	r.t.Helper()
	if err := r.tryWrite(commands...); err != nil {
		r.t.Fatalf("%s: %v", r.name, err)
	}
}

func (r *testRegion) tryWrite(commands ...string) error {
	for _, command := range commands {
		words := strings.Fields(command)
		args := []any{"FCALL", crdtmeta.FuncWrite, 0, 0, len(words)}
		for _, word := range words {
			args = append(args, word)
		}
		replies, err := r.rdb.Do(context.Background(), args...).Slice()
		if err != nil {
			return err
		}
		if failed, bad := replies[0].(error); bad {
			return failed
		}
	}
	return nil
}

// armedWrite runs a command and says whether it did. If not, it arms the engine.
func (r *testRegion) armedWrite(command string) bool {
	if r.tryWrite(command) == nil {
		return true
	}
	_ = r.arm(context.Background())
	return false
}

func (r *testRegion) get(key string) string {
	value, _ := r.rdb.Get(context.Background(), key).Result()
	return value
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	within(t, 15*time.Second, what, holds)
}

// within waits for so long at most.
func within(t testing.TB, d time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
	}
}

// synced waits until every peer of these regions has applied what they have logged.
func synced(t testing.TB, regions ...*testRegion) {
	t.Helper()
	for _, r := range regions {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		want := len(r.peers())
		n, err := r.Wait(ctx, want, 15*time.Second)
		cancel()
		if err != nil || n != want {
			for _, other := range regions {
				status, _ := other.PeerStatuses(context.Background())
				t.Logf("%s: %+v", other.name, status)
			}
			t.Fatalf("%s: %d regions have applied its log, want %d: %v", r.name, n, want, err)
		}
	}
}

// testLog gives log lines to the test, and keeps them for looking at. It stays quiet after the end of the test.
type testLog struct {
	mu    sync.Mutex
	t     testing.TB
	name  string
	lines []string
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	if l.t != nil {
		l.t.Logf("%s %s", l.name, strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}

// count is the number of lines that contain all of these.
func (l *testLog) count(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
}

// clear forgets what was logged so far.
func (l *testLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = nil
}

// forgetRefusals has them logged once more.
func (r *testRegion) forgetRefusals() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.refused)
}
