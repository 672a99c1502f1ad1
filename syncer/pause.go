package syncer

import (
	"context"
	"fmt"
	"strconv"
)

// The ids are looked up in the same step, so that a region that is met for the first time at this very moment cannot
// slip through.
var pauseSet = newScript(`
local ids = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= 'version' then ids[cmsgpack.unpack(all[i + 1]).name] = all[i] end
end
for i = 3, #ARGV do
  local id = ids[ARGV[i]]
  if ARGV[1] == 'resume' then
    redis.call('SREM', KEYS[2], ARGV[2] .. ARGV[i])
    if id then redis.call('SREM', KEYS[2], id) end
  else
    redis.call('SADD', KEYS[2], id or (ARGV[2] .. ARGV[i]))
  end
end
return redis.status_reply('OK')`)

// Pause stops taking effects from a region (a name, an id, or AllRegions), for the whole of our region. Nothing is
// lost: the effects wait at their source.
func (s *Syncer) Pause(ctx context.Context, region string) error {
	return s.setPaused(ctx, "pause", region)
}

// Resume takes the effects again. Resuming what is not paused is no error.
func (s *Syncer) Resume(ctx context.Context, region string) error {
	return s.setPaused(ctx, "resume", region)
}

func (s *Syncer) setPaused(ctx context.Context, verb, region string) error {
	names, err := s.resolve(ctx, region)
	if err != nil {
		return err
	}
	args := []any{verb, pausedName}
	for _, name := range names {
		args = append(args, name)
	}
	if err := pauseSet.Run(ctx, s.cfg.Redis, []string{s.keys.members, s.keys.paused}, args...).Err(); err != nil {
		return err
	}
	s.cfg.Log.Info().Strs("regions", names).Str("by", "command").Msg(verb)
	s.pauses.notify()
	return nil
}

// resolve turns what an operator typed into names of peers.
func (s *Syncer) resolve(ctx context.Context, region string) ([]string, error) {
	if region == AllRegions {
		return s.peerNames(), nil
	}
	if region == s.cfg.Region.Name || region == strconv.Itoa(s.cfg.Region.ID) {
		return nil, fmt.Errorf("ERR region '%s' is this region itself", region)
	}
	if _, configured := s.peers()[region]; configured {
		return []string{region}, nil
	}
	known, err := s.members.load(ctx)
	if err != nil {
		return nil, err
	}
	if id, err := strconv.Atoi(region); err == nil {
		if name, found := known.names[id]; found {
			return []string{name}, nil
		}
	}
	if _, found := known.ids[region]; found {
		return []string{region}, nil
	}
	return nil, fmt.Errorf("ERR unknown region '%s'", region)
}

// pausedNow reads which regions are paused: by id, and by name where no id is known.
func (s *Syncer) pausedNow(ctx context.Context) (ids map[int]bool, names map[string]bool, err error) {
	marks, err := s.cfg.Redis.SMembers(ctx, s.keys.paused).Result()
	if err != nil {
		return nil, nil, err
	}
	ids, names = map[int]bool{}, map[string]bool{}
	for _, mark := range marks {
		if id, err := strconv.Atoi(mark); err == nil {
			ids[id] = true
		} else if len(mark) > len(pausedName) {
			names[mark[len(pausedName):]] = true
		}
	}
	return ids, names, nil
}
