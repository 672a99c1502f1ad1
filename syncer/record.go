package syncer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A region keeps metadata, its record, only while nobody writes past the engine, which would make it wrong. On the way there from plain
// Redis, and back, its leader sees to that: the record begins only when no passive proxy is left, and what is there from before
// goes first. Once another region has anything of the record it cannot be thrown away any more, and no passive proxy starts.
//
//	plain = yes ──no passive proxy──► soon ──still none──► companions are cleared away ──still soon──► recording
//	     ▲                              │                            │                                    │
//	     └──────────── a passive proxy says that it comes (anabranch_plain), at any time ─────────────────┘
//
// The leader says "soon" before it looks, and a passive proxy shows its name before it speaks: at least one of them sees the other.

// PassiveName is the name by which Redis knows the connection of a passive proxy.
const PassiveName = "anabranch-passive"

// States of crdt:plain.
const (
	plainYes  = "yes"
	plainSoon = "soon"
)

// calmTime is how long no passive proxy may have been seen: one whose connection breaks is back by then.
const calmTime = 3 * time.Second

// leadRecorded is lead while there is a record, and otherwise begins one as soon as it may.
func (s *Syncer) leadRecorded(ctx context.Context) {
	calm := time.Now()
	said := ""
	say := func(text string) {
		if text != said {
			said = text
			s.cfg.Log.Info().Str("because", text).Msg("nothing is recorded")
		}
	}
	for ctx.Err() == nil {
		state, err := s.plainState(ctx)
		switch {
		case err != nil:
			calm = time.Now()
		case state == "":
			s.leadWhile(ctx, func() bool { state, err := s.plainState(ctx); return err != nil || state == "" })
			calm, said = time.Now(), ""
			continue
		default:
			n, err := s.passiveProxies(ctx)
			if err != nil || n > 0 {
				calm = time.Now()
				say(fmt.Sprintf("%d passive proxies write past the engine", n))
			} else if time.Since(calm) >= calmTime {
				if err := s.beginRecord(ctx); err != nil {
					say(plain(err))
				} else {
					continue
				}
			}
		}
		sleep(ctx, s.cfg.StatusInterval)
	}
}

// leadWhile keeps house for as long as still says so. It is asked each second.
func (s *Syncer) leadWhile(ctx context.Context, still func() bool) {
	round, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() { // ends with round
		defer close(done)
		s.lead(round)
	}()
	for round.Err() == nil && still() {
		sleep(round, s.cfg.StatusInterval)
	}
	cancel()
	<-done
}

func (s *Syncer) plainState(ctx context.Context) (string, error) {
	state, err := s.cfg.Redis.Get(ctx, s.keys.plain).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return state, err
}

// passiveProxies counts those that are connected.
func (s *Syncer) passiveProxies(ctx context.Context) (n int, err error) {
	list, err := s.cfg.Redis.ClientList(ctx).Result()
	return strings.Count(list, " name="+PassiveName+" "), err
}

var errDisturbed = errors.New("a passive proxy has come")

// plainMark changes what crdt:plain says, if it is there.
var plainMark = newScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
return 1`)

// beginRecord clears away what is out of date, and has the engine record from now on.
func (s *Syncer) beginRecord(ctx context.Context) error {
	if err := plainMark.Run(ctx, s.cfg.Redis, []string{s.keys.plain}, plainSoon).Err(); err != nil {
		return err
	}
	if n, err := s.passiveProxies(ctx); err != nil || n > 0 {
		return errors.Join(err, errDisturbed)
	}
	databases, err := s.databases(ctx)
	if err != nil {
		return err
	}
	for _, db := range databases {
		if err := s.clearCompanions(ctx, db); err != nil {
			return err
		}
	}
	return s.cfg.Record(ctx)
}

// clearPage removes the companions on one page of a database. Behind the prefix their names go on with a digit. It stops when it is not
// "soon" any more.
var clearPage = newScript(`
if redis.call('GET', KEYS[1]) ~= 'soon' then return redis.error_reply('ERR disturbed') end
local prefix, db, n = ARGV[1], ARGV[2], 0
redis.call('SELECT', db)
local page = redis.call('SCAN', ARGV[3], 'COUNT', 500)
for _, name in ipairs(page[2]) do
  if string.sub(name, 1, #prefix) == prefix and string.find(name, '^%d', #prefix + 1) then n = n + redis.call('UNLINK', name) end
end
redis.call('SELECT', 0)
if n > 0 then redis.call('HINCRBY', prefix .. 'count', db, -n) end
return page[1]`)

func (s *Syncer) clearCompanions(ctx context.Context, db int) error {
	for cursor := "0"; ; {
		next, err := clearPage.Run(ctx, s.cfg.Redis, []string{s.keys.plain}, s.cfg.Prefix, strconv.Itoa(db), cursor).Text()
		if err != nil {
			if strings.Contains(err.Error(), "disturbed") {
				return errDisturbed
			}
			return err
		}
		if cursor = next; cursor == "0" {
			return nil
		}
	}
}

// Recording says whether metadata is kept at the moment.
func (s *Syncer) Recording(ctx context.Context) (bool, error) {
	state, err := s.plainState(ctx)
	return err == nil && state == "", err
}

// barred says that this proxy may not lead: it is in shadow mode, and others have become members of its region's deployment. What they have
// not seen must not be collected.
func (s *Syncer) barred(ctx context.Context) bool {
	if !s.cfg.Shadow {
		return false
	}
	known, err := s.members.load(ctx)
	if err != nil {
		return false // then nothing can be collected either
	}
	for id, name := range known.names {
		if _, removed := s.removed(name); id != s.cfg.Region.ID && !removed {
			return true
		}
	}
	return false
}
