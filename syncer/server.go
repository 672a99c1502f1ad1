package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"anabranch/crdtmeta"
	"anabranch/internal/listen"
)

// server ships this region's log to the peers that connect.
type server struct {
	*Syncer
	strangers *crowd // by host: connections whose other side is not known yet
	callers   *crowd // by region
	links     sync.WaitGroup
}

func newServer(s *Syncer) *server {
	return &server{
		Syncer:    s,
		strangers: newCrowd(s.cfg.MaxStrangers, max(1, s.cfg.MaxStrangers/4)),
		callers:   newCrowd(s.cfg.MaxLinks, max(1, s.cfg.MaxLinks/8)),
	}
}

// accept serves until ctx ends.
func (s *server) accept(ctx context.Context, listener net.Listener) error {
	defer s.links.Wait()
	return listen.Serve(ctx, listener, s.cfg.Log, func(conn net.Conn) {
		// One host that fills its share keeps nobody else out.
		host := hostOf(conn)
		if !s.strangers.enter(host) {
			s.counters.streamsRefused.Add(1)
			_ = conn.Close()
			return
		}
		s.links.Go(func() { // ends with its connection, which ends with ctx
			s.serve(ctx, conn, sync.OnceFunc(func() { s.strangers.leave(host) }))
		})
	})
}

// session is what a peer wants once it is known: our log, or a merge.
type session interface {
	run(ctx context.Context) error
}

// serve owns the connection. known is called when its other side is no stranger any more.
func (s *server) serve(ctx context.Context, conn net.Conn, known func()) {
	defer known()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &greeting{server: s, conn: conn, name: "from " + hostOf(conn), stranger: true}
	defer g.end()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	err := g.shake(ctx)
	known()
	if err == nil {
		s.noteRefusal(g.name, nil)
		err = g.session.run(ctx)
		s.cfg.Log.Info().Str("peer", g.name).Stringer("addr", conn.RemoteAddr()).Str("cause", plain(err)).Msg("peer stopped pulling")
	} else if ctx.Err() == nil && !errors.Is(err, io.EOF) {
		s.counters.streamsRefused.Add(1)
		if g.stranger {
			s.noteStranger(g.name, err)
		} else {
			s.noteRefusal(g.name, err)
		}
	}
	var refusal *peerError
	if errors.As(err, &refusal) {
		if refusal.code == codeBehind {
			s.counters.mergesRequested.Add(1)
		}
		g.refuse(refusal)
	}
}

// admit checks that the caller is a peer, and means us.
func (s *server) admit(ctx context.Context, caller hello) error {
	me := s.cfg.Region
	switch {
	case caller.RunID == s.cfg.RunID, caller.ID == me.ID && caller.Name == me.Name:
		return refuse(codeSelf, "peer is this region itself: '%s' (id %d)", me.Name, me.ID)
	case caller.ID == me.ID:
		return refuse(codeIdentity, "regions '%s' and '%s' both have id %d", caller.Name, me.Name, me.ID)
	case caller.Name == me.Name:
		return refuse(codeIdentity, "regions with ids %d and %d are both called '%s'", caller.ID, me.ID, me.Name)
	case caller.ID < crdtmeta.MinRegion || caller.ID > crdtmeta.MaxRegion:
		return refuse(codeIdentity, "region id %d is not in %d–%d", caller.ID, crdtmeta.MinRegion, crdtmeta.MaxRegion)
	case caller.ExpectName != me.Name:
		return refuse(codeIdentity, "this is region '%s' (id %d), not '%.128s'", me.Name, me.ID, caller.ExpectName)
	case caller.ExpectID != 0 && caller.ExpectID != me.ID:
		return refuse(codeIdentity, "region '%s' has id %d, not %d", me.Name, me.ID, caller.ExpectID)
	case caller.Shard != s.cfg.Shard:
		return refuse(codeIdentity, "region '%s' has no shard %d", me.Name, caller.Shard)
	}
	if err := s.admitMember(caller.Name); err != nil {
		return err
	}
	// Who is known as a member has something of the record.
	if recording, err := s.Recording(ctx); err != nil || !recording {
		return refuse(codeNotReady, "region '%s' records nothing: passive proxies are in front of its Redis, or Redis does not answer", me.Name)
	}
	return s.learn(ctx, caller.Name, caller.ID)
}

