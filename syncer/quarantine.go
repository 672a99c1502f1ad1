package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
)

// A region that was away for so long that others have collected what it has not seen is in quarantine: it serves reads and
// takes no writes until it has merged everything. What it had written itself before stays, and the others merge it from here.
// Removals that it had not shipped are void, since nobody can tell any more what they had seen.

// heldQuarantine is what clients are told meanwhile, behind the code CRDTHELD.
const heldQuarantine = "in quarantine: this region was away for too long: it takes writes again when it has merged what it has missed; reads are served"

// heldAway begins what the engine says when it is armed long after the region's last sign of life.
const heldAway = "this region was away for "

// heldMerged begins what the engine says instead when everything is merged.
const heldMerged = "merged everything"

// quarantineSelf keeps clients from writing. Several peers may find that out at once.
func (p *puller) quarantineSelf(ctx context.Context, self crdtmeta.Origin) error {
	p.collector.holding.Lock()
	defer p.collector.holding.Unlock()
	why, err := p.heldWhy(ctx)
	if err != nil || why == heldQuarantine || strings.HasPrefix(why, heldMerged) {
		return err
	}
	if err := p.engine.hold(ctx, self, heldQuarantine); err != nil {
		if classify(err) == failureUnarmed {
			return p.armed.run(ctx)
		}
		return err
	}
	p.cfg.Log.Error().Str("peer", p.name).Msg("this region is in quarantine: others have collected what it has not seen")
	return nil
}

// heldWhy is why clients may not write, or "".
func (s *Syncer) heldWhy(ctx context.Context) (string, error) {
	why, err := s.cfg.Redis.Get(ctx, s.keys.held).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return why, err
}

// release lets clients write again: a region has told us that we have missed nothing, or everything is merged.
func (p *puller) release(ctx context.Context, self crdtmeta.Origin) error {
	why, err := p.heldWhy(ctx)
	if err != nil || why == "" || why == heldQuarantine {
		return err
	}
	if strings.HasPrefix(why, heldMerged) {
		err = p.collector.reenter(ctx, self)
	} else {
		err = p.engine.hold(ctx, self, "")
	}
	if err == nil {
		p.cfg.Log.Info().Str("peer", p.name).Msg("this region has missed nothing: it takes writes")
	}
	return err
}

// reenter ends quarantine. The log so far must not be told to anybody: what it says was seen is not what its effects meet now. The
// others merge what this region has written, since nothing else is left to them. Where it has no effects, as that of a region that was
// new, they need not.
func (c *collector) reenter(ctx context.Context, self crdtmeta.Origin) error {
	info, err := c.region.history(ctx)
	if err != nil {
		return err
	}
	wrote, err := c.everWrote(ctx)
	if err != nil {
		return err
	}
	if wrote {
		if err := c.makeWay(ctx, info.last); err != nil {
			return err
		}
	}
	return c.engine.reenter(ctx, self, info.last, wrote)
}

// everWrote says whether this region may have effects of its own, in this epoch or in an earlier one that others know of.
func (s *Syncer) everWrote(ctx context.Context) (bool, error) {
	info, err := s.engine.info(ctx)
	if err != nil {
		return false, err
	}
	frontier, err := s.region.frontier(ctx)
	return info["last_effect"] != "0" || len(frontier.Of(s.cfg.Region.ID, s.cfg.Shard)) > 0, err
}

// letAlone lets clients write without another region's word: the last one was removed, or none has said anything for so long as is allowed, since
// they are held or somebody leads.
func (l *leader) letAlone(ctx context.Context) error {
	self, err := l.region.origin(ctx)
	if err != nil {
		return err
	}
	why, err := l.heldWhy(ctx)
	alone, away := len(l.links) == 0, strings.HasPrefix(why, heldAway)
	if err != nil || why == "" || !away && !(alone && len(l.removedIDs()) > 0) {
		l.heldIn = crdtmeta.Origin{}
		return err
	}
	if l.heldIn != self {
		l.heldIn, l.heldSince = self, time.Now()
	}
	if !alone && (l.cfg.AloneAfter <= 0 || time.Since(l.heldSince) < l.cfg.AloneAfter) {
		return nil
	}
	l.cfg.Log.Warn().Str("cause", why).Msg("this region takes writes, although no other region has said that it has missed nothing")
	if away {
		return l.engine.hold(ctx, self, "")
	}
	from, err := l.cfg.Redis.HGet(ctx, l.keys.merges, allField).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	if err := l.cfg.Redis.HDel(ctx, l.keys.merges, allField, from).Err(); err != nil {
		return err
	}
	return l.collector.reenter(ctx, self)
}

