package migration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"anabranch/internal/redistest"
)

// load is clients that write what can be counted afterwards: each id once, whatever happens on the way. They behave as client libraries
// do: a connection that breaks is made anew, and only what was certainly not executed is sent again.
type load struct {
	t    *testing.T
	name string

	mu    sync.Mutex
	proxy []*redistest.Proxy // that clients may use; the first that takes a connection is used

	acked, unknown, retried atomic.Int64 // writes; failed ones whose outcome is not known; certainly not executed and sent again
	sum, sumUnknown         atomic.Int64
	longest                 atomic.Int64 // ms between two acknowledgements of one client
	stop                    context.CancelFunc
	done                    sync.WaitGroup

	ids   sync.Map // id → true: acknowledged, false: unknown
	count atomic.Int64
}

func init() { logging.Disable() } // the load reports what happens to it

func startLoad(t *testing.T, name string, clients int, proxies ...*redistest.Proxy) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{t: t, name: name, proxy: proxies, stop: stop}
	for i := range clients {
		l.done.Go(func() { l.run(ctx, i) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	l.stop()
	l.done.Wait()
}

// awaitAcked waits until something was written.
func (l *load) awaitAcked() {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); l.acked.Load() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("load %s has written nothing within a minute", l.name)
		}
	}
}

// use sends clients elsewhere, from their next connection on.
func (l *load) use(proxies ...*redistest.Proxy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy = proxies
}

func (l *load) connect(i int) *redis.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.proxy[i%len(l.proxy)]
	return redis.NewClient(&redis.Options{
		Addr: p.Addr, Protocol: 2, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: 10 * time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// notExecuted knows errors after which a command may be sent again.
func notExecuted(err error) bool {
	text := err.Error()
	for _, sign := range []string{"connection refused", "LOADING", "READONLY", "NOREPLICAS", "pool timeout", "dial tcp", "CRDTHELD", "EXECABORT"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

func (l *load) run(ctx context.Context, i int) {
	client := l.connect(i)
	defer func() { client.Close() }()
	last := time.Now()
	for attempt := i; ctx.Err() == nil; {
		id := fmt.Sprintf("%s-%d-%d", l.name, i, l.count.Add(1))
		by := int64(rand.N(9) + 1)
		for ctx.Err() == nil {
			err := l.write(client, i, id, by)
			if err == nil {
				l.ids.Store(id, true)
				l.acked.Add(1)
				l.sum.Add(by)
				for gap := time.Since(last).Milliseconds(); gap > l.longest.Load(); {
					l.longest.Store(gap)
				}
				last = time.Now()
				break
			}
			attempt++
			client.Close()
			client = l.connect(attempt)
			if notExecuted(err) {
				l.retried.Add(1)
				time.Sleep(10 * time.Millisecond)
				continue
			}
			l.t.Logf("%s: outcome unknown: %v", id, err)
			l.ids.Store(id, false)
			l.unknown.Add(1)
			l.sumUnknown.Add(by)
			break
		}
		time.Sleep(time.Duration(5+rand.N(10)) * time.Millisecond)
	}
}

// write is one transaction, so that an id stands for all of it.
func (l *load) write(client *redis.Client, i int, id string, by int64) error {
	ctx := context.Background()
	_, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.SAdd(ctx, "ids", id)
		p.IncrBy(ctx, "counter", by)
		p.HIncrBy(ctx, "hash", l.name, by)
		p.RPush(ctx, "list", id)
		p.ZIncrBy(ctx, "zset", float64(by), "m")
		p.Set(ctx, fmt.Sprintf("string:%d", i), id, time.Hour)
		p.Set(ctx, fmt.Sprintf("short:%d", i), id, 300*time.Millisecond)
		p.Set(ctx, fmt.Sprintf("short:%d", i), id, 0) // must not go when the time of the one before is over
		p.XAdd(ctx, &redis.XAddArgs{Stream: "stream", MaxLen: 100, Values: []any{"id", id}})
		p.PFAdd(ctx, "hll", id)
		return nil
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// check counts what is there.
func check(t *testing.T, conn *redistest.Conn, loads ...*load) {
	t.Helper()
	there := map[string]int{}
	for _, id := range conn.Must("SMEMBERS", "ids").Strings() {
		there[id]++
	}
	inList := map[string]int{}
	for _, id := range conn.Must("LRANGE", "list", "0", "-1").Strings() {
		inList[id]++
	}
	var sum, unknown int64
	for _, l := range loads {
		lost, doubled := 0, 0
		l.ids.Range(func(id, acked any) bool {
			n := inList[id.(string)]
			if acked.(bool) && (there[id.(string)] == 0 || n == 0) {
				lost++
			}
			if n > 1 {
				doubled++
			}
			return true
		})
		t.Logf("load %s: %d writes acknowledged, %d lost, %d doubled, %d failed with unknown outcome, %d sent again; longest pause %d ms",
			l.name, l.acked.Load(), lost, doubled, l.unknown.Load(), l.retried.Load(), l.longest.Load())
		if lost > 0 || doubled > 0 {
			t.Errorf("load %s: %d lost, %d doubled", l.name, lost, doubled)
		}
		if l.acked.Load() == 0 {
			t.Errorf("load %s has written nothing", l.name)
		}
		sum, unknown = sum+l.sum.Load(), unknown+l.sumUnknown.Load()
	}
	for _, command := range [][]string{{"GET", "counter"}, {"ZSCORE", "zset", "m"}} {
		var got int64
		fmt.Sscan(conn.Must(command...).Text, &got)
		if got < sum || got > sum+unknown {
			t.Errorf("%v is %d, acknowledged are %d, and %d unknown", command, got, sum, unknown)
		}
	}
	for i := range 4 {
		if conn.Must("EXISTS", fmt.Sprintf("short:%d", i)).Text != "1" {
			t.Errorf("short:%d is gone", i)
		}
	}
}

// check2 is check for loads that came later: sums count from what was there before, so ids alone tell.
func check2(t *testing.T, conn *redistest.Conn, loads ...*load) {
	t.Helper()
	inList := map[string]int{}
	for _, id := range conn.Must("LRANGE", "list", "0", "-1").Strings() {
		inList[id]++
	}
	for _, l := range loads {
		lost, doubled := 0, 0
		l.ids.Range(func(id, acked any) bool {
			if n := inList[id.(string)]; n > 1 {
				doubled++
			} else if n == 0 && acked.(bool) {
				lost++
			}
			return true
		})
		t.Logf("load %s: %d writes acknowledged, %d lost, %d doubled, %d failed with unknown outcome, %d sent again; longest pause %d ms",
			l.name, l.acked.Load(), lost, doubled, l.unknown.Load(), l.retried.Load(), l.longest.Load())
		if lost > 0 || doubled > 0 || l.acked.Load() == 0 {
			t.Errorf("load %s: %d acknowledged, %d lost, %d doubled", l.name, l.acked.Load(), lost, doubled)
		}
	}
}
