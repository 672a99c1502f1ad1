package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// engine calls the library in the region's Redis.
type engine struct {
	rdb    *redis.Client
	prefix string        // of companions
	slow   chan struct{} // calls at work that may take long
}

func newEngine(rdb *redis.Client, prefix string) engine {
	return engine{rdb, prefix, make(chan struct{}, slowCalls)}
}

// slowCalls leave some of the client's few connections to those that are quick.
const slowCalls = 2

// patience is how long a call about the state of whole keys may take. One key is one step, and of a million elements with metadata, which takes
// some fifteen seconds, that is a long one; whoever gives up sooner begins it again and again.
const patience = time.Minute

// patient is such a call. It returns when ctx ends, whether or not Redis has answered.
func (e engine) patient(ctx context.Context, args ...any) *redis.Cmd {
	failed := redis.NewCmd(ctx, args...)
	select {
	case e.slow <- struct{}{}:
	case <-ctx.Done():
		failed.SetErr(ctx.Err())
		return failed
	}
	answer := make(chan *redis.Cmd, 1)
	go func() { // ends with the call, or patience
		defer func() { <-e.slow }()
		answer <- e.rdb.WithTimeout(patience).Do(ctx, args...)
	}()
	select {
	case cmd := <-answer:
		return cmd
	case <-ctx.Done():
		failed.SetErr(ctx.Err())
		return failed
	}
}

// busy says that Redis may be at work on such a call.
func (e engine) busy() bool { return len(e.slow) > 0 }

// apply hands entries of one origin to the engine, in order. The whole call is one atomic step.
func (e engine) apply(ctx context.Context, origin crdtmeta.Origin, position crdtmeta.Time, entries []entry) (reply, error) {
	args := make([]any, 0, 5+3*len(entries))
	args = append(args, "FCALL", crdtmeta.FuncApply, 0, origin.String(), position.String())
	for _, entry := range entries {
		var err error
		if args, err = e.appendEntry(args, entry); err != nil {
			return reply{}, err
		}
	}
	values, err := e.rdb.Do(ctx, args...).Slice()
	if err != nil {
		return reply{}, err
	}
	return parseReply(values, len(entries))
}

// appendEntry appends an entry as the engine takes it: id, body, and its runs.
func (e engine) appendEntry(args []any, entry entry) ([]any, error) {
	args = append(args, entry.t.ID(), entry.packed(), 0)
	count := len(args) - 1
	runs := 0
	for list := entry.body[len(entry.body)-entry.runs:]; len(list) > 0; runs++ {
		run, rest, ok := cutRun(list)
		if !ok {
			return nil, fmt.Errorf("%w: runs of entry %s", errReply, entry.t.ID())
		}
		if err := crdtmeta.CheckRun(e.prefix, run); err != nil {
			return nil, fmt.Errorf("%w: entry %s: %w", errReply, entry.t.ID(), err)
		}
		args = append(args, run)
		list = rest
	}
	args[count] = runs
	return args, nil
}

// expire turns due TTLs into DEL effects and answers how many were due.
func (e engine) expire(ctx context.Context, limit int) (int, error) {
	return e.rdb.Do(ctx, "FCALL", crdtmeta.FuncExpire, 0, limit).Int()
}

// hold keeps clients from writing; "" lets them go on. self is the epoch for which the caller has found that out, and more what the end of
// quarantine says besides.
func (e engine) hold(ctx context.Context, self crdtmeta.Origin, why string, more ...any) error {
	answer, err := e.rdb.Do(ctx, append([]any{"FCALL", crdtmeta.FuncHold, 0, self.String(), why}, more...)...).Text()
	if err == nil && answer == mergeEpoch {
		err = errOwnEpoch
	}
	return err
}

