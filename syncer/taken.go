package syncer

import (
	"context"

	"anabranch/crdtmeta"
)

// taken is a connection over which the leader takes something from a region: its log, or a merge. It is the other end of served.
type taken struct {
	*puller
	frames *frameConn
	self   crdtmeta.Origin // our own origin
}

// beat is our sign of life each second; it says what we have, where that is asked. It ends the link when our own region began a new
// epoch: its Redis may have lost what we acknowledged.
func (l *taken) beat(ctx context.Context, acknowledge func() crdtmeta.Frontier) error {
	var looks looking[error]
	for ctx.Err() == nil {
		err, answered := looks.next(ctx, l.cfg.BeatInterval, func(ctx context.Context) error { return l.region.stillIn(ctx, l.self) })
		if err != nil {
			return err
		}
		if answered || l.engine.busy() {
			var b beat
			if acknowledge != nil {
				b.frontier = acknowledge()
			}
			_ = l.frames.writeBeat(l.clock.outgoing(b, l.redisClock.now())) // reading ends the link
		}
		if answered {
			sleep(ctx, l.cfg.BeatInterval)
		}
	}
	return ctx.Err()
}

// hear takes a heartbeat of that region.
func (l *taken) hear(ctx context.Context, f frame) (beat, error) {
	b, err := f.asBeat()
	if err != nil {
		return b, err
	}
	l.clock.incoming(b, l.redisClock.now())
	l.heard(b)
	l.hearCounts(ctx, b.heard)
	return b, l.hearRoster(ctx, b.roster)
}
