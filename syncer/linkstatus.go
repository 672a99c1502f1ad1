package syncer

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"anabranch/crdtmeta"
)

// State says what the link to a region does at the moment.
type State string

// The states of a link.
const (
	StateProbe       State = "probe"        // no link yet, or not at the moment
	StateStream      State = "stream"       // applying that region's log
	StatePaused      State = "paused"       // held by CRDT PAUSE
	StateWaiting     State = "waiting"      // the next entry depends on another region's, which has not arrived
	StateStalled     State = "stalled"      // our Redis does not take what waits; see Error
	StateRefused     State = "refused"      // that region does not take us, or we not it; see Error
	StateMergeNeeded State = "merge-needed" // its log no longer holds what we lack: a merge is about to begin
	StateApart       State = "quarantined"  // that region was away for too long: its log is of no use until it has merged everything
	StateMerge       State = "merge"        // taking the state of keys in the place of its log
)

// up says whether there is a link.
func (s State) up() bool {
	return s == StateStream || s == StateWaiting || s == StateStalled || s == StatePaused || s == StateMerge
}

// alive says whether the region gives signs of life: who refuses is there.
func (s State) alive() bool { return s.up() || s == StateRefused }

// linkStatus is what is known about one peer. The pulling side writes it; the leader publishes it.
type linkStatus struct {
	name  string
	clock *peerClock
	news  *signal // notified on change of state

	mu       sync.Mutex // guards status and what follows
	status   PeerStatus
	at       crdtmeta.Time     // newest entry applied over this link
	oldest   crdtmeta.Time     // oldest entry known and not applied, 0 for none
	index    int64             // received of the peer's log, as it counts
	added    int64             // entries of the peer's log, when it last said
	tail     crdtmeta.Time     // newest entry of the peer's log, when it last said
	behind   time.Time         // since when we know that something waits there
	wire     *timedConn        // of the link that is up
	frontier crdtmeta.Frontier // of that region, when it last said
	epoch    string            // of that region, when the link was made
	all      allKeys

	lastUp   time.Time // when there was a link, or the beginning
	lastSign time.Time // when the region was alive, zero for never
}

func newLinkStatus(name string, news *signal) *linkStatus {
	return &linkStatus{
		name: name, clock: &peerClock{}, news: news,
		status: PeerStatus{Name: name, State: StateProbe, Since: time.Now()}, lastUp: time.Now(),
	}
}

// set changes the state and says whether it did. It is called with mu held.
func (s *linkStatus) set(state State, cause string) bool {
	changed := s.status.State != state || s.status.Error != cause
	if s.status.State.alive() || state.alive() {
		s.lastSign = time.Now()
	}
	if s.status.State != state {
		s.status.Since = time.Now()
	}
	s.status.State, s.status.Error = state, cause
	if changed {
		s.news.notify()
	}
	return changed
}

// downFor is how long there has been no link to the region with this id; 0 when there is one, or the id is another's.
func (s *linkStatus) downFor(id int, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.ID != id || s.status.State.up() {
		return 0
	}
	return now.Sub(s.lastUp)
}

// sign is when the region last gave a sign of life: now if it does, and zero for never.
func (s *linkStatus) sign(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.State.alive() {
		return now
	}
	return s.lastSign
}

// longer says whether the region's log was longer when it last said so.
func (s *linkStatus) longer(than crdtmeta.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tail > than
}

// leavesOut says whether the region has a member in quarantine, as it last said.
func (s *linkStatus) leavesOut(id int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.status.Apart, formatID(id))
}

func (s *linkStatus) met(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.ID = id
}

func (s *linkStatus) connected(addr, epoch string, wire *timedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wire, s.epoch = wire, epoch
	s.status.Addr, s.status.Connected = addr, time.Now()
	s.status.Connects++
	s.set(StateStream, "")
}

