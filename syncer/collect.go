package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// collector removes metadata that every region has seen. It follows the log of this region, which names each key that
// changed, some minutes behind: the work is proportional to what was written, and what is written all the time waits until it
// rests. Names of entries that are trimmed sooner, and keys that need another look later, lie in crdt:gc.
//
//	log entry ──(stable for the period of grace)──► visit of its keys ──► nothing left to keep
//	    │ trimmed before                               │ large, or not everything is known yet
//	    └────────────────► crdt:gc ◄───────────────────┘
type collector struct {
	*leader
	looks     []look               // oldest first
	large     map[string]*largeKey // by the name in crdt:gc
	waits     heldBack
	weight    heldWeight        // of what waits for them
	apart     []string          // ids of regions in quarantine, in order, when what is stable was last computed
	announced map[string]string // what they had announced then (announced.go)
	own       crdtmeta.Origin   // in force when the looks were taken
	caughtUp  crdtmeta.Frontier // when all vectors of merged keys were last gone through
	settledAt atomic.Int64      // own time up to which all is collected, or being collected

	whole   sync.RWMutex // held during a merge of everything, and for reading while it is decided whether one is due
	wholes  atomic.Int64 // such that have begun, on each connection, or are over
	moved   atomic.Int64 // when one last brought keys, or this process began: Unix time in ns
	holding sync.Mutex   // held while this region puts itself into quarantine

	mu     sync.Mutex    // guards cursor, and what moves it
	begun  bool          // cursor is known
	cursor crdtmeta.Time // entries up to here were visited, or their keys are in crdt:gc
	saved  string        // what crdt:collected says of it
	count  int           // entries read at once; follows their size
}

// look is what the region had recorded at a moment.
type look struct {
	until   crdtmeta.Time     // its own time, which every later entry is above
	effects crdtmeta.Frontier // newest effects of each origin
	stable  time.Time         // when it was first seen that every region has all of it; zero before
}

// largeKey has so many cells that going through all of them must be worth it.
type largeKey struct {
	mentions int // entries that changed it since it was last gone through
	last     time.Time
}

const (
	maxLooks     = 512 // while nothing becomes stable, looks are thinned out
	collectRead  = 500 // names of crdt:gc read at once
	collectVisit = 200 // keys in one engine call
	collectDuty  = 1   // for each ms of a call, so many ms of rest
	largeShare   = 4   // a large key is visited when a quarter of its cells may go
	cursorField  = "cursor"
	insist       = "0" // a large key, too
	unlessLarge  = ""
)

func newCollector(l *leader) *collector {
	c := &collector{leader: l, large: map[string]*largeKey{}}
	c.moved.Store(time.Now().UnixNano())
	return c
}

// wholeIdle is how long no merge of everything has brought any keys.
func (c *collector) wholeIdle() time.Duration { return time.Since(time.Unix(0, c.moved.Load())) }

// run is the task of the leader.
func (c *collector) run(ctx context.Context) {
	c.every(ctx, c.cfg.CollectInterval, func(ctx context.Context) error {
		if begun, err := c.begin(ctx); !begun {
			return err
		}
		err := c.collect(ctx)
		if err != nil && classify(err) == failureUnarmed {
			return c.armed.run(ctx)
		}
		return err
	})
}