// admitMember checks that a region is a member.
func (s *Syncer) admitMember(name string) error {
	if _, removed := s.removed(name); removed {
		return refuse(codeIdentity, "region '%.128s' was removed: `anabranch members add` lets it in again, with a merge of everything", name)
	}
	if s.peers()[name] == nil {
		return refuse(codeIdentity, "unknown member: region '%.128s' is no peer of '%s'", name, s.cfg.Region.Name)
	}
	return nil
}

// learn notes a region's id. Without Redis nothing can be noted, which is no fault of the peer.
func (s *Syncer) learn(ctx context.Context, name string, id int) error {
	err := s.members.learn(ctx, name, id)
	var refusal *peerError
	if err != nil && !errors.As(err, &refusal) {
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	return err
}

// open answers HELLO, takes PULL or MERGE, and finds the place to begin at.
func (s *server) open(ctx context.Context, frames *frameConn, caller hello, c *challenge) (session, error) {
	info, err := s.readHistory(ctx)
	if err != nil {
		return nil, err
	}
	self, err := caller.origin()
	if err != nil {
		return nil, err
	}
	if err := s.announce(ctx, self); err != nil {
		return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	collected, collectedErr := s.region.collected(ctx)
	applied, appliedErr := s.region.frontier(ctx)
	held, heldErr := s.heldWhy(ctx)
	ours, baseErr := s.region.base(ctx)
	apart, until, apartErr := s.inQuarantine(ctx, caller.ID)
	later, laterErr := s.laterEpoch(ctx, self)
	if err := errors.Join(collectedErr, appliedErr, heldErr, baseErr, apartErr, laterErr); err != nil {
		return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	body := encodeJSON(welcome{
		Base: ours, Collected: collected, Frontier: applied, Later: later, Held: held == heldQuarantine, Apart: apart && caller.Reentry <= until,
		Name: s.cfg.Region.Name, ID: s.cfg.Region.ID, Shard: s.cfg.Shard, RunID: s.cfg.RunID,
		Origin: info.origin.String(), Tail: info.last, Epochs: newestEpochs(info.epochs),
	})
	if err := frames.write(verbWelcome, protocolVersion, body, c.sealed(body)); err != nil {
		return nil, err
	}
	frames.allow(s.cfg.FrameBytes)
	request, err := frames.read()
	if err != nil {
		return nil, err
	}
	switch request.verb() {
	case verbPull:
	case verbMerge:
		return s.openMerge(ctx, frames, caller, request, collected)
	default:
		return nil, refuse(codeProtocol, "expected %s or %s", verbPull, verbMerge)
	}
	frontier, err := crdtmeta.DecodeFrontier(request.bytes(1))
	if err != nil {
		return nil, refuse(codeProtocol, "%s: %v", verbPull, err)
	}
	if err := s.admitAgain(ctx, caller, collected); err != nil {
		return nil, err
	}
	shipment := newShipment(s, frames, caller, self, frontier)
	if err := shipment.begin(ctx); err != nil {
		return nil, err
	}
	s.counters.streamsServed.Add(1)
	s.cfg.Log.Info().Str("peer", caller.Name).Stringer("addr", frames.conn.RemoteAddr()).Stringer("after", shipment.after).Msg("peer pulls our log")
	return shipment, nil
}

// laterEpoch is what of its own epochs the caller should know of.
func (s *server) laterEpoch(ctx context.Context, self crdtmeta.Origin) (string, error) {
	acked, err := s.acks.load(ctx)
	if err != nil {
		return "", err
	}
	later := self
	for origin := range acked[self.Region] {
		if origin.Region == self.Region && origin.Shard == self.Shard && origin != self && origin.Counter() >= later.Counter() {
			later = origin
		}
	}
	if later == self {
		return "", nil
	}
	return later.String(), nil
}

func (s *server) readHistory(ctx context.Context) (logInfo, error) {
	info, err := s.region.history(ctx)
	if err != nil {
		return info, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	if info.origin.IsZero() {
		return info, refuse(codeNotReady, "region '%s' has no epoch yet", s.cfg.Region.Name)
	}
	return info, nil
}

func newestEpochs(all map[string]crdtmeta.Time) map[string]crdtmeta.Time {
	shown := map[string]crdtmeta.Time{}
	list := sortedEpochs(all)
	for _, epoch := range list[max(0, len(list)-maxEpochsShown):] {
		shown[epoch] = all[epoch]
	}
	return shown
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}

// formatID is how a region's id stands in fields of hashes.
func formatID(id int) string { return strconv.Itoa(id) }

var errProtocol = fmt.Errorf("peer broke the protocol")