// disconnected says whether that is news.
func (s *linkStatus) disconnected(addr string, state State, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Addr, s.status.Connected = "", time.Time{}
	s.status.WaitsFor = ""
	if s.wire != nil {
		s.status.BytesReceived += s.wire.received.Load()
		s.wire = nil
	}
	if s.status.State.up() {
		s.lastUp = time.Now()
	}
	cause := plain(err)
	s.status.LastError = cause
	return s.set(state, cause)
}

// began notes how far the stream is at its start.
func (s *linkStatus) began(index int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index, s.added = index, index
	s.tail, s.oldest, s.behind = 0, 0, time.Time{}
}

func (s *linkStatus) received(entries int, index int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index = index
	s.status.EntriesReceived += int64(entries)
}

// merges shows how far a merge has got. cause says why it does not go on.
func (s *linkStatus) merges(m *MergeStatus, cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Merge = m
	switch {
	case m == nil:
	case cause != "":
		s.set(StateStalled, cause)
	default:
		s.set(StateMerge, "")
	}
}

func (s *linkStatus) heard(b beat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail, s.added = b.tail, b.added
	s.status.Heard, s.status.Apart = time.Now(), b.apart
	if b.frontier != nil {
		s.frontier = b.frontier
	}
}

// frontierNow is how far that region is in which epoch, and its id, 0 as long as it is not known. The frontier is nil unless the region's log
// is followed now and it has said so within that time.
func (s *linkStatus) frontierNow(within time.Duration) (id int, epoch string, frontier crdtmeta.Frontier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.State.up() && s.status.State != StateMerge && time.Since(s.status.Heard) < within {
		frontier = s.frontier
	}
	return s.status.ID, s.epoch, frontier
}

func (s *linkStatus) regionID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.ID
}

func (s *linkStatus) applied(entries int, origin crdtmeta.Origin, t crdtmeta.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.EntriesApplied += int64(entries)
	if entries > 0 {
		s.at = t
		s.status.Origin = origin.String()
	}
}

// report takes the applier's mode.
func (s *linkStatus) report(a *applier) {
	head, pending := a.head()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = 0
	s.status.Queued = int64(len(a.queue))
	if pending {
		s.oldest = head.t
	}
	s.status.WaitsFor = ""
	switch a.mode {
	case modeReady:
		s.set(StateStream, "")
	case modeFetching:
		s.set(StateStream, "")
	case modeWaiting:
		s.status.WaitsFor = fmt.Sprintf("%s %d", a.missing, a.needs)
		s.set(StateWaiting, "")
	case modeHeld:
		s.set(StatePaused, "")
	case modeDelayed:
		s.set(StateStalled, stallText(a.fail, a.cause))
	}
}

// snapshot is the status with the lag of this moment. regionNow is what the region's clock shows.
func (s *linkStatus) snapshot(now, regionNow time.Time) PeerStatus {
	rtt, drift := s.clock.state()
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.status
	status.RTTMillis, status.DriftMillis = rtt.Milliseconds(), drift.Milliseconds()
	status.LagEntries = max(s.added, s.index) - s.index + status.Queued
	if s.wire != nil {
		status.BytesReceived += s.wire.received.Load()
	}
	peerNow := regionNow.Add(drift)
	switch {
	case s.oldest > 0:
		if s.behind.IsZero() {
			s.behind = now
		}
		// Stamps may be ahead of the clock of the region that made them, but what has waited here has waited.
		status.LagMillis = max(now.Sub(s.behind).Milliseconds(), peerNow.UnixMilli()-s.oldest.Millis())
	case s.tail > s.at && status.LagEntries > 0:
		if s.behind.IsZero() {
			s.behind = now
		}
		status.LagMillis = max(0, now.Sub(s.behind).Milliseconds())
		if s.at > 0 {
			status.LagMillis = min(max(0, peerNow.UnixMilli()-s.at.Millis()), status.LagMillis)
		}
	default:
		s.behind = time.Time{}
		status.LagEntries = 0
	}
	return status
}
