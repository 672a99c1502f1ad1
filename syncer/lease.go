package syncer

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// lease is the key that makes one proxy of the region its leader. Two leaders at once, after a pause of a process or a
// fail-over of Redis, do double work and no harm: the engine checks every position.
//
// The key has no time to live, since Redis may evict keys that have one, those that end soonest first. It says itself until when it
// holds: the holder, that time by Redis's clock in ms, and the length, with a blank between.
type lease struct {
	rdb    *redis.Client
	key    string
	holder string // our run id
	length time.Duration
	lock   Lock // nil without

	barred func(ctx context.Context) bool // this proxy may not lead now; nil: it always may
	busy   func() bool                    // Redis may be at work for long on a call of ours; nil: it never is
}

// Lock is what a proxy must hold besides the lease in order to lead, as long as its keeper answers. Its methods are called by one
// goroutine at a time.
type Lock interface {
	// Take acquires or renews it, and says whether it is ours. An error means that the keeper cannot be asked.
	Take(ctx context.Context) (bool, error)
	// Drop gives it up, if it is ours.
	Drop(ctx context.Context) error
}

// A lease that got lost with Redis's memory is simply taken again. One that ends later than it can was taken before Redis's
// clock went back: waiting for its end could take hours.
var leaseTake = newScript(leaseRead + `
local ends = now + ARGV[2]
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. string.format('%.0f', ends) .. ' ' .. ARGV[2])
return 1`)

var leaseDrop = newScript(leaseRead + `
if holder == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

// leaseRead finds out who holds the lease now.
const leaseRead = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local holder, until_, length = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+) (%d+)$')
if holder and (tonumber(until_) <= now or tonumber(until_) > now + length) then holder = nil end`

// take acquires or renews the lease and says whether it is ours.
func (l lease) take(ctx context.Context) (bool, error) {
	n, err := leaseTake.Run(ctx, l.rdb, []string{l.key}, l.holder, l.length.Milliseconds()).Int()
	return n == 1, err
}

// drop gives the lease up, so that another proxy need not wait for its end.
func (l lease) drop(ctx context.Context) error {
	return leaseDrop.Run(ctx, l.rdb, []string{l.key}, l.holder).Err()
}

// begin takes the lease, and then the lock, where there is one. In this order nobody asks for the lock while somebody else leads; so
// when its keeper is gone, the leader stays the leader by its lease, and when the keeper is back, nobody gets in between.
func (l lease) begin(ctx context.Context) (bool, error) {
	if l.barred != nil && l.barred(ctx) {
		return false, nil
	}
	ours, err := l.take(ctx)
	if err == nil && ours && !l.locked(ctx) {
		return false, l.drop(ctx)
	}
	return ours, err
}

// locked says whether the lock does not keep us from leading: it is ours, there is none, or its keeper cannot be asked.
func (l lease) locked(ctx context.Context) bool {
	if l.lock == nil {
		return true
	}
	asking, cancel := context.WithTimeout(ctx, l.length/6)
	defer cancel()
	ours, err := l.lock.Take(asking)
	return ours || err != nil
}

// lockPatience is for how many lengths of the lease a leader goes on while another one has the lock. Who has it without the lease is
// most likely gone, and has not been missed by its keeper yet.
const lockPatience = 10

// giveUp lets another proxy take over at once. What cannot be given up runs out by itself.
func (l lease) giveUp(ctx context.Context) {
	farewell, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer stop()
	if ctx.Err() != nil {
		_ = l.drop(farewell)
	}
	if l.lock != nil {
		_ = l.lock.Drop(farewell)
	}
}

// hold runs work while the lease is ours, again and again until ctx ends. The context of work ends when the lease is
// lost, or could not be renewed for its whole length; hold waits for work to return before it tries again.
func (l lease) hold(ctx context.Context, work func(context.Context), changed func(leading bool)) {
	interval := l.length / 3
	for ctx.Err() == nil {
		if ours, err := l.begin(ctx); err == nil && ours {
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
	for heard, renewed, locked := time.Now(), time.Now(), time.Now(); ctx.Err() == nil; {
		sleep(ctx, interval)
		attempt, stop := context.WithTimeout(ctx, interval)
		ours, err := l.take(attempt)
		if err == nil && ours && l.locked(attempt) {
			locked = time.Now()
		}
		stop()
		late := timedOut(err)
		if !late {
			heard = time.Now()
		}
		// Where Redis takes no writes at all, nobody else can have taken the lease either; nor, most likely, where it is at work on a call of ours.
		atWork := late && l.busy != nil && l.busy() && time.Since(heard) < patience
		if err == nil && ours || refusesAll(err) || atWork {
			renewed = time.Now()
		}
		if err == nil && !ours || time.Since(renewed) >= l.length {
			break
		}
		if l.barred != nil && l.barred(ctx) {
			_ = l.drop(ctx) // or it runs out
			break
		}
		if err == nil && time.Since(locked) >= lockPatience*l.length {
			_ = l.drop(ctx) // or it runs out
			break
		}
	}
	cancel()
	<-done
	l.giveUp(ctx)
}

// refusesAll knows the errors with which the right server refuses every write for a while.
func refusesAll(err error) bool {
	var said redis.Error
	if !errors.As(err, &said) {
		return false
	}
	for _, code := range []string{"MISCONF ", "NOREPLICAS ", "BUSY "} {
		if strings.HasPrefix(said.Error(), code) {
			return true
		}
	}
	return false
}

// unanswered says that Redis may be at work on something else.
func unanswered(err error) bool { return refusesAll(err) || timedOut(err) }

// timedOut says that nothing was heard in time, not even that nobody is there.
func timedOut(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout() || errors.Is(err, redis.ErrPoolTimeout)
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
