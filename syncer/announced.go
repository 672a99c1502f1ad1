package syncer

import (
	"context"
	"slices"
	"strings"

	"anabranch/crdtmeta"
)

// A region that failed over, or came back from an old snapshot, says so with its HELLO. It may lack effects that its last epoch had
// seen, so nothing that rests on that epoch's word may be collected from then on, until its log has told what the new one has. Otherwise
// the region would merge keys whose metadata goes meanwhile, and take what it lacks for something that was removed. WELCOME
// tells what was collected before.
//
//	HELLO (epoch n+1) ──► announced in crdt:collected ──► crdt:collected read ──► WELCOME
//	                             │
//	a round of collection: looks, with what is announced ──► publishes, unless that is another now

// announcedField and the id of a region are where crdt:collected has the epoch in which it last said HELLO.
const announcedField = "epoch:"

// announce notes the epoch of a peer.
func (s *server) announce(ctx context.Context, caller hello) error {
	origin, err := crdtmeta.ParseOrigin(caller.Origin)
	if err != nil || origin.Region != caller.ID {
		return refuse(codeProtocol, "origin %.60q is not one of region '%.128s' (id %d)", caller.Origin, caller.Name, caller.ID)
	}
	field := announcedField + formatID(caller.ID)
	switch known, err := s.cfg.Redis.HMGet(ctx, s.keys.collected, field).Result(); {
	case err != nil:
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	case known[0] == caller.Origin:
		return nil
	}
	if err := hashSet.Run(ctx, s.cfg.Redis, []string{s.keys.collected}, field, caller.Origin).Err(); err != nil {
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	return nil
}

// announced reads what peers have announced, by the field.
func (r region) announced(ctx context.Context) (map[string]string, error) {
	hash, err := r.rdb.HGetAll(ctx, r.keys.collected).Result()
	if err != nil {
		return nil, err
	}
	for field := range hash {
		if !strings.HasPrefix(field, announcedField) {
			delete(hash, field)
		}
	}
	return hash, nil
}

// sortedAnnounced is the text that collectedPublish makes of it.
func sortedAnnounced(announced map[string]string) string {
	var all []string
	for field, origin := range announced {
		all = append(all, field+" "+origin)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// unheard says that a region has announced an epoch of which nothing has come from its log yet.
func unheard(announced map[string]string, id int, frontier crdtmeta.Frontier) bool {
	text, said := announced[announcedField+formatID(id)]
	if !said {
		return false
	}
	origin, err := crdtmeta.ParseOrigin(text)
	if err != nil {
		return true
	}
	_, heard := frontier[origin]
	return !heard
}
