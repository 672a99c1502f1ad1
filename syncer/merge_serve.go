package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// mergeServer gives a peer the state of keys.
type mergeServer struct {
	served
	source  *mergeSource
	offered crdtmeta.Frontier // the position that was offered
	missed  bool              // the peer is in quarantine
	asks    chan frame
	client  *redis.Client // for waiting
}

// openMerge takes MERGE and says what it is going to be. told is what the caller knows to be collected here.
func (s *server) openMerge(ctx context.Context, frames *frameConn, caller hello, request frame, told crdtmeta.Frontier) (session, error) {
	wanted, err := decodeJSON[mergeProgress](request, 1)
	if err != nil {
		return nil, refuse(codeProtocol, "%v", err)
	}
	if !wanted.valid() {
		return nil, refuse(codeProtocol, "%s: a merge '%.20s'", verbMerge, wanted.Mode)
	}
	if ofAll(wanted.Mode) {
		err = s.mayGiveAll(ctx, caller, wanted)
	} else {
		err = s.admitAgain(ctx, caller, told)
	}
	if err != nil {
		return nil, err
	}
	info, err := s.readHistory(ctx)
	if err != nil {
		return nil, err
	}
	// The position is read before the first key, so that whatever changes later comes with the log.
	position, err := s.engine.position(ctx, info.origin)
	if err != nil {
		return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	missed := ofAll(wanted.Mode) && wanted.Missed
	if !missed {
		if err := s.mayGiveKeys(ctx); err != nil {
			return nil, err
		}
	}
	upto, err := crdtmeta.DecodePosition([]byte(position))
	if err != nil {
		return nil, fmt.Errorf("%w: position: %w", errReply, err)
	}
	source := &mergeSource{
		server: s, upto: upto[info.origin], since: wanted.Upto, peer: mustOrigin(caller.Origin), given: newNameSet(),
	}
	offer := mergeOffer{Origin: info.origin.String(), Since: wanted.Since, Position: []byte(position)}
	switch {
	case wanted.Origin != "":
		named, err := source.named(ctx)
		if err != nil {
			return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
		}
		offer.Restart = wanted.Origin != offer.Origin || !named
	case ofAll(wanted.Mode):
		offer.Since = source.upto
	default:
		if offer.Since, err = s.beforeMerges(ctx, wanted.Since); err != nil {
			return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
		}
		wanted.Until = offer.Since
	}
	if err := s.describe(ctx, &offer, wanted); err != nil {
		return nil, refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	source.next = mergePlace{Phase: phaseLog, Until: max(wanted.Until, offer.Since), Scan: wanted.Scan}
	if !ofAll(wanted.Mode) {
		source.next.Scan = mergeCursor{Done: true}
	}
	m := &mergeServer{
		served: served{server: s, frames: frames, peer: caller, origin: info.origin, all: ofAll(wanted.Mode)}, asks: make(chan frame, 4),
		source: source, offered: upto, missed: missed,
	}
	frames.open(s.cfg.FrameBytes, s.cfg.SilenceLimit)
	if err := frames.write(verbMerging, encodeJSON(offer)); err != nil {
		return nil, err
	}
	s.counters.mergesServed.Add(1)
	s.cfg.Log.Info().Str("peer", caller.Name).Str("mode", wanted.Mode).Stringer("since", offer.Since).
		Int64("keys", offer.Total).Msg("peer merges our keys")
	return m, nil
}

// beforeMerges is the last place in our log, up to the one given, that lies in no merge of ours: what a merge had brought by then, whoever
// followed the log has not got (crdtmeta/lua/75_states.lua).
func (s *server) beforeMerges(ctx context.Context, since crdtmeta.Time) (crdtmeta.Time, error) {
	fields, err := s.cfg.Redis.HGetAll(ctx, s.keys.merges).Result()
	if err != nil {
		return 0, err
	}
	type spell struct{ first, end crdtmeta.Time }
	var spells []spell
	for name, value := range fields {
		ended, over := strings.CutPrefix(name, "ended:")
		_, running := strings.CutPrefix(name, "first:")
		if !over && !running && name != "pruned" {
			continue
		}
		first, err := crdtmeta.ParseTime(value)
		end := endOfTime
		if over && err == nil {
			end, err = crdtmeta.ParseTime(ended)
		}
		switch {
		case err != nil:
			return 0, fmt.Errorf("%s: %s: %w", s.keys.merges, name, err)
		case name == "pruned":
			spells = append(spells, spell{0, first})
		default:
			spells = append(spells, spell{first, end})
		}
	}
	slices.SortFunc(spells, func(a, b spell) int { return cmp.Compare(b.first, a.first) })
	for moved := true; moved; {
		moved = false
		for _, m := range spells {
			if m.first <= since && since < m.end {
				since, moved = max(m.first-1, 0), m.first > 0
			}
		}
	}
	return since, nil
}

// mayGiveAll keeps a region that has itself to merge everything from being the measure for another one. Of several such the one with
// the lowest id serves the others, so that not all wait for each other.
func (s *server) mayGiveAll(ctx context.Context, caller hello, wanted mergeProgress) error {
	ours, err := s.region.base(ctx)
	if err != nil {
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	if caller.Base.before(ours) && !wanted.Missed {
		return refuse(codeNotReady, "region '%s' has to merge everything itself", s.cfg.Region.Name)
	}
	if s.cfg.Region.ID < caller.ID {
		return nil
	}
	why, err := s.heldWhy(ctx)
	if err != nil {
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	if why == heldQuarantine {
		return refuse(codeNotReady, "region '%s' is itself in quarantine", s.cfg.Region.Name)
	}
	return nil
}

// mayGiveKeys keeps a region that merges everything itself from giving what it has: only some of its keys are as its frontier says. To one in
// quarantine it must, as each of the two may wait for the other, and likewise when the region that it merges from was removed.
func (s *server) mayGiveKeys(ctx context.Context) error {
	from, err := s.cfg.Redis.HGet(ctx, s.keys.merges, allField).Int()
	switch {
	case errors.Is(err, redis.Nil), err == nil && slices.Contains(s.removedIDs(), from):
		return nil
	case err != nil:
		return refuse(codeNotReady, "region '%s': redis: %v", s.cfg.Region.Name, err)
	}
	return refuse(codeNotReady, "region '%s' is merging everything itself", s.cfg.Region.Name)
}

// allField is where crdt:merges has the id of the region that everything is being merged from.
const allField = "all"

// describe adds to the offer how much there is, and which databases were emptied.
func (s *server) describe(ctx context.Context, offer *mergeOffer, wanted mergeProgress) error {
	flushed, err := s.cfg.Redis.HGetAll(ctx, s.keys.flushed).Result()
	if err != nil {
		return err
	}
	for text, at := range flushed {
		db, err := strconv.Atoi(text)
		t, wrong := crdtmeta.ParseTime(at)
		if err != nil || wrong != nil {
			return fmt.Errorf("%s: field %.20q: %w", s.keys.flushed, text, errFormat)
		}
		if t > offer.Since {
			offer.Flushed = append(offer.Flushed, db)
		}
		offer.Emptied = offer.Emptied || t > wanted.Until
	}
	noted, err := s.cfg.Redis.ZCount(ctx, s.keys.gc, "("+offer.Since.String(), "+inf").Result()
	if err != nil {
		return err
	}
	length, err := s.cfg.Redis.XLen(ctx, s.keys.log).Result()
	if err != nil {
		return err
	}
	offer.Total = noted + length
	if !ofAll(wanted.Mode) {
		return nil
	}
	databases, err := s.databases(ctx)
	if err != nil {
		return err
	}
	for _, db := range databases {
		size, err := s.databaseSize(ctx, db)
		if err != nil {
			return err
		}
		offer.Total += size
	}
	return nil
}

// run answers until the peer has all, or the link or ctx ends.
func (m *mergeServer) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, m.frames.closeSoon)
	defer stop()
	group.Go(func() error { return m.receive(ctx) })
	group.Go(func() error { return m.answer(ctx) })
	group.Go(func() error { return m.beat(ctx, nil) })
	return group.Wait()
}

func (m *mergeServer) receive(ctx context.Context) error {
	for {
		f, err := m.frames.read()
		if err != nil {
			return err
		}
		switch f.verb() {
		case verbNext, verbAsk:
			select {
			case m.asks <- f:
			case <-ctx.Done():
				return ctx.Err()
			}
		case verbBeat:
			b, err := f.asBeat()
			if err != nil {
				return err
			}
			m.clock.incoming(b, m.redisClock.now())
		default:
			return f.unexpected()
		}
	}
}

// answer gives one piece for each request.
func (m *mergeServer) answer(ctx context.Context) error {
	m.client = m.blockingClient()
	defer m.client.Close()
	stop := context.AfterFunc(ctx, func() { _ = m.client.Close() }) // ends a wait for replicas
	defer stop()
	for {
		var err error
		select {
		case f := <-m.asks:
			if f.verb() == verbNext {
				err = m.giveNext(ctx)
			} else {
				err = m.giveAsked(ctx, f)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func (m *mergeServer) giveNext(ctx context.Context) error {
	keys, err := m.source.batch(ctx)
	if err != nil {
		return err
	}
	raw := []byte(nil)
	if len(keys) == 0 {
		// That there is nothing must be true of the epoch that the peer takes the place of, and not of a server that has come since.
		if _, err := m.engine.position(ctx, m.origin); err != nil {
			return m.epochOver(ctx, err)
		}
	} else {
		vector, first, err := m.states(ctx, keys)
		if err != nil {
			return err
		}
		m.source.took(len(first))
		raw = appendStates(nil, vector, present(first))
	}
	return m.give(m.source.place, raw)
}

// present leaves out names that stand for nothing: their key comes by itself.
func present(keys []keyState) []keyState {
	kept := make([]keyState, 0, len(keys))
	for _, key := range keys {
		if key.state == "+" {
			continue
		}
		if key.db[0] == '-' {
			key.db = key.db[1:]
		}
		kept = append(kept, key)
	}
	return kept
}

// giveAsked answers for all names of the request, in several pieces if need be: each but the last is marked as more to come. Without names, it
// says what is collected.
func (m *mergeServer) giveAsked(ctx context.Context, f frame) error {
	raw, err := expand(f.text(1), f.bytes(2), m.cfg.FrameBytes)
	if err != nil {
		return err
	}
	keys, err := parseNames(raw)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		collected, err := m.region.collected(ctx)
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		return m.give(mergePlace{Phase: phaseOwn, End: true, Collected: collected}, nil)
	}
	for len(keys) > 0 {
		vector, first, err := m.states(ctx, keys)
		if err != nil {
			return err
		}
		keys = keys[len(first):]
		if err := m.give(mergePlace{Phase: phaseOwn, End: len(keys) == 0}, appendStates(nil, vector, first)); err != nil {
			return err
		}
	}
	return nil
}

// states asks the engine, and arms it if it must be.
func (m *mergeServer) states(ctx context.Context, keys []keyState) (string, []keyState, error) {
	vector, first, err := m.engine.states(ctx, m.origin, mergeBytes, keys)
	if err = m.epochOver(ctx, err); err != nil && classify(err) == failureEngine {
		m.cfg.Log.Error().Str("peer", m.peer.Name).Str("cause", plain(err)).Msg("a key cannot be given to a merge")
		return "", nil, refuse(codeNotReady, "region '%s': %s", m.cfg.Region.Name, plain(err))
	}
	if err == nil {
		err = m.stillGiven(ctx, vector)
	}
	if err == nil {
		err = m.replicated(ctx, m.client)
	}
	return vector, first, err
}

// stillGiven fails if this region has begun a merge of everything before keys were read, also one that is over by now: they may lack what the
// position that was offered has.
func (m *mergeServer) stillGiven(ctx context.Context, vector string) error {
	seen, err := crdtmeta.DecodeFrontier([]byte(vector))
	if err != nil {
		return fmt.Errorf("%w: vector: %w", errReply, err)
	}
	if !seen.CoversAll(m.offered) {
		return refuse(codeNotReady, "region '%s' has merged everything itself", m.cfg.Region.Name)
	}
	if m.missed {
		return nil
	}
	return m.mayGiveKeys(ctx)
}

// epochOver turns the error of a call that is meant for another epoch than the one in force into what the peer is told.
func (m *mergeServer) epochOver(ctx context.Context, err error) error {
	if err != nil && classify(err) == failureUnarmed {
		err = errors.Join(errOwnEpoch, m.armed.run(ctx))
	}
	if errors.Is(err, errOwnEpoch) {
		return m.otherEpoch()
	}
	return err
}

// give sends one piece, cut into frames.
func (m *mergeServer) give(place mergePlace, raw []byte) error {
	where := encodeJSON(place)
	return inParts(raw, m.cfg.BatchBytes, func(part string, piece []byte) error {
		codec, payload := compress(piece, m.cfg.CompressFrom)
		return m.frames.write(verbKeys, where, codec, part, payload)
	})
}

func (m *mergeServer) otherEpoch() error {
	return refuse(codeEpoch, "region '%s' began another epoch", m.cfg.Region.Name)
}
