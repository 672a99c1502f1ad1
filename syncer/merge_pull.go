package syncer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"anabranch/crdtmeta"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// merging is a merge that this region takes from another one, over one connection.
type merging struct {
	taken
	host     welcome
	progress mergeProgress
	offer    mergeOffer
	upto     crdtmeta.Frontier // the offer's position
	began    time.Time         // this connection
	given    nameSet           // over it
	pieces   chan piece
	size     int // keys in one engine call; follows the time that calls take
}

// piece is an answer to NEXT or ASK.
type piece struct {
	place  mergePlace
	vector string
	keys   []keyState
	bytes  int
}

const mergeAhead = 2 // pieces asked for ahead of the one at work

// merge takes the state of keys until this region has all that the other one had when the connection began.
func (p *puller) merge(ctx context.Context, frames *frameConn, self crdtmeta.Origin, host welcome, progress mergeProgress) error {
	began := time.Now()
	if err := frames.write(verbMerge, encodeJSON(progress)); err != nil {
		return err
	}
	frames.allow(p.cfg.FrameBytes)
	f, err := expectReply(frames, verbMerging)
	if err != nil {
		return err
	}
	p.behind = true
	m := &merging{
		taken: taken{puller: p, frames: frames, self: self}, host: host, progress: progress.in(self), began: began, given: newNameSet(),
		pieces: make(chan piece, mergeAhead), size: mergeBatch,
	}
	if m.offer, err = decodeJSON[mergeOffer](f, 1); err != nil {
		return err
	}
	if m.upto, err = crdtmeta.DecodePosition(m.offer.Position); err != nil || m.offer.Origin != host.Origin {
		return fmt.Errorf("%w: %s: %w", errProtocol, verbMerging, errors.Join(err, errFormat))
	}
	if m.offer.Restart {
		if err := p.mergeAnew(ctx, progress); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		return fmt.Errorf("region '%s' has not all that changed since: the merge begins anew", p.name)
	}
	m.progress.Origin, m.progress.Since = m.offer.Origin, m.offer.Since
	if progress.Origin == "" {
		m.progress.Until, m.progress.Base = m.offer.Since, host.Base
		p.beginsMerge(ofAll(progress.Mode) || m.offer.Since == 0)
		m.took()
	}
	m.progress.Anew = m.progress.Anew && progress.Origin == ""
	m.progress.Until = max(m.progress.Until, m.offer.Since)
	if m.offer.Emptied {
		m.progress.Own = mergeCursor{}
	}
	if m.progress.Mode == mergeChanges {
		if err := p.adoptCollected(ctx, host.Collected); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	frames.open(p.cfg.FrameBytes, p.cfg.SilenceLimit)
	p.cfg.Log.Info().Str("peer", p.name).Str("mode", m.progress.Mode).Stringer("since", m.progress.Since).Int64("keys", m.offer.Total).
		Int64("merged", m.progress.Keys).Msg("merge with region")
	if err := m.run(ctx); errors.Is(err, errOldPosition) {
		return nil
	} else if err != nil {
		return err
	}
	if err := p.release(ctx, self); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if ofAll(progress.Mode) {
		p.collector.wholes.Add(1)
	}
	p.behind = false
	p.endsMerge()
	p.counters.mergesDone.Add(1)
	p.cfg.Log.Info().Str("peer", p.name).Int64("keys", m.progress.Keys).Int64("bytes", m.progress.Bytes).
		Dur("took", time.Since(m.progress.Began)).Stringer("upto", m.upto[mustOrigin(m.offer.Origin)]).Msg("merge is over")
	return p.view.load(ctx, p.region.frontier)
}

// mergeAnew forgets how far a merge has got. One of everything stays one: a region in quarantine is let out by nothing else.
func (p *puller) mergeAnew(ctx context.Context, progress mergeProgress) error {
	if ofAll(progress.Mode) {
		begun := beginAll(progress.Mode)
		begun.Base, begun.Anew = progress.Base, progress.Anew
		return p.cfg.Redis.HSet(ctx, p.keys.merges, formatID(p.id), begun.text()).Err()
	}
	return p.cfg.Redis.HDel(ctx, p.keys.merges, formatID(p.id)).Err()
}

// mustOrigin reads an origin that was checked.
func mustOrigin(text string) crdtmeta.Origin {
	origin, _ := crdtmeta.ParseOrigin(text)
	return origin
}

var (
	errMerged      = errors.New("the merge is over")
	errOldPosition = errors.New("the merge goes on from a newer position")
)

func (m *merging) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, m.frames.closeSoon)
	defer stop()
	defer m.merges(nil, "")
	group.Go(func() error { return m.receive(ctx) })
	group.Go(func() error { return m.beat(ctx, nil) })
	group.Go(func() error {
		if err := m.work(ctx); err != nil {
			return err
		}
		return errMerged
	})
	if err := group.Wait(); !errors.Is(err, errMerged) {
		return err
	}
	return nil
}