// quarantine decides which regions have been away for too long, notes them with how much of their logs is applied here, and
// answers the ids of those that are left out of the stability rule: those of which all others say the same. Unless all agree,
// one region would collect what another one still takes from the region that was away.
func (c *collector) quarantine(ctx context.Context, known membership, frontier crdtmeta.Frontier) (apart []string, err error) {
	now := time.Now()
	ours, err := c.cfg.Redis.HKeys(ctx, c.keys.quarantined).Result()
	if err != nil {
		return nil, err
	}
	gone, err := c.away(ctx, known, ours, now)
	if err != nil {
		return nil, err
	}
	for id, why := range gone {
		applied := frontier.Of(id, c.cfg.Shard).Newest()
		if err := c.cfg.Redis.HSetNX(ctx, c.keys.quarantined, formatID(id), applied.String()).Err(); err != nil {
			return nil, err
		}
		ours = append(ours, formatID(id))
		c.cfg.Log.Error().Str("region", known.names[id]).Str("cause", why).
			Msg("region is in quarantine: metadata is collected without it, and it will have to merge everything")
	}
	for _, id := range ours {
		if c.allSay(id, ours, now) {
			apart = append(apart, id)
		}
	}
	slices.Sort(apart)
	return apart, nil
}

// away finds regions that are to be put into quarantine, and says why. Each of them holds collection back, and has given no sign of life
// meanwhile: a link that breaks for a moment is no reason, however long what waits has waited for it.
func (c *collector) away(ctx context.Context, known membership, ours []string, now time.Time) (gone map[int]string, err error) {
	for _, link := range c.links {
		c.waits.sign(link.name, link.sign(now), now)
	}
	held, silent := c.waits.list(now)
	over, err := c.overweight(ctx, len(held) > 0, now)
	if err != nil {
		return nil, err
	}
	lost, enough := c.company(now)
	if !enough {
		return nil, nil
	}
	gone = map[int]string{}
	longest := ""
	for name, since := range silent {
		id := known.ids[name]
		if id == 0 || !slices.Contains(lost, id) || slices.Contains(ours, formatID(id)) {
			continue
		}
		if longest == "" || since.Before(silent[longest]) {
			longest = name
		}
		if now.Sub(since) >= c.cfg.QuarantineAfter {
			gone[id] = fmt.Sprintf("away for %v", now.Sub(since).Round(time.Second))
		} else if other := c.saidBy(id, now); other != "" {
			gone[id] = fmt.Sprintf("region '%s' cannot wait for it any longer", other)
		}
	}
	if over && longest != "" && len(gone) == 0 {
		gone[known.ids[longest]] = fmt.Sprintf("about %d bytes of metadata wait for it", c.weight.bytes.Load())
		c.weight.over = time.Time{} // for the next one to go, it must be too much without this one
	}
	return gone, nil
}

// allSay says whether all other regions have a region in quarantine that we have there.
func (c *collector) allSay(id string, ours []string, now time.Time) bool {
	for _, link := range c.links {
		if other := link.snapshot(now, now); !slices.Contains(ours, formatID(other.ID)) && !slices.Contains(other.Apart, id) {
			return false
		}
	}
	return true
}

// saidBy names a region that has put another one into quarantine. That one has to merge everything then, whoever else still waits for it.
func (c *collector) saidBy(id int, now time.Time) string {
	for _, link := range c.links {
		if other := link.snapshot(now, now); other.State.up() && slices.Contains(other.Apart, formatID(id)) {
			return other.Name
		}
	}
	return ""
}

