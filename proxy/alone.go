package proxy

import (
	"context"
	"crypto/tls"
)

// detour goes on with a session whose next command may block, and brings it back to its loop afterwards.
func (s *session) detour() {
	if s.noRoom {
		s.lane.WaitRoom()
	}
	if s.next < s.have {
		s.consume()
	}
	s.settleLane()
	if s.ending || !s.makeRoom() || s.server.stopping.Load() {
		s.end()
		return
	}
	if s.noRoom {
		s.lane.WaitRoom()
		s.noRoom = false
	}
	if s.loop.poller.Add(s.out.sock, s) != nil {
		s.end()
		return
	}
	// From here on the session belongs to the loop.
	if s.server.stopping.Load() {
		s.loop.stop()
	}
}

// alone serves a session that has no loop: behind TLS, or where there is no poller.
func (s *session) alone() {
	defer s.end()
	if !s.shielded() {
		return
	}
	for !s.ending {
		s.own(firstBytes)
		n, err := s.conn.Read(s.buf[s.have:])
		if n > 0 {
			s.have += n
			s.consume()
			if s.noRoom {
				s.lane.WaitRoom()
			}
			s.settleLane()
		}
		if err != nil || !s.makeRoom() {
			return
		}
	}
}

// shielded says whether TLS came about, where there is to be TLS. Until then nothing is known of a client, and it has a place that others
// may want, so its time is limited.
func (s *session) shielded() bool {
	secure, ok := s.conn.(*tls.Conn)
	if !ok {
		return true
	}
	ctx, cancel := context.WithTimeout(s.server.lifetime, s.server.cfg.ControlTimeout)
	defer cancel()
	err := secure.HandshakeContext(ctx)
	if err != nil {
		s.server.cfg.Log.Debug().Err(err).Stringer("addr", s.conn.RemoteAddr()).Msg("a client's TLS handshake failed")
	}
	return err == nil
}

// wait runs something that may take long, and ends its context when the client goes away or the server stops. It blocks
// this client alone, and may not be called inline.
func (s *session) wait(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(s.server.lifetime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }() // ends with ctx at the latest
	gone, stop := s.hangup()
	defer stop()
	select {
	case err := <-done:
		return err
	case <-gone:
	case <-s.server.waiters.stop:
	}
	cancel()
	return <-done
}
