package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"sort"
	"sync"
	"time"

	"anabranch/crdtmeta"
)

// roster is who the other regions are: those of the configuration, with what was changed at run time. Changes are kept in
// crdt:roster and told to the other regions with the heartbeats; of two about one region the later one counts. A region that
// was removed stays removed, whatever configurations say, until it is added again.
type roster struct {
	mu      sync.Mutex // guards what follows
	entries map[string]rosterEntry
	kept    map[string][]string // what Redis has of found
	current map[string][]string // addresses by name; replaced, never changed
	changed signal              // other regions than before
	moved   signal              // the same regions at other addresses
	news    signal              // entries changed
}

// rosterEntry is a change of the membership.
type rosterEntry struct {
	Name    string   `json:"name"`
	ID      int      `json:"id"`    // 0 when it was never met where the change was made
	Addrs   []string `json:"addrs"` // of its proxies
	Removed bool     `json:"removed"`
	At      int64    `json:"at"` // ms; the later change counts
}

// peers is who the other regions are at the moment. The map must not be changed.
func (s *Syncer) peers() map[string][]string {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	return s.roster.current
}

// peerNames is in a fixed order, so that logs and status do not jump.
func (s *Syncer) peerNames() []string { return slices.Sorted(maps.Keys(s.peers())) }

// removed finds the entry of a region that was removed.
func (s *Syncer) removed(name string) (rosterEntry, bool) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	entry := s.roster.entries[name]
	return entry, entry.Removed
}

// removedIDs lists the ids of regions that were removed.
func (s *Syncer) removedIDs() (ids []int) {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	for _, entry := range s.roster.entries {
		if entry.Removed && entry.ID != 0 {
			ids = append(ids, entry.ID)
		}
	}
	return ids
}

// loadRoster reads what was changed.
func (s *Syncer) loadRoster(ctx context.Context) error {
	hash, err := s.cfg.Redis.HGetAll(ctx, s.keys.roster).Result()
	if err != nil {
		return err
	}
	kept, err := s.keptFound(ctx)
	if err != nil {
		return err
	}
	found := maps.Clone(kept)
	maps.Copy(found, s.foundNow())
	entries := make(map[string]rosterEntry, len(hash))
	current := make(map[string][]string, len(s.cfg.Peers)+len(hash))
	for name, addrs := range s.cfg.Peers {
		current[name] = addresses(addrs, found[name])
	}
	for name, body := range hash {
		var entry rosterEntry
		if err := json.Unmarshal([]byte(body), &entry); err != nil {
			return fmt.Errorf("%s: field %.40q: %w", s.keys.roster, name, err)
		}
		entries[name] = entry
	}
	if err := s.keepRoster(ctx, entries); err != nil {
		return err
	}
	for name, entry := range entries {
		switch {
		case name == s.cfg.Region.Name:
		case entry.Removed, s.cfg.Shadow:
			delete(current, name)
		case s.cfg.Peers[name] != nil: // the configuration knows better which way leads there from here
		case entry.At == foundAt && found[name] != nil: // so does the catalogue, since it has made that entry
			current[name] = found[name]
		default:
			current[name] = addresses(found[name], entry.Addrs)
		}
	}
	s.roster.mu.Lock()
	others := !maps.EqualFunc(current, s.roster.current, func(_, _ []string) bool { return true })
	moved := !reflect.DeepEqual(current, s.roster.current)
	news := !reflect.DeepEqual(entries, s.roster.entries)
	s.roster.entries, s.roster.kept, s.roster.current = entries, kept, current
	s.roster.mu.Unlock()
	if others {
		s.cfg.Log.Info().Strs("regions", slices.Sorted(maps.Keys(current))).Msg("other regions")
		s.roster.changed.notify()
	}
	if moved {
		s.roster.moved.notify()
	}
	if news {
		s.roster.news.notify()
	}
	return nil
}