// reenter lets clients go on after quarantine. If the region ever wrote something, the log up to a time goes in the same step, and
// everybody is told that it has.
func (e engine) reenter(ctx context.Context, self crdtmeta.Origin, upto crdtmeta.Time, wrote bool) error {
	if wrote {
		return e.hold(ctx, self, "", upto.String())
	}
	return e.hold(ctx, self, "", upto.String(), "keep")
}

// renew has a new epoch begun, unless it has begun already: later is one of this region that only others have seen.
func (e engine) renew(ctx context.Context, later crdtmeta.Origin) error {
	return e.rdb.Do(ctx, "FCALL", crdtmeta.FuncRenew, 0, later.String()).Err()
}

// alive is the leader's sign of life.
func (e engine) alive(ctx context.Context) error {
	return e.rdb.Do(ctx, "FCALL", crdtmeta.FuncAlive, 0).Err()
}

// info reads what the engine says of itself: names and values.
func (e engine) info(ctx context.Context) (map[string]string, error) {
	values, err := e.rdb.Do(ctx, "FCALL", crdtmeta.FuncInfo, 0).Slice()
	if err != nil {
		return nil, err
	}
	info := make(map[string]string, len(values)/2)
	for i := 0; i+1 < len(values); i += 2 {
		info[fmt.Sprint(values[i])] = fmt.Sprint(values[i+1])
	}
	return info, nil
}

// collect removes the metadata of keys that every region has seen, as known from a look in the epoch self. It answers for each key where
// to go on.
func (e engine) collect(ctx context.Context, self crdtmeta.Origin, known look, keys []keyAt) ([]string, error) {
	args := make([]any, 0, 6+3*len(keys))
	args = append(args, "FCALL", crdtmeta.FuncCollect, 0, self.String(), known.effects.AppendMsgpack(nil), known.until.String())
	for _, key := range keys {
		db, name, _ := strings.Cut(key.name, ":")
		args = append(args, db, name, key.cursor)
	}
	cursors, err := e.rdb.Do(ctx, args...).StringSlice()
	if err == nil && len(cursors) == 0 && len(keys) > 0 {
		err = errOwnEpoch
	} else if err == nil && len(cursors) != len(keys) {
		err = fmt.Errorf("%w: %d answers for %d keys", errReply, len(cursors), len(keys))
	}
	return cursors, err
}

// weigh estimates how many bytes of metadata wait for collection, from the sizes of some.
func (e engine) weigh(ctx context.Context, draws int) (bytes int64, err error) {
	n, err := e.rdb.Do(ctx, "FCALL", crdtmeta.FuncWeigh, 0, draws).Int64Slice()
	if err == nil && len(n) != 4 {
		err = fmt.Errorf("%w: a weight of %d parts", errReply, len(n))
	}
	if err != nil {
		return 0, err
	}
	total, drawn, weight, names := n[0], n[1], n[2], n[3]
	return names + int64(float64(weight)*float64(total)/float64(max(1, drawn))), nil
}

// keyState is what a region has of one key, in the engine's own form.
type keyState struct {
	db    string
	key   string
	state string
}

// states reads what the region has of the first of these keys, some that together have about limit bytes, and the vector of all
// that it has seen. It fails with errOwnEpoch when the region is not in the epoch self any more.
func (e engine) states(ctx context.Context, self crdtmeta.Origin, limit int, keys []keyState) (vector string, first []keyState, err error) {
	args := make([]any, 0, 5+2*len(keys))
	args = append(args, "FCALL", crdtmeta.FuncStates, 0, self.String(), limit)
	for _, key := range keys {
		args = append(args, key.db, key.key)
	}
	replies, err := e.patient(ctx, args...).StringSlice()
	if err == nil && len(replies) == 0 {
		err = errOwnEpoch
	}
	if err != nil {
		return "", nil, err
	}
	if len(replies) < 2 || len(replies) > len(keys)+1 {
		return "", nil, fmt.Errorf("%w: %d states of %d keys", errReply, len(replies)-1, len(keys))
	}
	for i, state := range replies[1:] {
		keys[i].state = state
	}
	return replies[0], keys[:len(replies)-1], nil
}

