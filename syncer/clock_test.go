package syncer

import (
	"testing"
	"time"
)

// A clock that is set back must not make beats that the peer refuses: the link would stay down until the clock has caught up.
func TestBeatAfterTheClockWasSetBack(t *testing.T) {
	var clock peerClock
	now := time.Now()
	clock.incoming(beat{now: now.UnixMilli()}, now)
	if b := clock.outgoing(beat{}, now.Add(-time.Hour)); b.held < 0 || b.echo != 0 {
		t.Errorf("%+v", b)
	}
	if b := clock.outgoing(beat{}, now.Add(time.Second)); b.held != 1000 || b.echo != now.UnixMilli() {
		t.Errorf("%+v", b)
	}
}