// keepRoster adds what is known here to what Redis has, and stores it there: a Redis that came back empty, or from before a change, has
// forgotten it.
func (s *Syncer) keepRoster(ctx context.Context, entries map[string]rosterEntry) error {
	s.roster.mu.Lock()
	known := maps.Clone(s.roster.entries)
	s.roster.mu.Unlock()
	for name, entry := range known {
		if stored, there := entries[name]; there && stored.At >= entry.At {
			continue
		}
		if _, err := s.storeRoster(ctx, entry); err != nil {
			return err
		}
		entries[name] = entry
	}
	return nil
}

// followRoster keeps it up to date, as another proxy may have changed it.
func (s *Syncer) followRoster(ctx context.Context) {
	for ctx.Err() == nil {
		told := s.found.news.next()
		// Without Redis, what was known last holds.
		if s.loadRoster(ctx) == nil {
			_ = s.keepFound(ctx)
		}
		timer := time.NewTimer(s.cfg.StatusInterval)
		select {
		case <-timer.C:
		case <-told:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// rosterStore keeps a change unless a later one is known. A region that comes back after it was removed is in quarantine first.
var rosterStore = newScript(`
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  old = cjson.decode(old)
  if old.at >= tonumber(ARGV[3]) then return 0 end
  local new = cjson.decode(ARGV[2])
  if old.removed and not new.removed and tonumber(ARGV[4]) > 0 then redis.call('HSETNX', KEYS[2], ARGV[4], ARGV[5]) end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`)

// change stores an entry and says whether it is news.
func (s *Syncer) change(ctx context.Context, entry rosterEntry) (bool, error) {
	known, err := s.members.load(ctx)
	if err != nil {
		return false, err
	}
	if id := known.ids[entry.Name]; id != 0 {
		entry.ID = id
	}
	if stored, err := s.storeRoster(ctx, entry); err != nil || !stored {
		return false, err
	}
	return true, s.loadRoster(ctx)
}

// storeRoster says whether the entry is later than what Redis has.
func (s *Syncer) storeRoster(ctx context.Context, entry rosterEntry) (stored bool, err error) {
	frontier, err := s.region.frontier(ctx)
	if err != nil {
		return false, err
	}
	applied := frontier.Of(entry.ID, s.cfg.Shard).Newest()
	n, err := rosterStore.Run(ctx, s.cfg.Redis, []string{s.keys.roster, s.keys.quarantined},
		entry.Name, encodeJSON(entry), entry.At, entry.ID, applied.String()).Int()
	return n > 0, err
}

const (
	maxRoster      = 256       // regions that were ever added or removed; 63 can be there at once
	maxRosterBytes = 256 << 10 // of what a heartbeat says
	maxAddrs       = 128       // proxies of one region
	maxAddrBytes   = 300       // longer than any name that DNS takes
	maxRosterTime  = 1 << 50   // ms: far off, and exact in a Lua number with all that come after it
)

// hearRoster takes the changes that another region tells.
func (s *Syncer) hearRoster(ctx context.Context, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var told []rosterEntry
	if err := json.Unmarshal(text, &told); err != nil {
		return fmt.Errorf("%w: roster: %w", errFrame, err)
	}
	if len(told) > maxRoster {
		return fmt.Errorf("%w: roster of %d regions", errFrame, len(told))
	}
	for _, entry := range told {
		own := entry.Name == s.cfg.Region.Name
		if entry.At < 0 || entry.At >= maxRosterTime || entry.ID < 0 || entry.ID > crdtmeta.MaxRegion || !own && entry.ID == s.cfg.Region.ID {
			return fmt.Errorf("%w: roster: region %.40q has id %d, since %d", errFrame, entry.Name, entry.ID, entry.At)
		}
		s.roster.mu.Lock()
		old, known := s.roster.entries[entry.Name]
		count := len(s.roster.entries)
		s.roster.mu.Unlock()
		if known && old.At >= entry.At {
			continue
		}
		if !known && count >= maxRoster {
			return fmt.Errorf("%w: roster of more than %d regions", errFrame, maxRoster)
		}
		if err := s.validMember(entry.Name, entry.Addrs); err != nil && !own {
			return fmt.Errorf("%w: roster: %w", errFrame, err)
		}
		news, err := s.change(ctx, entry)
		if err != nil {
			return err
		}
		if news {
			s.cfg.Log.Info().Str("region", entry.Name).Bool("removed", entry.Removed).Strs("addrs", entry.Addrs).Msg("membership changed")
		}
	}
	return nil
}

// tellRoster is what heartbeats say of it.
func (s *Syncer) tellRoster() []byte {
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	if len(s.roster.entries) == 0 {
		return nil
	}
	list := slices.Collect(maps.Values(s.roster.entries))
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return encodeJSON(list)
}

func (s *Syncer) validMember(name string, addrs []string) error {
	if name == "" || len(name) > maxNameBytes || name == AllRegions || isNumber(name) {
		return fmt.Errorf("ERR '%.40s' cannot be the name of a region", name)
	}
	if name == s.cfg.Region.Name {
		return fmt.Errorf("ERR region '%s' is this region itself", name)
	}
	if len(addrs) > maxAddrs {
		return fmt.Errorf("ERR region '%s' cannot have more than %d addresses", name, maxAddrs)
	}
	for _, addr := range addrs {
		if len(addr) > maxAddrBytes {
			return fmt.Errorf("ERR '%.100s…' is not HOST:PORT", addr)
		}
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return fmt.Errorf("ERR '%.100s' is not HOST:PORT", addr)
		}
	}
	return nil
}

// Member is another region, as the membership has it.
type Member struct {
	Name    string
	ID      int // 0 until it was met
	Addrs   []string
	Removed bool
}

// Members lists all other regions, also those that were removed.
func (s *Syncer) Members(ctx context.Context) ([]Member, error) {
	if err := s.loadRoster(ctx); err != nil {
		return nil, err
	}
	known, err := s.members.load(ctx)
	if err != nil {
		return nil, err
	}
	var list []Member
	for _, name := range s.peerNames() {
		list = append(list, Member{Name: name, ID: known.ids[name], Addrs: s.peers()[name]})
	}
	s.roster.mu.Lock()
	defer s.roster.mu.Unlock()
	for name, entry := range s.roster.entries {
		if entry.Removed {
			list = append(list, Member{Name: name, ID: entry.ID, Removed: true})
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

// AddMember makes a region a member, here and, through the heartbeats, everywhere.
func (s *Syncer) AddMember(ctx context.Context, name string, addrs []string) error {
	if err := s.validMember(name, addrs); err != nil {
		return err
	}
	if len(addrs) == 0 {
		return fmt.Errorf("ERR region '%s' needs the peer address of a proxy", name)
	}
	return s.changeNow(ctx, rosterEntry{Name: name, Addrs: addrs})
}

// RemoveMember takes a region out of the membership. Nothing is taken from it any more, nothing is given to it, and collection
// goes on without it once all others have the same of it.
func (s *Syncer) RemoveMember(ctx context.Context, name string) error {
	if err := s.loadRoster(ctx); err != nil {
		return err
	}
	if err := s.validMember(name, nil); err != nil {
		return err
	}
	if s.peers()[name] == nil {
		if _, removed := s.removed(name); removed {
			return nil
		}
		return fmt.Errorf("ERR region '%.100s' is not a member", name)
	}
	return s.changeNow(ctx, rosterEntry{Name: name, Removed: true})
}

func (s *Syncer) changeNow(ctx context.Context, entry rosterEntry) error {
	now, err := s.cfg.Redis.Time(ctx).Result()
	if err != nil {
		return err
	}
	s.roster.mu.Lock()
	entry.At = max(now.UnixMilli(), s.roster.entries[entry.Name].At+1)
	s.roster.mu.Unlock()
	_, err = s.change(ctx, entry)
	s.cfg.Log.Info().Str("region", entry.Name).Bool("removed", entry.Removed).Strs("addrs", entry.Addrs).Str("by", "command").Msg("membership")
	return err
}

// settledRemoval says whether all other regions have of a removed one what we have: then nothing of it can still arrive.
func (l *leader) settledRemoval(id int, frontier crdtmeta.Frontier) bool {
	ours := frontier.Of(id, l.cfg.Shard)
	for _, link := range l.links {
		link.mu.Lock()
		theirs := link.frontier.Of(id, l.cfg.Shard)
		link.mu.Unlock()
		if !maps.Equal(ours, theirs) {
			return false
		}
	}
	return true
}
