package syncer

import (
	"context"
	"fmt"
	"slices"

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
// given, is told the shape of our log each time. While Redis is at work on a call of ours that takes long, the peer hears what it has heard before.
func (p *served) beat(ctx context.Context, observe func(logInfo)) error {
	var last *beat
	for ctx.Err() == nil {
		if !p.engine.busy() {
			now, err := p.look(ctx, observe)
			switch {
			case err == nil:
				last = &now
			case !timedOut(err) || !p.engine.busy():
				return err
			}
		}
		if last != nil {
			if err := p.frames.writeBeat(p.clock.outgoing(*last, p.redisClock.now())); err != nil {
				return err
			}
		}
		sleep(ctx, p.cfg.BeatInterval)
	}
	return ctx.Err()
}

// look reads what a heartbeat says.
func (p *served) look(ctx context.Context, observe func(logInfo)) (b beat, err error) {
	frontier, err := p.region.frontier(ctx)
	if err != nil {
		return b, fmt.Errorf("reading the frontier: %w", err)
	}
	info, err := p.readHistory(ctx)
	if err != nil {
		return b, err
	}
	if err := p.sameEpoch(info); err != nil {
		return b, err
	}
	apart, err := p.stillAdmitted(ctx)
	if err != nil {
		return b, err
	}
	heard, err := p.tellHeard(ctx, p.peer.ID)
	if err != nil {
		return b, err
	}
	if observe != nil {
		observe(info)
	}
	return beat{tail: info.last, added: info.added, frontier: frontier, apart: apart, roster: p.tellRoster(), heard: heard}, nil
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