// receive puts the parts of pieces together.
func (m *merging) receive(ctx context.Context) error {
	var raw []byte
	for {
		f, err := m.frames.read()
		if err != nil {
			return err
		}
		switch f.verb() {
		case verbKeys:
			part, err := expand(f.text(2), f.bytes(4), m.cfg.FrameBytes)
			if err != nil {
				return err
			}
			if raw = append(raw, part...); len(raw) > m.cfg.EntryBytes {
				return fmt.Errorf("%w: states larger than %d bytes", errProtocol, m.cfg.EntryBytes)
			}
			if f.text(3) == statePartMore {
				continue
			}
			place, err := decodeJSON[mergePlace](f, 1)
			if err != nil {
				return err
			}
			if !place.valid() {
				return fmt.Errorf("%w: %s: phase %.20q", errProtocol, verbKeys, place.Phase)
			}
			p := piece{place: place, bytes: len(raw)}
			if len(raw) > 0 {
				if p.vector, p.keys, err = parseStates(raw); err == nil {
					_, err = crdtmeta.DecodeFrontier([]byte(p.vector))
				}
				if err != nil {
					return err
				}
			}
			raw = nil
			select {
			case m.pieces <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		case verbBeat:
			if _, err := m.hear(ctx, f); err != nil {
				return err
			}
		default:
			return f.unexpected()
		}
	}
}

// next waits for a piece.
func (m *merging) next(ctx context.Context) (piece, error) {
	select {
	case p := <-m.pieces:
		m.progress.Bytes += int64(p.bytes)
		return p, nil
	case <-ctx.Done():
		return piece{}, ctx.Err()
	}
}

const emptyVector = "\x80" // in msgpack

// work merges what the other region enumerates, then what only this region may have, and then moves the frontier.
func (m *merging) work(ctx context.Context) error {
	m.show("")
	if ofAll(m.progress.Mode) { // what others have read of this region holds no more
		m.collector.wholes.Add(1)
	}
	// The engine ends a merge of everything only once: as long as it is noted.
	if err := m.call(ctx, m.progress.text(), emptyVector, nil); err != nil {
		return err
	}
	m.progress.Anew = false
	if ofAll(m.progress.Mode) { // it has taken the frontier back
		if err := m.view.load(ctx, m.region.frontier); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	// The position is that of this connection, so their changes up to it are part of any merge, also of one that goes on with our keys.
	if err := m.takeTheirs(ctx); err != nil {
		return err
	}
	m.progress.Phase = phaseOwn
	if err := m.takeOwn(ctx); err != nil {
		return err
	}
	if ofAll(m.progress.Mode) { // not before all of it is here: others would take what we have for all that there is
		collected, err := m.collected(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(m.adoptCollected(ctx, collected), m.adoptBase(ctx, m.host.Base)); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return m.call(ctx, "", emptyVector, nil)
}

// took notes that all keys which were gone through are as of the position of this connection, or later.
func (m *merging) took() {
	if ofAll(m.progress.Mode) {
		m.progress.Upto = m.upto
	}
}

// fresh ends the connection if its position is so old that what is beyond it may soon be collected. How far the merge has got is noted. It is as
// good as new if the other region has nothing beyond it, or does not collect without this one.
func (m *merging) fresh(ctx context.Context) error {
	leftOut := m.host.Apart || m.leavesOut(m.cfg.Region.ID)
	if !ofAll(m.progress.Mode) || !leftOut || time.Since(m.began) < m.cfg.Grace/2 || !m.longer(m.upto[mustOrigin(m.offer.Origin)]) {
		return nil
	}
	return cmp.Or(m.call(ctx, m.progress.text(), emptyVector, nil), errOldPosition)
}

// remember keeps which keys have come, for when we ask for our own.
func (m *merging) remember(keys []keyState) {
	if !ofAll(m.progress.Mode) && len(m.offer.Flushed) == 0 {
		return
	}
	for _, key := range keys {
		m.given.add(key.db, key.key)
	}
}

func (m *merging) takeTheirs(ctx context.Context) error {
	for range mergeAhead {
		if err := m.frames.write(verbNext); err != nil {
			return err
		}
	}
	for {
		p, err := m.next(ctx)
		if err != nil {
			return err
		}
		before := m.progress.Scan
		err = m.take(ctx, p, func() {
			m.progress.Phase, m.progress.Scan, m.progress.Until = p.place.Phase, p.place.Scan, p.place.Until
			if p.place.Phase != phaseLog || p.place.End {
				m.took()
			}
		})
		if err != nil || p.place.End {
			return err
		}
		if p.place.Scan != before { // several pieces of a page stand at its beginning
			if err := m.fresh(ctx); err != nil {
				return err
			}
		}
		if err := m.frames.write(verbNext); err != nil {
			return err
		}
	}
}

// take merges one piece; moved notes the progress with the last part of it.
func (m *merging) take(ctx context.Context, p piece, moved func()) error {
	for n := callSize(p.keys, m.size); n < len(p.keys); n = callSize(p.keys, m.size) {
		first, rest := p.keys[:n], p.keys[n:]
		m.progress.Keys += int64(len(first))
		if err := m.call(ctx, m.progress.text(), p.vector, first); err != nil {
			return err
		}
		p.keys = rest
	}
	m.progress.Keys += int64(len(p.keys))
	moved()
	if len(p.keys) == 0 {
		return nil
	}
	return m.call(ctx, m.progress.text(), p.vector, p.keys)
}

// takeOwn asks for what the other region has of our keys in databases that were emptied there, or in all of them.
func (m *merging) takeOwn(ctx context.Context) error {
	databases, err := m.databases(ctx)
	if err != nil {
		return err
	}
	wanted := map[int]bool{}
	for _, db := range m.offer.Flushed {
		wanted[db] = true
	}
	own := &m.progress.Own
	for _, db := range databases {
		if db < own.DB || own.Done || !(ofAll(m.progress.Mode) || wanted[db] || wanted[-1]) {
			continue
		}
		if db > own.DB {
			*own = mergeCursor{DB: db}
		}
		for {
			if own.Cursor, err = m.ownPage(ctx, db); err != nil {
				return err
			}
			if own.Cursor == 0 {
				break
			}
			if err := m.fresh(ctx); err != nil {
				return err
			}
		}
	}
	own.Done = true
	return nil
}

// ownPage does so for one page of SCAN.
func (m *merging) ownPage(ctx context.Context, db int) (cursor uint64, err error) {
	names, cursor, err := m.scanPage(ctx, db, m.progress.Own.Cursor, mergeStep)
	if err != nil {
		return 0, err
	}
	var asked []keyState
	bytes, met, text := 0, map[string]bool{}, strconv.Itoa(db) // a key and its companion are two names
	for _, name := range names {
		if strings.HasPrefix(name, m.cfg.Prefix) {
			key, ok := crdtmeta.KeyOf(m.cfg.Prefix, name)
			if !ok {
				continue
			}
			name = key
		}
		if met[name] || m.given.has(text, name) {
			continue
		}
		met[name] = true
		if bytes += len(name); bytes > m.cfg.BatchBytes {
			if err := m.ask(ctx, asked); err != nil {
				return 0, err
			}
			asked, bytes = nil, len(name)
		}
		asked = append(asked, keyState{db: text, key: name})
	}
	return cursor, m.ask(ctx, asked)
}

// ask merges keys that we name.
func (m *merging) ask(ctx context.Context, keys []keyState) error {
	if len(keys) == 0 {
		return nil
	}
	if err := m.askFor(keys); err != nil {
		return err
	}
	for {
		p, err := m.answer(ctx)
		if err != nil {
			return err
		}
		if err := m.take(ctx, p, func() {}); err != nil || p.place.End {
			return err
		}
	}
}

// collected is what the other region has collected by now. Keys that were read late have no stamps of that.
func (m *merging) collected(ctx context.Context) (crdtmeta.Frontier, error) {
	if err := m.askFor(nil); err != nil {
		return nil, err
	}
	p, err := m.answer(ctx)
	return p.place.Collected, err
}

func (m *merging) askFor(keys []keyState) error {
	codec, payload := compress(appendNames(keys), m.cfg.CompressFrom)
	return m.frames.write(verbAsk, codec, payload)
}

// answer waits for a piece of what was asked for by name.
func (m *merging) answer(ctx context.Context) (piece, error) {
	for {
		p, err := m.next(ctx)
		if err != nil || p.place.Phase == phaseOwn { // others were asked for ahead, behind the end
			return p, err
		}
	}
}

// call hands keys to the engine, again and again while it cannot take them. It rests as long as the call took: clients come
// first. Calls that take long make the next ones smaller.
func (m *merging) call(ctx context.Context, progress, vector string, keys []keyState) error {
	delay, said := m.cfg.RetryMin, ""
	for ctx.Err() == nil {
		began := time.Now()
		answer, err := m.engine.merge(ctx, m.self, m.id, m.progress.Mode, progress, string(m.offer.Position), vector, keys)
		took := time.Since(began)
		switch answer {
		case mergeEpoch:
			return errOwnEpoch
		case mergeOver:
			return errItsEpoch
		case mergeAnew:
			return errTakenBack
		case mergeTaken:
			if ofAll(m.progress.Mode) && len(keys) > 0 {
				m.collector.moved.Store(time.Now().UnixNano())
			}
			m.remember(keys)
			m.adapt(len(keys), took)
			m.show("")
			sleep(ctx, min(took, m.cfg.ChunkTime*4))
			return ctx.Err()
		}
		cause, level := answer, zerolog.WarnLevel
		if err != nil {
			fail := classify(err)
			if fail == failureUnarmed {
				err = cmp.Or(m.armed.run(ctx), err)
			}
			if fail == failureEngine {
				level = zerolog.ErrorLevel // it will not go away by itself
			}
			cause = stallText(fail, err)
		}
		m.show(cause)
		if cause != said {
			m.cfg.Log.WithLevel(level).Str("peer", m.name).Str("phase", m.progress.Phase).Str("cause", cause).Msg("merge waits")
			said = cause
		}
		sleep(ctx, delay)
		delay = min(2*delay, m.cfg.RetryMax)
	}
	return ctx.Err()
}

func (m *merging) show(cause string) {
	m.merges(&MergeStatus{
		Mode: m.progress.Mode, Phase: m.progress.Phase, Keys: m.progress.Keys, Total: max(m.offer.Total, m.progress.Keys),
		Bytes: m.progress.Bytes, Began: m.progress.Began,
	}, cause)
}
