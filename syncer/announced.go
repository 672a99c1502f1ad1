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
func (s *server) announce(ctx context.Context, caller crdtmeta.Origin) error {
	field := announcedField + formatID(caller.Region)
	known, err := s.cfg.Redis.HMGet(ctx, s.keys.collected, field).Result()
	if err != nil || known[0] == caller.String() {
		return err
	}
	return hashSet.Run(ctx, s.cfg.Redis, []string{s.keys.collected}, field, caller.String()).Err()
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
