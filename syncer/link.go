package syncer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"anabranch/crdtmeta"

	"golang.org/x/sync/errgroup"
)

// link is one connection over which the leader pulls a region's log and applies it.
type link struct {
	taken
	host   crdtmeta.Origin // that region's epoch
	work   *applier        // used by the goroutine of run alone
	inbox  *inbox
	answer chan stateAnswer
	mail   *mailbox
	asked  atomic.Int64 // number of the newest STATE
}

// stateAnswer is the reply to a STATE request.
type stateAnswer struct {
	request string
	state   []byte
	err     error
}

// run works until the link or ctx ends, and says why.
func (l *link) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, l.frames.closeSoon)
	defer stop()
	group.Go(func() error { return l.receive(ctx) })
	group.Go(func() error { return l.apply(ctx) })
	group.Go(func() error { return l.publishMessages(ctx) })
	group.Go(func() error { return l.beat(ctx, l.acknowledgement) })
	return group.Wait()
}

// receive fills the inbox until the link ends. What has come by then is applied first: the region that sent it may have lost it, and
// nobody else may have it.
func (l *link) receive(ctx context.Context) error {
	err := l.receiveAll(ctx)
	l.inbox.settle(ctx, settlePatience)
	return err
}

// settlePatience is how long nothing may happen to what has come before it is left to a new link: a Redis that is busy for a moment is not
// the end of it.
const settlePatience = 2 * time.Second

// receiveAll does not read while the inbox is full, and TCP stops the peer.
func (l *link) receiveAll(ctx context.Context) error {
	stream := &entryStream{limit: l.cfg.EntryBytes, last: l.start}
	var state stateAnswer
	for {
		f, err := l.frames.read()
		if errors.Is(err, io.EOF) {
			err = errors.New("peer closed the link")
		}
		if err != nil {
			return err
		}
		switch f.verb() {
		case verbLog:
			err = l.receiveLog(ctx, stream, f)
		case verbBeat:
			var b beat
			if b, err = l.hear(ctx, f); err == nil {
				err = l.compare(ctx, b.frontier)
			}
		case verbState:
			err = l.receiveState(&state, f)
		case verbMessage:
			err = l.receiveMessage(f)
		default:
			err = f.unexpected()
		}
		if err != nil {
			return err
		}
	}
}

func (l *link) receiveLog(ctx context.Context, stream *entryStream, f frame) error {
	index, err := f.number(2)
	if err != nil {
		return err
	}
	raw, err := expand(f.text(1), f.bytes(3), l.cfg.FrameBytes)
	if err != nil {
		return err
	}
	entries, err := stream.feed(raw)
	if err != nil {
		return err
	}
	l.received(len(entries), index)
	return l.inbox.put(ctx, entries)
}

func (l *link) receiveState(state *stateAnswer, f frame) error {
	if state.request != f.text(1) {
		*state = stateAnswer{request: f.text(1)}
	}
	if state.request != strconv.FormatInt(l.asked.Load(), 10) {
		return nil // nobody waits for it, or not any more
	}
	switch f.text(2) {
	case statePartError:
		state.err = fmt.Errorf("peer says: %q", cut(f.text(3)))
	case statePartMore, statePartLast:
		if len(state.state)+len(f.bytes(3)) > l.cfg.EntryBytes {
			return fmt.Errorf("%w: state larger than %d bytes", errProtocol, l.cfg.EntryBytes)
		}
		state.state = append(state.state, f.bytes(3)...)
	}
	if f.text(2) == statePartMore {
		return nil
	}
	select {
	case l.answer <- *state:
	default: // nobody asked
	}
	*state = stateAnswer{}
	return nil
}

// apply does what the applier says.
func (l *link) apply(ctx context.Context) error {
	for ctx.Err() == nil {
		moved, pauses := l.view.moved.next(), l.pauses.next()
		if entries := l.inbox.take(l.cfg.ChunkEntries * 4); len(entries) > 0 {
			if err := l.work.push(entries); err != nil {
				return err
			}
		}
		act := l.work.next(time.Now(), l.view.at)
		l.report(l.work)
		if err := l.perform(ctx, act, moved, pauses); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// acknowledgement is all that is applied here, and our own epoch.
func (l *link) acknowledgement() crdtmeta.Frontier {
	f := l.view.snapshot()
	f[l.self] = 0 // names the epoch; how long our own log is says nothing about theirs
	return f
}