// position is where the region stands in the epoch self, for a region that has merged all of it.
func (e engine) position(ctx context.Context, self crdtmeta.Origin) (string, error) {
	replies, err := e.rdb.Do(ctx, "FCALL", crdtmeta.FuncStates, 0, self.String(), 1).StringSlice()
	switch {
	case err == nil && len(replies) == 0:
		err = errOwnEpoch
	case err == nil && len(replies) != 1:
		err = fmt.Errorf("%w: a position of %d parts", errReply, len(replies))
	}
	if err != nil {
		return "", err
	}
	return replies[0], nil
}

// The answers of the engine to a merge. With any other one nothing was done, and it says why.
const (
	mergeTaken = "ok"
	mergeEpoch = "epoch" // the region is not in the epoch self any more
	mergeOver  = "over"  // a later epoch of region from is known than it was in
	mergeAnew  = "anew"  // what had been merged may have been taken back since
)

// merge joins keys with their states in region from, whose vector is theirs. progress is kept in the same step; "" ends the
// merge at the position upto.
func (e engine) merge(ctx context.Context, self crdtmeta.Origin, from int, mode, progress, upto, theirs string, keys []keyState) (answer string, err error) {
	args := make([]any, 0, 9+3*len(keys))
	args = append(args, "FCALL", crdtmeta.FuncMerge, 0, self.String(), from, mode, progress, upto, theirs)
	for _, key := range keys {
		args = append(args, key.db, key.key, key.state)
	}
	return e.patient(ctx, args...).Text()
}

// state reads the value and metadata of a key in the engine's own form.
func (e engine) state(ctx context.Context, db int64, key []byte) ([]byte, error) {
	text, err := e.rdb.Do(ctx, "FCALL", crdtmeta.FuncState, 0, db, key).Text()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return []byte(text), err
}

// refill gives a key back the values that the entry of origin at t needs.
func (e engine) refill(ctx context.Context, db int64, key, state []byte, origin crdtmeta.Origin, t crdtmeta.Time) error {
	return e.rdb.Do(ctx, "FCALL", crdtmeta.FuncRefill, 0, db, key, state, origin.String(), t.String()).Err()
}

// failure says what a failed call means for the entries that wait.
type failure int

const (
	failureLater     failure = iota // Redis cannot now: wait
	failureUnarmed                  // arm, then again
	failureMemory                   // Redis is full: wait
	failureNotMaster                // a replica, or not enough replicas: wait for the right server
	failureEngine                   // the engine itself failed: an error in it or in the entry
)

func (f failure) String() string {
	return [...]string{"redis does not answer", "engine is not armed", "redis is out of memory", "redis takes no writes", "engine error"}[f]
}

// stallText is what the status says of a link that waits for that.
func stallText(why failure, err error) string { return why.String() + ": " + plain(err) }

// classify reads an error of a call. Errors without a text of Redis are those of the network.
func classify(err error) failure {
	var said redis.Error
	if !errors.As(err, &said) {
		if errors.Is(err, errReply) {
			return failureEngine
		}
		return failureLater
	}
	text := said.Error()
	switch {
	case strings.HasPrefix(text, "CRDTTAKEOVER"), strings.HasPrefix(text, "ERR Function not found"):
		return failureUnarmed
	case strings.HasPrefix(text, "OOM"):
		return failureMemory
	case strings.HasPrefix(text, "READONLY"), strings.HasPrefix(text, "NOREPLICAS"), strings.HasPrefix(text, "MISCONF"):
		return failureNotMaster
	case strings.HasPrefix(text, "LOADING"), strings.HasPrefix(text, "BUSY"), strings.HasPrefix(text, "MASTERDOWN"),
		strings.HasPrefix(text, "TRYAGAIN"), strings.HasPrefix(text, "CLUSTERDOWN"):
		return failureLater
	}
	return failureEngine
}