// begin finds the cursor, unless it is known. begun is false while there is no log. The log is never trimmed past the cursor; where it was trimmed
// before there was one, nobody knows the names any more, and all companions are looked at.
func (c *collector) begin(ctx context.Context) (begun bool, err error) {
	if _, begun := c.reached(); begun {
		return true, nil
	}
	info, err := c.region.history(ctx)
	if err != nil || info.origin.IsZero() {
		return false, err
	}
	cursor, saved := crdtmeta.Time(0), ""
	if copied, err := c.cfg.Redis.Exists(ctx, c.keys.sweep).Result(); err != nil {
		return false, err
	} else if copied > 0 {
		if err := c.sweep(ctx, info.last); err != nil {
			return false, err
		}
		if err := c.cfg.Redis.Del(ctx, c.keys.sweep).Err(); err != nil {
			return false, err
		}
	}
	switch saved, err = c.cfg.Redis.HGet(ctx, c.keys.collected, cursorField).Result(); {
	case err == nil:
		if cursor, err = crdtmeta.ParseTime(saved); err != nil {
			return false, fmt.Errorf("%s: %w", c.keys.collected, err)
		}
	case !errors.Is(err, redis.Nil):
		return false, err
	case !info.whole:
		if err := c.sweep(ctx, info.last); err != nil {
			return false, err
		}
		cursor = info.last
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor, c.saved, c.begun = cursor, saved, true
	return true, nil
}

// collect is one round.
func (c *collector) collect(ctx context.Context) error {
	if err := c.lookAround(ctx); err != nil {
		return err
	}
	known, ok := c.settled(time.Now())
	if !ok {
		return nil
	}
	if published, err := c.publishCollected(ctx, known.effects); !published {
		return err
	}
	c.settledAt.Store(int64(known.until))
	if err := c.visitLog(ctx, known); err != nil {
		return err
	}
	if err := c.visitNoted(ctx, known); err != nil {
		return err
	}
	return c.catchUp(ctx, known)
}

// vectorsDropped is how many vectors of crdt:ahead a call of the engine looks at, at least.
const vectorsDropped = 100

// catchUp has those dropped that the frontier covers: the log does so as it goes, but it may be at rest.
func (c *collector) catchUp(ctx context.Context, known look) error {
	left, err := c.cfg.Redis.HLen(ctx, c.keys.ahead).Result()
	if err != nil || left == 0 {
		return err
	}
	frontier, err := c.region.frontier(ctx)
	if err != nil || maps.Equal(frontier, c.caughtUp) {
		return err
	}
	for ; left > 0 && ctx.Err() == nil; left -= vectorsDropped {
		began := time.Now()
		if _, err := c.engine.collect(ctx, c.own, known, nil); err != nil {
			return err
		}
		sleep(ctx, collectDuty*time.Since(began))
	}
	c.caughtUp = frontier
	return ctx.Err()
}

// lookAround takes another look, and finds out which of all looks have become stable.
func (c *collector) lookAround(ctx context.Context) error {
	newest, own, err := c.look(ctx)
	if err != nil {
		return err
	}
	if c.own != own {
		c.own, c.looks = own, nil // they may be of a past that the region's Redis does not have any more
		c.settledAt.Store(0)
	}
	stable, err := c.stable(ctx, own, c.oldestUnstable(newest))
	if err != nil {
		return err
	}
	if n := len(c.looks); n > 0 && c.looks[n-1].effects.CoversAll(newest.effects) && newest.effects.CoversAll(c.looks[n-1].effects) {
		c.looks[n-1].until = newest.until // nothing has happened
	} else {
		c.looks = append(c.looks, newest)
	}
	now := time.Now()
	for i := range c.looks {
		switch all := stable.CoversAll(c.looks[i].effects); {
		case !all:
			c.looks[i].stable = time.Time{} // a region that had all of it may have lost some
		case c.looks[i].stable.IsZero():
			c.looks[i].stable = now
		}
	}
	if len(c.looks) > maxLooks {
		c.looks = thinnedOut(c.looks)
	}
	return nil
}

// look tells what is recorded at this moment, and the origin in force.
func (c *collector) look(ctx context.Context) (l look, own crdtmeta.Origin, err error) {
	info, err := c.engine.info(ctx)
	if err != nil {
		return l, own, err
	}
	if own, err = crdtmeta.ParseOrigin(info["origin"]); err != nil {
		return l, own, fmt.Errorf("%w: %w", errReply, err)
	}
	var last, effect, now crdtmeta.Time
	for name, t := range map[string]*crdtmeta.Time{"last_t": &last, "last_effect": &effect, "now_ms": &now} {
		if *t, err = crdtmeta.ParseTime(info[name]); err != nil {
			return l, own, fmt.Errorf("%w: %s: %w", errReply, name, err)
		}
	}
	l.until = max(last, crdtmeta.TimeAt(int64(now))-1)
	// Read after the time, so that nothing from before it is missing.
	if l.effects, _, err = c.region.newest(ctx); err != nil {
		return l, own, err
	}
	l.effects[own] = effect
	return l, own, nil
}

// thinnedOut leaves out every other look.
func thinnedOut(looks []look) []look {
	kept := looks[:0]
	for i := range looks {
		if i%2 == 1 || i == len(looks)-1 {
			kept = append(kept, looks[i])
		}
	}
	return kept
}

// settled is the newest look that has been stable for the period of grace. Older ones are of no use then.
func (c *collector) settled(now time.Time) (look, bool) {
	for i := len(c.looks) - 1; i >= 0; i-- {
		if at := c.looks[i].stable; !at.IsZero() && now.Sub(at) >= c.cfg.Grace {
			c.looks = c.looks[i:]
			return c.looks[0], true
		}
	}
	return look{}, false
}

// stable is what all regions are known to have seen. It also notes who has not seen what has waited longest.
func (c *collector) stable(ctx context.Context, own crdtmeta.Origin, oldest crdtmeta.Frontier) (crdtmeta.Frontier, error) {
	frontier, err := c.region.frontier(ctx)
	if err != nil {
		return nil, err
	}
	contexts, err := c.region.contexts(ctx)
	if err != nil {
		return nil, err
	}
	known, err := c.membership(ctx)
	if err != nil {
		return nil, err
	}
	if c.announced, err = c.region.announced(ctx); err != nil {
		return nil, err
	}
	if c.apart, err = c.quarantine(ctx, known, frontier); err != nil {
		return nil, err
	}
	// Meanwhile nothing else is taken from others, which is no fault of theirs.
	merging, err := c.cfg.Redis.HExists(ctx, c.keys.merges, allField).Result()
	if err != nil {
		return nil, err
	}
	var others []int
	for _, name := range c.peerNames() {
		id := known.ids[name]
		left := slices.Contains(c.apart, formatID(id))
		if id == 0 || unheard(c.announced, id, frontier) {
			id = neverMet
		}
		if !left {
			others = append(others, id)
		}
		alone := crdtmeta.Stable(own, []int{id}, frontier, contexts)
		// Nobody waits for one in quarantine, and when it is let in again its time begins anew.
		c.waits.note(name, left || merging || alone.CoversAll(oldest), time.Now())
	}
	for _, id := range c.removedIDs() {
		if !c.settledRemoval(id, frontier) {
			others = append(others, id)
		}
	}
	return crdtmeta.Stable(own, others, frontier, contexts), nil
}

// oldestUnstable is what has waited longest for somebody to see it. A new leader knows of nothing but the newest.
func (c *collector) oldestUnstable(newest look) crdtmeta.Frontier {
	if len(c.looks) == 0 {
		return newest.effects
	}
	for i := range c.looks {
		if c.looks[i].stable.IsZero() {
			return c.looks[i].effects
		}
	}
	return nil
}

// neverMet is an id that no region has.
const neverMet = -1

// publishCollected keeps the vector of all that may be collected from now on: what it covers has no metadata any more. It answers
// false when a region was let in again meanwhile.
func (c *collector) publishCollected(ctx context.Context, effects crdtmeta.Frontier) (published bool, err error) {
	args := append([]any{strings.Join(c.apart, " "), sortedAnnounced(c.announced)}, vectorArgs(effects)...)
	done, err := collectedPublish.Run(ctx, c.cfg.Redis, []string{c.keys.collected, c.keys.quarantined}, args...).Int()
	return done == 1, err
}

// moveCursor moves it from where we know it to be. A Redis that came back from an old snapshot has it elsewhere.
var moveCursor = newScript(`
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`)

var errCursor = errors.New("how far collection has come is to be found out")

// hashSet is HSET that runs also when memory is short, which is when collection is needed most.
var hashSet = newScript(`return redis.call('HSET', KEYS[1], unpack(ARGV))`)

// visitLog visits the keys of all entries that are settled.
func (c *collector) visitLog(ctx context.Context, known look) error {
	return c.walk(ctx, known.until, func(keys map[string]int, _ crdtmeta.Time) error { return c.visit(ctx, known, keys) })
}

// makeWay is called before the log is trimmed up to cut: what was not visited yet is noted.
func (c *collector) makeWay(ctx context.Context, cut crdtmeta.Time) error {
	if begun, err := c.begin(ctx); !begun {
		return cmp.Or(err, errCursor)
	}
	return c.walk(ctx, cut, func(keys map[string]int, last crdtmeta.Time) error { return c.noteKeys(ctx, keys, last) })
}

// reached is how far the log was visited or noted; begun is false while that is not known.
func (c *collector) reached() (cursor crdtmeta.Time, begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursor, c.begun
}

// walk calls f with the keys of the entries behind the cursor up to a time, piece by piece: name in crdt:gc → how many
// entries changed it, none of them after last. The cursor follows. Two walks may take turns.
func (c *collector) walk(ctx context.Context, until crdtmeta.Time, f func(keys map[string]int, last crdtmeta.Time) error) error {
	for done := false; !done; {
		var err error
		if done, err = c.step(ctx, until, f); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// step is one piece of a walk.
func (c *collector) step(ctx context.Context, until crdtmeta.Time, f func(keys map[string]int, last crdtmeta.Time) error) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		return false, errCursor
	}
	if ctx.Err() != nil || c.cursor >= until { // should the cursor be elsewhere by now, cutLog finds out
		return true, nil
	}
	changed, err := c.changedKeys(ctx, c.cursor, until, c.count)
	if err != nil {
		return false, err
	}
	c.count = changed.next
	if err := f(changed.keys, changed.last); err != nil {
		return false, err
	}
	moved, err := moveCursor.Run(ctx, c.cfg.Redis, []string{c.keys.collected}, cursorField, c.saved, changed.last.String()).Int()
	if err != nil || moved == 0 {
		c.begun = false
		return false, cmp.Or(err, errCursor)
	}
	c.cursor, c.saved = changed.last, changed.last.String()
	return changed.last == until, nil
}

// changedKeys is what a stretch of the log says of keys.
type changedKeys struct {
	keys map[string]int // name in crdt:gc → how many entries changed it
	last crdtmeta.Time  // no entry of the stretch is after it, and none up to it is left out
	next int            // entries that the next stretch may have: so many as have readBytesGoal bytes
}

// changedKeys reads up to count entries of the log, at least one, after a time and up to another.
func (s *Syncer) changedKeys(ctx context.Context, after, until crdtmeta.Time, count int) (changedKeys, error) {
	count = max(1, count)
	changed, bytes := changedKeys{keys: map[string]int{}, last: until}, 0
	entries, err := readBetween(ctx, s.cfg.Redis, s.keys.log, after.ID(), until.ID(), int64(count))
	if err != nil {
		return changed, fmt.Errorf("reading the log: %w", err)
	}
	for _, e := range entries {
		t, size, err := gather(changed.keys, e)
		if err != nil {
			return changed, fmt.Errorf("%s: %w", s.keys.log, err)
		}
		changed.last, bytes = t, bytes+size
	}
	if len(entries) < count && bytes < readBytesGoal {
		changed.last = until
	}
	changed.next = min(readMax, readBytesGoal*len(entries)/(bytes+1))
	return changed, nil
}

// gather adds the keys of one entry, and tells the size of it in bytes. One that Anabranch did not write has no keys.
func gather(keys map[string]int, e any) (t crdtmeta.Time, size int, err error) {
	pair, _ := e.([]any)
	if len(pair) != 2 {
		return 0, 0, errFormat
	}
	id, _ := pair[0].(string)
	if t, err = crdtmeta.ParseID(id); err != nil {
		return 0, 0, err
	}
	list, _ := pair[1].([]any)
	fields := make([][]byte, len(list))
	for i := range list {
		text, _ := list[i].(string)
		fields[i] = []byte(text)
		size += len(text)
	}
	if len(fields) < 2 || string(fields[0]) != "b" || crdtmeta.EntryKind(fields[1]) == 0 {
		return t, size, nil
	}
	return t, size, crdtmeta.Touched(fields, func(db int, key string) { keys[strconv.Itoa(db)+":"+key]++ })
}
