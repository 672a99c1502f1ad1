package proxy

import (
	"context"
	"math"
	"sync"
	"time"

	"anabranch/translate"
)

// pauseKind says which commands CLIENT PAUSE holds back. A higher one includes the lower ones.
type pauseKind int

const (
	pauseNothing pauseKind = iota
	pauseWrites            // what may change data or sends messages
	pauseAll               // everything
)

// pause is CLIENT PAUSE: it holds back commands of this proxy's clients.
type pause struct {
	mu      sync.Mutex
	kind    pauseKind
	end     time.Time
	changed chan struct{} // closed when clients that wait must look again
}

// extend begins a pause, or makes the present one as strict and as long as the stricter and the longer of the two.
func (p *pause) extend(kind pauseKind, end time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !time.Now().Before(p.end) {
		p.kind, p.end = pauseNothing, time.Time{}
	}
	if end.After(p.end) {
		p.end = end
	}
	p.kind = max(p.kind, kind)
	p.wake()
}

func (p *pause) lift() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind = pauseNothing
	p.wake()
}

// wake lets those that wait look again. The lock must be held.
func (p *pause) wake() {
	if p.changed != nil {
		close(p.changed)
	}
	p.changed = make(chan struct{})
}

// now returns what is held back at the moment, until when at the latest, and what is closed when that changes earlier.
func (p *pause) now() (kind pauseKind, left time.Duration, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	left = time.Until(p.end)
	if left <= 0 {
		p.kind = pauseNothing
	}
	return p.kind, left, p.changed
}

// clientPause is CLIENT PAUSE timeout-ms [WRITE|ALL].
func (s *session) clientPause(args [][]byte) {
	kind := pauseAll
	switch {
	case len(args) == 3:
	case len(args) > 4:
		s.replyError(errPauseSyntax)
		return
	case is(args[3], "WRITE"):
		kind = pauseWrites
	case !is(args[3], "ALL"):
		s.replyError(errPauseMode)
		return
	}
	millis, ok := integer(args[2])
	switch {
	case !ok:
		s.replyError(errTimeoutInteger)
		return
	case millis < 0:
		s.replyError(errTimeoutSign)
		return
	}
	millis = min(millis, math.MaxInt64/int64(time.Millisecond))
	s.server.pause.extend(kind, time.Now().Add(time.Duration(millis)*time.Millisecond))
	s.server.updateAlert()
	s.watchOut()
	s.replyOK()
}

func (s *session) clientUnpause([][]byte) {
	s.server.pause.lift()
	s.server.updateAlert()
	s.replyOK()
}

// postponed reports whether CLIENT PAUSE holds a command of this session back at the moment. Whoever monitors is never held
// back.
func (s *session) postponed(cmd *translate.Command) bool {
	kind, _, _ := s.server.pause.now()
	return !s.monitoring && s.held(kind, cmd)
}

// held looks at what EXEC would run.
func (s *session) held(kind pauseKind, cmd *translate.Command) bool {
	return kind.holds(cmd) || cmd == commandExec && s.tx != nil && s.tx.writes && kind != pauseNothing
}

func (k pauseKind) holds(cmd *translate.Command) bool {
	return k == pauseAll || k == pauseWrites && mayReplicate(cmd)
}

// mayReplicate tells commands that reach others: writes, messages, scripts that do not promise only to read, and PFCOUNT,
// which may write its estimate down.
func mayReplicate(cmd *translate.Command) bool {
	if cmd.Flags&translate.FlagWrite != 0 {
		return true
	}
	switch cmd.Name {
	case "PUBLISH", "SPUBLISH", "PFCOUNT", "EVAL", "EVALSHA", "FCALL":
		return true
	}
	return false
}

// awaitUnpaused waits until a command may run. false means that the client or the server goes. It may not be called
// inline.
func (s *session) awaitUnpaused(cmd *translate.Command) bool {
	s.flush()
	s.setBlocked(true)
	defer s.setBlocked(false)
	for {
		kind, left, changed := s.server.pause.now()
		if !s.held(kind, cmd) {
			s.server.updateAlert()
			return true
		}
		err := s.wait(func(ctx context.Context) error {
			timer := time.NewTimer(left)
			defer timer.Stop()
			select {
			case <-changed:
			case <-timer.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		})
		if err != nil {
			s.ending = true
			return false
		}
	}
}

// setBlocked tells CLIENT LIST and INFO that the session waits in a command.
func (s *session) setBlocked(blocked bool) {
	if s.blocked.Swap(blocked) == blocked {
		return
	}
	if blocked {
		s.server.blocked.Add(1)
	} else {
		s.server.blocked.Add(-1)
	}
}

// updateAlert sets what makes every session look closely before each command: somebody monitors, or clients are paused.
func (s *Server) updateAlert() {
	s.alerting.Lock()
	defer s.alerting.Unlock()
	kind, _, _ := s.pause.now()
	s.alert.Store(kind != pauseNothing || len(s.monitors.all()) > 0)
}
