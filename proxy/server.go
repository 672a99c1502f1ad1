package proxy

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"anabranch/internal/listen"
	"anabranch/internal/resp"
	"anabranch/translate"
)

// Server accepts clients and serves them.
type Server struct {
	cfg        Config
	classifier *translate.Classifier
	users      *users

	mu       sync.Mutex
	listener net.Listener
	sessions map[int64]*session
	nextID   int64

	waiters  *waiters
	clients  sync.WaitGroup // sessions that are not closed yet
	loops    []*loop
	stopping atomic.Bool
	lifetime context.Context
	seconds  atomic.Int64 // Unix time, coarse: read at each command, so it must cost nothing

	redirects redirects
	monitors  monitors
	pause     pause
	alerting  sync.Mutex   // guards the change of alert
	alert     atomic.Bool  // see updateAlert
	blocked   atomic.Int64 // sessions that wait in a command

	accepted atomic.Int64
	rejected atomic.Int64
	cutOff   atomic.Int64
}

// New checks the configuration. It listens to nothing.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Classifier == nil {
		cfg.Classifier = translate.New("")
	}
	s := &Server{
		cfg:        cfg,
		classifier: cfg.Classifier,
		users:      newUsers(cfg),
		sessions:   make(map[int64]*session),
		waiters:    newWaiters(),
		lifetime:   context.Background(),
	}
	s.users.changed = s.usersChanged
	s.seconds.Store(time.Now().Unix())
	return s, nil
}

// Bind opens the listening socket and returns its address. Run does it too; calling it before tells the port of
// an address with port 0.
func (s *Server) Bind() (net.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		listener, err := net.Listen("tcp", s.cfg.Listen)
		if err != nil {
			return nil, err
		}
		s.listener = listener
	}
	return s.listener.Addr(), nil
}

// Run serves clients until ctx ends. Then it accepts no more, lets the replies in flight finish, and closes.
func (s *Server) Run(ctx context.Context) error {
	addr, err := s.Bind()
	if err != nil {
		return err
	}
	lifetime, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.mu.Lock()
	s.lifetime = lifetime
	s.mu.Unlock()
	s.cfg.Log.Info().Stringer("addr", addr).Msg("listening for clients")

	var helpers sync.WaitGroup
	helpers.Go(func() { s.keepTime(lifetime) })     // ends with lifetime
	helpers.Go(func() { s.users.follow(lifetime) }) // ends with lifetime
	for range s.cfg.Loops {
		l, err := newLoop()
		if err != nil {
			s.cfg.Log.Warn().Err(err).Msg("no poller: each client gets a goroutine of its own")
			break
		}
		s.loops = append(s.loops, l)
		helpers.Go(func() { l.run() }) // ends when its poller is closed
	}
	err = listen.Serve(ctx, s.listener, s.cfg.Log, func(conn net.Conn) {
		if client := s.admit(conn); client != nil {
			s.serve(client)
		}
	})

	s.drain(cancel)
	for _, l := range s.loops {
		l.poller.Close()
	}
	helpers.Wait()
	s.monitors.listening.Wait()
	s.waiters.goroutines.Wait()
	return err
}

// serve makes the session a member of a loop, or gives it a goroutine.
func (s *Server) serve(client *session) {
	if len(s.loops) > 0 && client.out.sock != nil {
		client.loop = s.loops[int(client.id)%len(s.loops)]
		if client.loop.poller.Add(client.out.sock, client) == nil {
			return
		}
		client.loop = nil
	}
	go client.alone() // ends when the client or the server goes
}

// admit makes a session, or sends the client away.
func (s *Server) admit(conn net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.cfg.MaxClients {
		s.rejected.Add(1)
		conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		conn.Write(resp.AppendError(nil, errMaxClients))
		conn.Close()
		return nil
	}
	if s.cfg.TLS != nil {
		conn = tls.Server(conn, s.cfg.TLS)
	}
	s.accepted.Add(1)
	s.nextID++
	client := newSession(s, conn, s.nextID)
	s.sessions[client.id] = client
	s.clients.Add(1)
	return client
}

// forget is called when a session's connection has been closed.
func (s *Server) forget(client *session) {
	s.mu.Lock()
	delete(s.sessions, client.id)
	s.mu.Unlock()
	s.redirects.gone(client.id)
	s.clients.Done()
}

// drain asks every session to end, and closes what has not ended in time.
func (s *Server) drain(cancel context.CancelFunc) {
	s.stopping.Store(true)
	close(s.waiters.stop)
	for _, client := range s.snapshot() {
		if client.loop == nil {
			client.conn.SetReadDeadline(time.Now()) // wakes the session, which ends by itself
		}
	}
	for _, l := range s.loops {
		l.stop()
	}
	timer := time.AfterFunc(s.cfg.ShutdownTimeout, func() {
		cancel()
		for _, client := range s.snapshot() {
			client.out.Break()
		}
	})
	s.clients.Wait()
	timer.Stop()
	cancel()
}

func (s *Server) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, client := range s.sessions {
		all = append(all, client)
	}
	return all
}

// Stats are counts since the start, except Clients and Blocked.
type Stats struct {
	Clients  int   // connected now
	Blocked  int   // of them, those that wait in a command
	Accepted int64 // connections that became clients
	Rejected int64 // connections sent away because of MaxClients
	CutOff   int64 // clients that were closed because they did not read their replies, or sent too large a command
}

// Stats returns the counts of the moment.
func (s *Server) Stats() Stats {
	return Stats{
		Clients: s.Clients(), Blocked: int(s.blocked.Load()),
		Accepted: s.accepted.Load(), Rejected: s.rejected.Load(), CutOff: s.cutOff.Load(),
	}
}

// Clients is how many clients are connected.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// keepTime moves the coarse clock.
func (s *Server) keepTime(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s.seconds.Store(now.Unix())
			if s.alert.Load() {
				s.updateAlert() // a pause may have ended
			}
		}
	}
}
