package syncer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"anabranch/crdtmeta"
)

// served is a connection over which a peer takes something from us: our log, or a merge. Both say the same with their heartbeats, so
// that a merge which takes hours keeps nobody from hearing of the membership and of regions in quarantine.
type served struct {
	*server
	frames *frameConn
	peer   hello
	origin crdtmeta.Origin // ours, in force when it began
	all    bool            // it is a merge of everything: what a region in quarantine has to take
	clock  peerClock
}

// beat tells the peer each second that we live, how long our log is and what we know, and looks whether it may go on. observe, if
// given, is told the shape of our log each time. While Redis is at work for long on a call of ours, the peer hears what it has heard before.
func (p *served) beat(ctx context.Context, observe func(logInfo)) error {
	var last *looked
	var looks looking[looked]
	for ctx.Err() == nil {
		now, answered := looks.next(ctx, p.cfg.BeatInterval, p.look)
		if answered && now.err != nil && !(p.engine.busy() && unanswered(now.err)) {
			return now.err
		}
		if answered && now.err == nil {
			last = &now
			if observe != nil {
				observe(now.info)
			}
		}
		if last != nil && time.Since(last.at) < patience && (answered || p.engine.busy()) {
			if err := p.frames.writeBeat(p.clock.outgoing(last.beat, p.redisClock.now())); err != nil {
				return err
			}
		}
		if answered {
			sleep(ctx, p.cfg.BeatInterval)
		}
	}
	return ctx.Err()
}

// looked is what a heartbeat says, and when that was so.
type looked struct {
	beat beat
	info logInfo
	at   time.Time
	err  error
}

func (p *served) look(ctx context.Context) looked {
	frontier, err := p.region.frontier(ctx)
	if err != nil {
		return looked{err: fmt.Errorf("reading the frontier: %w", err)}
	}
	info, err := p.region.history(ctx)
	if err != nil {
		return looked{err: fmt.Errorf("reading the log: %w", err)}
	}
	if err := p.sameEpoch(info); err != nil {
		return looked{err: err}
	}
	apart, err := p.stillAdmitted(ctx)
	if err != nil {
		return looked{err: err}
	}
	heard, err := p.tellHeard(ctx, p.peer.ID)
	b := beat{tail: info.last, added: info.added, frontier: frontier, apart: apart, roster: p.tellRoster(), heard: heard}
	return looked{beat: b, info: info, at: time.Now(), err: err}
}

// looking has one look at Redis at a time, which may take longer than one can wait for it.
type looking[T any] struct{ answer chan T }

// next waits for the look that goes on, or a new one, but for no longer than limit.
func (l *looking[T]) next(ctx context.Context, limit time.Duration, look func(context.Context) T) (t T, answered bool) {
	if l.answer == nil {
		answer := make(chan T, 1)
		l.answer = answer
		go func() { answer <- look(ctx) }() // ends when Redis answers, or the client gives up
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case t = <-l.answer:
		l.answer = nil
		return t, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return t, false
}

func (p *served) sameEpoch(info logInfo) error {
	if info.origin != p.origin {
		return refuse(codeEpoch, "region '%s' began epoch %s", p.cfg.Region.Name, info.origin.Epoch)
	}
	return nil
}

// stillAdmitted ends the link of a region that was removed meanwhile, or put into quarantine: that one has to take everything. It
// answers the ids of those that are in quarantine.
func (p *served) stillAdmitted(ctx context.Context) (apart []string, err error) {
	if err := p.admitMember(p.peer.Name); err != nil {
		return nil, err
	}
	apart, err = p.cfg.Redis.HKeys(ctx, p.keys.quarantined).Result()
	if err != nil {
		return nil, fmt.Errorf("reading who is in quarantine: %w", err)
	}
	if !p.all && slices.Contains(apart, formatID(p.peer.ID)) {
		return nil, refuse(codeEpoch, "region '%s' is in quarantine", p.peer.Name)
	}
	return apart, nil
}
