package syncer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/crdtmeta"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// shipment is the stream of our log to one peer.
type shipment struct {
	served
	self   crdtmeta.Origin // the peer's own origin: its epoch
	after  crdtmeta.Time   // where the stream begins
	window *window

	index  atomic.Int64 // entries of the log up to the last one sent, counted as Redis counts them
	cursor atomic.Int64 // time of the last entry sent
	tail   atomic.Int64 // newest entry that we know of
	added  atomic.Int64 // entries that the log ever had

	mu      sync.Mutex        // guards applied
	applied crdtmeta.Frontier // newest acknowledgement that is not stored
	fresh   chan struct{}     // applied changed
	doubted time.Time         // since when acknowledgements are not believed; zero: they are
}

func newShipment(s *server, frames *frameConn, peer hello, self crdtmeta.Origin, applied crdtmeta.Frontier) *shipment {
	limit := s.cfg.WindowBytes
	if peer.Window > 0 {
		limit = min(limit, peer.Window)
	}
	return &shipment{
		served: served{server: s, frames: frames, peer: peer}, self: self,
		window: &window{limit: limit}, applied: applied, fresh: make(chan struct{}, 1),
	}
}

// begin stores the peer's frontier as its first acknowledgement, so that from here on nothing that it lacks is trimmed,
// and then chooses the start.
func (p *shipment) begin(ctx context.Context) error {
	info, err := p.readHistory(ctx)
	if err != nil {
		return err
	}
	p.origin = info.origin
	if err := p.plausible(ctx, p.applied); err != nil {
		return err
	}
	switch err := p.storeAck(ctx, p.applied); {
	case refusesAll(err):
		p.storeLater()
	case err != nil:
		return err
	}
	if info, err = p.readHistory(ctx); err != nil {
		return err
	}
	if p.after, err = chooseStart(p.applied.Of(p.cfg.Region.ID, p.cfg.Shard), info.history); err != nil {
		return err
	}
	p.origin = info.origin
	p.cursor.Store(int64(p.after))
	p.observe(info)
	p.index.Store(indexAt(p.after, info))
	if err := p.frames.write(verbStream, int64(p.after), p.index.Load()); err != nil {
		return err
	}
	p.frames.open(p.cfg.FrameBytes, p.cfg.SilenceLimit)
	return nil
}

// run ships until the link or ctx ends.
func (p *shipment) run(ctx context.Context) error {
	messages, err := p.subscribe(ctx)
	if err != nil {
		return err
	}
	defer messages.Close()
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, p.frames.closeSoon)
	defer stop()
	group.Go(func() error { return p.receive(ctx) })
	group.Go(func() error { return p.shipMessages(ctx, messages) })
	group.Go(func() error { return p.ship(ctx) })
	group.Go(func() error { return p.storeAcks(ctx) })
	group.Go(func() error { return p.beat(ctx, p.observe) })
	return group.Wait()
}

// ship follows the log.
func (p *shipment) ship(ctx context.Context) error {
	client := p.blockingClient()
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() }) // ends a read that blocks
	defer stop()
	reader := &logReader{rdb: client, key: p.keys.log, after: p.after}
	pieces := &pieceWriter{shipment: p}
	var pace pacer
	for first := true; ctx.Err() == nil; {
		sleep(ctx, pace.pause(time.Now(), p.cfg.GatherTime))
		after := reader.after
		entries, skipped, err := reader.next(ctx)
		if err == nil && len(entries) > 0 {
			err = p.untrimmed(ctx, after)
		}
		if err == nil && len(entries) > 0 {
			err = p.replicated(ctx, client)
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		if skipped > 0 {
			p.counters.entriesSkipped.Add(int64(skipped))
			p.cfg.Log.Error().Int("entries", skipped).Msg("the log holds entries that Anabranch did not write; left out")
		}
		if first && len(entries) > 0 {
			if err := p.unbroken(ctx); err != nil {
				return err
			}
			first = false
		}
		for _, e := range entries {
			if !p.window.take(e) {
				// What is acknowledged first must have been sent first.
				if err := pieces.flush(); err != nil {
					return err
				}
				if err := p.window.enter(ctx, e); err != nil {
					return err
				}
			}
			if err := pieces.add(e); err != nil {
				return err
			}
		}
		if err := pieces.flush(); err != nil {
			return err
		}
		pace.sent(time.Now(), len(entries))
	}
	return ctx.Err()
}

