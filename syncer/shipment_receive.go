package syncer

import (
	"context"
	"fmt"
	"time"

	"anabranch/crdtmeta"
)

// ackPause is the least time between two stores of one peer's acknowledgements: they come with every applied chunk.
const ackPause = 2 * time.Millisecond

// receive takes what the peer sends back.
func (p *shipment) receive(ctx context.Context) error {
	for {
		f, err := p.frames.read()
		if err != nil {
			return err
		}
		switch f.verb() {
		case verbAck:
			err = p.takeAck(ctx, f.bytes(1))
		case verbBeat:
			var b beat
			if b, err = f.asBeat(); err == nil {
				p.clock.incoming(b, p.redisClock.now())
				err = p.take(ctx, b.frontier)
			}
		case verbState:
			err = p.answerState(ctx, f)
		default:
			err = f.unexpected()
		}
		if err != nil {
			return err
		}
	}
}

func (p *shipment) takeAck(ctx context.Context, packed []byte) error {
	applied, err := crdtmeta.DecodeFrontier(packed)
	if err != nil {
		return err
	}
	return p.take(ctx, applied)
}

// take checks an acknowledgement, frees the window, and leaves it to be stored.
func (p *shipment) take(ctx context.Context, applied crdtmeta.Frontier) error {
	if err := p.plausible(ctx, applied); err != nil {
		return err
	}
	p.window.acked(applied.Of(p.cfg.Region.ID, p.cfg.Shard).Newest())
	p.mu.Lock()
	p.applied = applied
	p.mu.Unlock()
	p.storeLater()
	return nil
}

// storeLater has the newest acknowledgement stored.
func (p *shipment) storeLater() {
	select {
	case p.fresh <- struct{}{}:
	default: // a store that has not begun will take this one
	}
}

// plausible refuses the acknowledgement of what was never written: it would let the log be trimmed in the future.
func (p *shipment) plausible(ctx context.Context, applied crdtmeta.Frontier) error {
	t := applied[p.origin]
	if t <= crdtmeta.Time(p.tail.Load()) {
		return nil
	}
	info, err := p.readHistory(ctx)
	if err != nil {
		return err
	}
	p.observe(info)
	if info.origin == p.origin && t > info.last {
		return refuse(codeAhead, "%s is known there up to %d, but its log ends at %d", p.origin, t, info.last)
	}
	return nil
}

// storeAcks writes acknowledgements to Redis, the newest one, at a bounded rate.
func (p *shipment) storeAcks(ctx context.Context) error {
	for {
		select {
		case <-p.fresh:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.mu.Lock()
		applied := p.applied
		p.mu.Unlock()
		pause := ackPause
		switch err := p.storeAck(ctx, applied); {
		case refusesAll(err):
			// Nothing is trimmed either while Redis takes no writes. The peer need not wait for that to end.
			pause = p.cfg.BeatInterval
			p.storeLater()
		case err != nil:
			return err
		}
		sleep(ctx, pause)
	}
}

func (p *shipment) storeAck(ctx context.Context, applied crdtmeta.Frontier) error {
	if _, said := applied[p.self]; !said {
		applied = applied.Clone()
		applied[p.self] = 0
	}
	believed, err := p.acks.store(ctx, p.peer.ID, p.self, applied)
	switch {
	case err != nil:
		return fmt.Errorf("storing an acknowledgement: %w", err)
	case believed:
		p.doubted = time.Time{}
	case p.doubted.IsZero():
		p.doubted = time.Now()
	case time.Since(p.doubted) > doubtBeats*p.cfg.BeatInterval:
		return refuse(codeEpoch, "epoch %s of region '%s' is over", p.self.Epoch, p.peer.Name)
	}
	return nil
}

// doubtBeats is for how many heartbeats acknowledgements of an epoch that is over may come. A leader that stood still, or an old
// primary that nobody confirms any more, ends sooner. Who goes on is told on the next link which epoch it does not know of.
const doubtBeats = 10

// answerState reads one key for a peer whose copy expired before an effect that needs it. It travels in parts.
func (p *shipment) answerState(ctx context.Context, f frame) error {
	request := f.text(1)
	db, err := f.number(2)
	if err != nil || len(f) != 4 {
		return fmt.Errorf("%w: %s", errProtocol, verbState)
	}
	body, err := p.engine.state(ctx, db, f.bytes(3))
	if err != nil {
		return p.frames.write(verbState, request, statePartError, err.Error())
	}
	return inParts(body, p.cfg.BatchBytes, func(part string, piece []byte) error {
		return p.frames.write(verbState, request, part, piece)
	})
}

// inParts cuts a body so that its pieces fit into frames, and calls write with each and with what it is.
func inParts(body []byte, size int, write func(part string, piece []byte) error) error {
	for len(body) > size {
		if err := write(statePartMore, body[:size]); err != nil {
			return err
		}
		body = body[size:]
	}
	return write(statePartLast, body)
}

// The parts of an answer to STATE.
const (
	statePartMore  = "more"
	statePartLast  = "last"
	statePartError = "error"
)
