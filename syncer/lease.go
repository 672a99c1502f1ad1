package syncer

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// lease is the key that makes one proxy of the region its leader. Two leaders at once, after a pause of a process or a
// fail-over of Redis, do double work and no harm: the engine checks every position.
type lease struct {
	rdb    *redis.Client
	key    string
	holder string // our run id
	length time.Duration
}

// A lease that got lost with Redis's memory is simply taken again. One that has longer to go than any lease lasts was taken before
// the server's clock went back: its holder, if it lives, renews it, and if not, nobody else would lead before that time comes again.
var leaseTake = newScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

var leaseDrop = newScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// take acquires or renews the lease and says whether it is ours.
func (l lease) take(ctx context.Context) (bool, error) {
	n, err := leaseTake.Run(ctx, l.rdb, []string{l.key}, l.holder, l.length.Milliseconds()).Int()
	return n == 1, err
}

// drop gives the lease up, so that another proxy need not wait for its end.
func (l lease) drop(ctx context.Context) error {
	return leaseDrop.Run(ctx, l.rdb, []string{l.key}, l.holder).Err()
}

// hold runs work while the lease is ours, again and again until ctx ends. The context of work ends when the lease is
// lost, or could not be renewed for its whole length; hold waits for work to return before it tries again.
func (l lease) hold(ctx context.Context, work func(context.Context), changed func(leading bool)) {
	interval := l.length / 3
	for ctx.Err() == nil {
		if ours, err := l.take(ctx); err == nil && ours {
			changed(true)
			l.lead(ctx, interval, work)
			changed(false)
		}
		sleep(ctx, interval)
	}
}

func (l lease) lead(ctx context.Context, interval time.Duration, work func(context.Context)) {
	leading, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends when work returns, which it does after cancel
		defer close(done)
		work(leading)
	}()
	for renewed := time.Now(); ctx.Err() == nil; {
		sleep(ctx, interval)
		attempt, stop := context.WithTimeout(ctx, interval)
		ours, err := l.take(attempt)
		stop()
		if err == nil && ours {
			renewed = time.Now()
		}
		if err == nil && !ours || time.Since(renewed) >= l.length {
			break
		}
	}
	cancel()
	<-done
	if ctx.Err() != nil {
		farewell, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		_ = l.drop(farewell) // if it fails, the lease runs out by itself
	}
}

// sleep waits, but not beyond the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