// untrimmed makes sure that nothing behind the place from which entries were just read was trimmed meanwhile: a log that is over its
// size loses what a slow peer lacks.
func (p *shipment) untrimmed(ctx context.Context, after crdtmeta.Time) error {
	text, err := p.cfg.Redis.Get(ctx, p.keys.cut).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	cut, err := crdtmeta.ParseTime(text)
	if err != nil {
		return fmt.Errorf("%s: %w", p.keys.cut, err)
	}
	if cut <= after+1 {
		return nil
	}
	info, err := p.readHistory(ctx)
	if err != nil {
		return err
	}
	if !info.whole && after+1 < info.first {
		return refuse(codeBehind, "the log begins at %d now, behind %d: the peer is too slow for the backlog", info.first, after)
	}
	return nil
}

// replicated waits until enough replicas of the region's Redis have all that was read from it so far, so that no fail-over can
// take from this region what peers have. WAIT counts from the newest write of its own connection, so there is one.
func (s *Syncer) replicated(ctx context.Context, client *redis.Client) error {
	if s.cfg.ShipAfterReplicas == 0 {
		return nil
	}
	for ctx.Err() == nil {
		if err := shippedSet.Run(ctx, client, []string{s.keys.shipped}, time.Now().UnixMilli()).Err(); err != nil {
			return err
		}
		n, err := client.Wait(ctx, s.cfg.ShipAfterReplicas, replicaWait).Result()
		if err != nil {
			return err
		}
		if int(n) >= s.cfg.ShipAfterReplicas {
			return nil
		}
		s.counters.replicaWaits.Add(1)
	}
	return ctx.Err()
}

// shippedSet works when memory is short, too.
var shippedSet = newScript(`return redis.call('SET', KEYS[1], ARGV[1])`)

// replicaWait bounds one look at the replicas.
const replicaWait = 500 * time.Millisecond

// unbroken makes sure that nothing was trimmed between choosing the start and reading the first entries. Later on the
// peer's acknowledgement protects it.
func (p *shipment) unbroken(ctx context.Context) error {
	info, err := p.readHistory(ctx)
	if err != nil {
		return err
	}
	if !info.whole && p.after+1 < info.first {
		return refuse(codeBehind, "the log was trimmed while the stream began")
	}
	return p.sameEpoch(info)
}

func (p *shipment) observe(info logInfo) {
	p.tail.Store(int64(info.last))
	p.added.Store(info.added)
	if p.cursor.Load() >= int64(info.last) {
		p.index.Store(info.added)
	}
}

// indexAt estimates how many entries the log ever had up to t. It is exact at both ends.
func indexAt(t crdtmeta.Time, info logInfo) int64 {
	switch {
	case t >= info.last:
		return info.added
	case t < info.first || info.last <= info.first:
		return info.added - info.length
	}
	part := float64(t-info.first) / float64(info.last-info.first)
	return info.added - info.length + int64(part*float64(info.length))
}

// pieceWriter cuts entries into LOG frames.
type pieceWriter struct {
	*shipment
	buf     []byte
	entries int64 // completed in buf
}

func (w *pieceWriter) add(e entry) error {
	limit := w.cfg.BatchBytes
	w.buf = appendHead(w.buf, e)
	for body := e.body; ; {
		n := min(limit-len(w.buf), len(body))
		if n > 0 {
			w.buf = append(w.buf, body[:n]...)
			body = body[n:]
		}
		if len(body) == 0 {
			break
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.entries++
	w.cursor.Store(int64(e.t))
	w.index.Add(1)
	if len(w.buf) >= limit {
		return w.flush()
	}
	return nil
}

func (w *pieceWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	codec, payload := compress(w.buf, w.cfg.CompressFrom)
	err := w.frames.write(verbLog, codec, w.index.Load(), payload)
	w.counters.entriesSent.Add(w.entries)
	w.buf, w.entries = w.buf[:0], 0
	return err
}
