package syncer

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
)

// found is where a catalogue says that the proxies of other regions are. It says nothing about membership, with one exception: a
// region that was never heard of becomes a member. A region that is not in the catalogue any more stays one, at its last
// addresses: it may be down, and whether it is gone for good is for an operator to say.
type found struct {
	mu   sync.Mutex // guards told
	told map[string][]string
	news signal

	noted map[string][]string // what this proxy has kept in Redis; another one may have been told something else
}

// foundAt is the time of a change by which the catalogue makes a region a member: below that of any operator's.
const foundAt = 1

// Found takes addresses of other regions' proxies, by region, the best first. Regions that are not named, or without addresses, keep
// those they have. It does not block; what it says is kept in Redis soon, for the time when nobody says anything.
func (s *Syncer) Found(regions map[string][]string) {
	s.found.mu.Lock()
	told := maps.Clone(s.found.told)
	if told == nil {
		told = map[string][]string{}
	}
	for name, addrs := range regions {
		if name == s.cfg.Region.Name || len(addrs) == 0 {
			continue
		}
		addrs = addrs[:min(len(addrs), maxAddrs)]
		if err := s.validMember(name, addrs); err != nil {
			s.cfg.Log.Warn().Str("region", name).Err(err).Msg("the catalogue has a region that cannot be")
			continue
		}
		if _, known := told[name]; known || len(told) < maxRoster {
			told[name] = slices.Clone(addrs)
		}
	}
	s.found.told = told
	s.found.mu.Unlock()
	s.found.news.notify()
}

// foundNow is what the catalogue has told to this proxy. The map must not be changed.
func (s *Syncer) foundNow() map[string][]string {
	s.found.mu.Lock()
	defer s.found.mu.Unlock()
	return s.found.told
}

// foundStore keeps addresses for when the catalogue says nothing.
var foundStore = newScript(`return redis.call('HSET', KEYS[1], unpack(ARGV))`)

// keepFound notes in Redis what the catalogue has told. It is called by one goroutine.
func (s *Syncer) keepFound(ctx context.Context) error {
	told := s.foundNow()
	for _, name := range slices.Sorted(maps.Keys(told)) {
		s.roster.mu.Lock()
		kept := s.roster.kept[name]
		s.roster.mu.Unlock()
		if kept == nil || !slices.Equal(told[name], s.found.noted[name]) {
			if err := foundStore.Run(ctx, s.cfg.Redis, []string{s.keys.found}, name, encodeJSON(told[name])).Err(); err != nil {
				return err
			}
			s.found.noted[name] = told[name]
		}
		s.roster.mu.Lock()
		_, known := s.roster.entries[name]
		full := len(s.roster.entries) >= maxRoster
		s.roster.mu.Unlock()
		if known || full || s.cfg.Peers[name] != nil {
			continue
		}
		news, err := s.change(ctx, rosterEntry{Name: name, Addrs: told[name], At: foundAt})
		if err != nil {
			return err
		}
		if news {
			s.cfg.Log.Info().Str("region", name).Strs("addrs", told[name]).Str("by", "catalogue").Msg("membership")
		}
	}
	return nil
}

// keptFound reads what was noted.
func (s *Syncer) keptFound(ctx context.Context) (map[string][]string, error) {
	hash, err := s.cfg.Redis.HGetAll(ctx, s.keys.found).Result()
	if err != nil {
		return nil, err
	}
	kept := make(map[string][]string, len(hash))
	for name, body := range hash {
		var addrs []string
		if json.Unmarshal([]byte(body), &addrs) == nil && s.validMember(name, addrs) == nil {
			kept[name] = addrs
		}
	}
	return kept, nil
}

// addresses joins lists, without what is there twice.
func addresses(lists ...[]string) (all []string) {
	for _, list := range lists {
		for _, addr := range list {
			if !slices.Contains(all, addr) {
				all = append(all, addr)
			}
		}
	}
	return all
}

// Roster is the changes of the membership that are known here, as JSON that another region, or a store for all of them, can take; nil
// when there are none.
func (s *Syncer) Roster() []byte { return s.tellRoster() }

// HearRoster takes what Roster of another region has answered. Of two changes about one region the later one counts.
func (s *Syncer) HearRoster(ctx context.Context, text []byte) error { return s.hearRoster(ctx, text) }

// RosterNews is closed when Roster answers something else.
func (s *Syncer) RosterNews() <-chan struct{} { return s.roster.news.next() }
