package syncer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// perform does what the applier says. Without anything to do it waits for what could change that.
func (l *link) perform(ctx context.Context, act action, moved, pauses <-chan struct{}) error {
	switch {
	case len(act.apply) > 0:
		return l.performApply(ctx, act)
	case act.fetch:
		return l.performFetch(ctx)
	case act.probe:
		return l.performProbe(ctx)
	case act.arm:
		if err := l.armed.run(ctx); err != nil {
			l.work.failed(time.Now(), err)
		} else {
			l.work.retry()
		}
		return nil
	}
	var due <-chan time.Time
	if !act.until.IsZero() {
		timer := time.NewTimer(time.Until(act.until))
		defer timer.Stop()
		due = timer.C
	}
	arrived := l.inbox.arrived
	if !act.until.IsZero() {
		arrived = nil // what waits is at the head: more behind it changes nothing
	}
	select {
	case <-arrived:
	case <-due:
	case <-moved:
	case <-pauses:
		l.work.wake()
	case <-ctx.Done():
	}
	return nil
}

func (l *link) performApply(ctx context.Context, act action) error {
	if l.wholes != l.collector.wholes.Load() {
		return errTakenBack
	}
	began := time.Now()
	answer, err := l.engine.apply(ctx, act.origin, act.position, act.apply)
	now := time.Now()
	if err != nil {
		if ctx.Err() == nil {
			l.work.failed(now, err)
		}
		return nil
	}
	entries, bytes, err := l.work.replied(now, act, answer, now.Sub(began))
	l.inbox.release(bytes)
	l.applied(entries, act.origin, answer.frontier)
	l.noteAhead(act.apply[:min(entries, len(act.apply))])
	if entries > 0 {
		l.view.raise(act.origin, answer.frontier)
		_ = l.frames.write(verbAck, l.acknowledgement().AppendMsgpack(nil)) // reading ends the link
	}
	return err
}

// paused says whether CRDT PAUSE holds the peer's region.
func (l *link) paused(ctx context.Context) (bool, error) {
	return l.cfg.Redis.SIsMember(ctx, l.keys.paused, formatID(l.id)).Result()
}

// performProbe looks whether the region is still paused, which is cheaper than handing entries to the engine to see.
func (l *link) performProbe(ctx context.Context) error {
	paused, err := l.paused(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		l.work.failed(time.Now(), err)
	case err == nil && !paused:
		l.work.retry()
	}
	return nil
}

// performFetch asks the peer for a key's state and hands it to the engine.
func (l *link) performFetch(ctx context.Context) error {
	request := fmt.Sprint(l.asked.Add(1))
	if err := l.frames.write(verbState, request, l.work.db, l.work.key); err != nil {
		return err
	}
	timeout := time.NewTimer(l.cfg.SilenceLimit)
	defer timeout.Stop()
	for {
		select {
		case answer := <-l.answer:
			if answer.request != request {
				continue
			}
			err := answer.err
			if err == nil {
				head, _ := l.work.head()
				err = l.engine.refill(ctx, l.work.db, l.work.key, answer.state, head.origin, head.t)
			}
			if err != nil {
				l.work.failed(time.Now(), fmt.Errorf("fetching a key's state: %w", err))
			} else {
				l.work.retry()
			}
			return nil
		case <-timeout.C:
			return errors.New("peer does not answer the request for a key's state")
		case <-ctx.Done():
			return nil
		}
	}
}
