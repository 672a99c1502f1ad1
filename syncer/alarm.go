package syncer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"anabranch/crdtmeta"
)

// The topics of alarms.
const (
	TopicPolicy = "policy" // maxmemory-policy may evict metadata
	TopicStamps = "stamps" // stamps are ahead of the clock
	TopicClock  = "clock"  // another region's clock is off
)

// alarms is what somebody should look at, by what it is about, so that a change of a number in a text is no news.
type alarms map[string]string

// alarms looks for trouble that the region goes on with.
func (l *leader) alarms(v vitals, last crdtmeta.Time, peers []PeerStatus) alarms {
	found := alarms{}
	if v.policy != "" && !crdtmeta.KeepsMetadata(v.policy) {
		found[TopicPolicy] = fmt.Sprintf("maxmemory-policy is %s: Redis may evict the metadata that merging needs; use noeviction or a volatile policy", v.policy)
	}
	ahead := time.UnixMilli(last.Millis()).Sub(l.redisClock.now())
	if ahead > l.cfg.DriftLimit {
		found[TopicStamps] = fmt.Sprintf("stamps are %v ahead of this region's clock: a clock was wrong, here or elsewhere", ahead.Round(time.Second))
	}
	for _, peer := range peers {
		drift := time.Duration(peer.DriftMillis) * time.Millisecond
		if drift.Abs() > l.cfg.DriftLimit {
			found[TopicClock+" of "+peer.Name] = fmt.Sprintf("the clock of region '%s' is %v", peer.Name, driftText(drift))
		}
		if peer.State == StateStalled && strings.HasPrefix(peer.Error, failureEngine.String()) {
			found["link to "+peer.Name] = fmt.Sprintf("nothing comes from region '%s' any more: %s", peer.Name, peer.Error)
		}
	}
	return found
}

// driftText says how far a clock is off.
func driftText(drift time.Duration) string {
	if drift < 0 {
		return (-drift).Round(time.Second).String() + " behind"
	}
	return drift.Round(time.Second).String() + " ahead"
}

// texts lists the alarms in a steady order, and the topics of each.
func (a alarms) texts() (list, topics []string) {
	for _, about := range slices.Sorted(maps.Keys(a)) {
		topic, _, _ := strings.Cut(about, " ")
		list, topics = append(list, a[about]), append(topics, topic)
	}
	return list, topics
}

// raise logs what is new among the alarms, and what is over.
func (l *leader) raise(now alarms) {
	for about, text := range now {
		if _, known := l.raised[about]; !known {
			l.cfg.Log.Warn().Str("alarm", about).Msg(text)
		}
	}
	for about := range l.raised {
		if _, still := now[about]; !still {
			l.cfg.Log.Info().Str("alarm", about).Msg("alarm is over")
		}
	}
	l.raised = now
}

// noteAhead counts entries whose stamps are too far ahead of our clock. They are applied all the same: to refuse them would stop
// everything that comes after them, and the clock of stamps follows the one that is furthest ahead.
func (s *Syncer) noteAhead(entries []entry) {
	limit := crdtmeta.TimeAt(s.redisClock.now().Add(s.cfg.DriftLimit).UnixMilli())
	for _, e := range entries {
		if e.t > limit {
			s.counters.stampsAhead.Add(1)
		}
	}
}