// company says which regions give no sign of life, and whether those that do are enough to go on without them: more than half of
// all, this one included, or half of them with the lowest id. So of two parts that are cut off from each other at most one goes
// on. If both did, each would take what the other one has written alone for something that was removed.
func (l *leader) company(now time.Time) (lost []int, enough bool) {
	all, here, lowest, lowestHere := 1, 1, l.cfg.Region.ID, l.cfg.Region.ID
	for _, link := range l.links {
		other := link.snapshot(now, now)
		all++
		lowest = min(lowest, other.ID) // an id that is not known, 0, may be the lowest
		if other.State.up() {
			here++
			lowestHere = min(lowestHere, other.ID)
		}
		if !other.State.alive() {
			lost = append(lost, other.ID)
		}
	}
	return lost, 2*here > all || 2*here == all && lowest == lowestHere
}

// inQuarantine says whether a region is in quarantine here, and how much of its log had been applied when it was put there.
func (s *Syncer) inQuarantine(ctx context.Context, id int) (in bool, applied crdtmeta.Time, err error) {
	text, err := s.cfg.Redis.HGet(ctx, s.keys.quarantined, formatID(id)).Result()
	if errors.Is(err, redis.Nil) {
		return false, 0, nil
	}
	if err == nil {
		applied, err = crdtmeta.ParseTime(text)
	}
	return err == nil, applied, err
}

// admitAgain takes a region out of quarantine when it has merged everything since it was put there. What is collected from then
// on waits for it again: publishCollected sees to it that no round that began before goes on. told is what the region was told of
// what is collected here. Should that be more by now, it has to look again whether it has missed some of it.
func (s *server) admitAgain(ctx context.Context, caller hello, told crdtmeta.Frontier) error {
	in, applied, err := s.inQuarantine(ctx, caller.ID)
	if err != nil || !in {
		return err
	}
	if caller.Reentry <= applied {
		return refuse(codeEpoch, "region '%s' is in quarantine", caller.Name)
	}
	if err := s.cfg.Redis.HDel(ctx, s.keys.quarantined, formatID(caller.ID)).Err(); err != nil {
		return err
	}
	s.cfg.Log.Info().Str("region", caller.Name).Msg("region is out of quarantine")
	collected, err := s.region.collected(ctx)
	if err == nil && !told.CoversAll(collected) {
		err = refuse(codeEpoch, "more was collected meanwhile: connect again")
	}
	return err
}

// reentry is when this region was last let out of quarantine, in its own time.
func (s *Syncer) reentry(ctx context.Context) (crdtmeta.Time, error) {
	text, err := s.cfg.Redis.Get(ctx, s.keys.reentry).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return crdtmeta.ParseTime(text)
}

// collectedPublish keeps the vector of all that may be collected, unless a region that it leaves out was let in again since it
// was computed, or one has announced another epoch.
var collectedPublish = newScript(`
for id in string.gmatch(ARGV[1], '%d+') do
  if redis.call('HEXISTS', KEYS[2], id) == 0 then return 0 end
end
local all, announced = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if string.find(all[i], '^` + announcedField + `') then announced[#announced + 1] = all[i] .. ' ' .. all[i + 1] end
end
table.sort(announced)
if ARGV[2] ~= '*' and ARGV[2] ~= table.concat(announced, ' ') then return 0 end
for i = 3, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or 0) < tonumber(ARGV[i + 1]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return 1`)

// adoptCollected notes as collected here what the region of a merge has collected: keys that come from it have no stamps of that, and
// lose those that they had here. Whoever merges from here later must know.
func (p *puller) adoptCollected(ctx context.Context, collected crdtmeta.Frontier) error {
	args := append([]any{"", anyEpochs}, vectorArgs(collected)...)
	return collectedPublish.Run(ctx, p.cfg.Redis, []string{p.keys.collected, p.keys.quarantined}, args...).Err()
}

// anyEpochs stands for what regions have announced where it does not matter.
const anyEpochs = "*"

// vectorArgs are origins and times in turn.
func vectorArgs(f crdtmeta.Frontier) (args []any) {
	for origin, t := range f {
		args = append(args, origin.String(), t.String())
	}
	return args
}

// adoptBase notes whose data from before this region has now.
func (p *puller) adoptBase(ctx context.Context, theirs base) error {
	if theirs == 0 {
		return p.cfg.Redis.HDel(ctx, p.keys.collected, baseField).Err()
	}
	return hashSet.Run(ctx, p.cfg.Redis, []string{p.keys.collected}, baseField, int(theirs)).Err()
}
