package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestAnotherProxyTakesOverTheLead(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	second := &testRegion{t: t, name: b.name, id: b.id, rdb: b.rdb, server: b.server, logs: b.logs, listen: ""}
	second.run(peersOf(b, regions), func(cfg *Config) { cfg.RunID = "run-second" })
	a.write("SET x 1")
	synced(t, a)
	eventually(t, "one leads", func() bool { return b.Leading() != second.Leading() })
	first, other := b, second
	if second.Leading() {
		first, other = second, b
	}
	first.stop()
	a.write("SET x 2")
	eventually(t, "the other leads", func() bool { return other.Leading() && b.get("x") == "2" })
}

func TestTwoLeadersAtOnceAreHarmless(t *testing.T) {
	regions := mesh(t, 2)
	a, b := regions[0], regions[1]
	// A second leader that holds a lease of its own, as after a long pause of the first one.
	second := &testRegion{t: t, name: b.name, id: b.id, rdb: b.rdb, server: b.server, logs: b.logs, listen: "", stop: func() {}}
	second.start(peersOf(b, regions), "crdt:lease2", func(cfg *Config) { cfg.RunID = "run-second" })
	eventually(t, "both lead", func() bool { return b.Leading() && second.Leading() })
	const writes = 500
	for range writes {
		a.write("INCR n", "SADD s x")
	}
	synced(t, a)
	if got := b.get("n"); got != fmt.Sprint(writes) {
		t.Errorf("n is %s, want %d", got, writes)
	}
}

func TestPausedProxyComesBackAfterItsLeaseWasTaken(t *testing.T) {
	r := newRegions(t, 1)[0]
	ctx := context.Background()
	first := lease{rdb: r.rdb, key: "crdt:lease", holder: "one", length: 200 * time.Millisecond}
	second := lease{rdb: r.rdb, key: "crdt:lease", holder: "two", length: 200 * time.Millisecond}
	for _, step := range []struct {
		lease lease
		want  bool
	}{{first, true}, {first, true}, {second, false}} {
		if ours, err := step.lease.take(ctx); err != nil || ours != step.want {
			t.Fatalf("%s: %v, %v", step.lease.holder, ours, err)
		}
	}
	time.Sleep(250 * time.Millisecond)
	if ours, err := second.take(ctx); err != nil || !ours {
		t.Fatalf("a lease that ran out: %v, %v", ours, err)
	}
	if ours, _ := first.take(ctx); ours {
		t.Error("the first holder renewed what is not its own any more")
	}
	_ = first.drop(ctx)
	if text := r.rdb.Get(ctx, "crdt:lease").Val(); !strings.HasPrefix(text, "two ") {
		t.Errorf("dropped the lease of another one: %q", text)
	}
}

// A clock that goes back by hours must not keep a dead leader in office for so long.
func TestLeaseOfADeadLeaderEndsThoughTheClockGoesBack(t *testing.T) {
	r := newRegions(t, 1)[0]
	ctx := context.Background()
	next := lease{rdb: r.rdb, key: "crdt:lease", holder: "next", length: 10 * time.Second}
	now := r.rdb.Time(ctx).Val().UnixMilli()
	for text, want := range map[string]bool{
		fmt.Sprintf("dead %d 3000", now+3*3600_000): true,
		fmt.Sprintf("dead %d 3000", now-1):          true,
		"dead":                                      true,
		fmt.Sprintf("alive %d 60000", now+50_000):   false,
	} {
		r.rdb.Set(ctx, "crdt:lease", text, 0)
		if ours, err := next.take(ctx); err != nil || ours != want {
			t.Errorf("lease %q: taken %v, %v", text, ours, err)
		}
	}
	if ttl := r.rdb.PTTL(ctx, "crdt:lease").Val(); ttl != -1 {
		t.Errorf("the lease has a TTL (%v), so it can be evicted", ttl)
	}
}

// A clock that was hours ahead when the lease was taken, and whose holder died then, leaves a lease that lasts for hours.
func TestALeaseFromBeforeTheClockWentBackIsTaken(t *testing.T) {
	r := newRegions(t, 1)[0]
	ctx := context.Background()
	if err := r.rdb.Set(ctx, "crdt:lease", "dead", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	next := lease{rdb: r.rdb, key: "crdt:lease", holder: "next", length: time.Second}
	if ours, err := next.take(ctx); err != nil || !ours {
		t.Errorf("the lease is not taken: %v, %v", ours, err)
	}
}

// keeper answers for a lock as it is told to.
type keeper struct {
	mu      sync.Mutex
	ours    bool
	err     error
	taken   int
	dropped int
}

func (k *keeper) Take(context.Context) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.taken++
	return k.ours, k.err
}

func (k *keeper) Drop(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dropped++
	return nil
}

func (k *keeper) set(ours bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ours, k.err = ours, err
}

// Who holds the lease asks for the lock too; nobody else does. Without an answer the lease decides alone.
func TestTheLockIsAskedForOnTopOfTheLease(t *testing.T) {
	r := newRegions(t, 1)[0]
	ctx := context.Background()
	lock := &keeper{}
	ours := lease{rdb: r.rdb, key: "crdt:lease", holder: "one", length: 3 * time.Second, lock: lock}
	other := lease{rdb: r.rdb, key: "crdt:lease", holder: "two", length: 3 * time.Second}
	if leads, err := ours.begin(ctx); leads || err != nil {
		t.Errorf("leads without the lock: %v, %v", leads, err)
	}
	if leads, err := other.begin(ctx); !leads || err != nil {
		t.Errorf("the lease is kept without the lock: %v, %v", leads, err)
	}
	lock.set(true, nil)
	asked := lock.taken
	if leads, _ := ours.begin(ctx); leads || lock.taken != asked {
		t.Errorf("leads without the lease: %v; asked for the lock %d times", leads, lock.taken-asked)
	}
	if err := other.drop(ctx); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []error{nil, errors.New("connection refused")} {
		lock.set(answer == nil, answer)
		if leads, err := ours.begin(ctx); !leads || err != nil {
			t.Errorf("with the lease, and the lock's keeper answering %v: %v, %v", answer, leads, err)
		}
	}
}

func TestALeaderThatLosesTheLockStopsAndGivesItUp(t *testing.T) {
	lock := &keeper{ours: true}
	r := mesh(t, 1, func(cfg *Config) { cfg.Lock = lock })[0]
	eventually(t, "it leads", r.Leading)
	lock.set(true, errors.New("connection refused"))
	time.Sleep(700 * time.Millisecond) // longer than the lease
	if !r.Leading() {
		t.Error("stopped leading although it holds the lease")
	}
	lock.set(false, nil)
	time.Sleep(700 * time.Millisecond)
	if !r.Leading() {
		t.Error("stopped leading at once, although whoever has the lock has no lease")
	}
	eventually(t, "it does not lead", func() bool { return !r.Leading() })
	eventually(t, "it gave the lock up", func() bool {
		lock.mu.Lock()
		defer lock.mu.Unlock()
		return lock.dropped > 0
	})
}
