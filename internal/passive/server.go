package passive

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"anabranch/internal/listen"
)

// Watcher hears of every command that passes. Its methods may be called from any goroutine; args are valid during the call only, and
// have at most their first maxArgs, cut at maxArgBytes.
type Watcher interface {
	Passed(args [][]byte)
}

// Config says what to join with what.
type Config struct {
	Listen     string      // HOST:PORT for clients
	TLS        *tls.Config // of clients; nil for plain TCP
	MaxClients int

	// Dial opens a connection to the primary of the moment.
	Dial func(ctx context.Context) (net.Conn, error)

	// DialTimeout bounds it. A client that nobody can be found for is disconnected.
	DialTimeout time.Duration

	// DrainTime is how long answers may take at the end.
	DrainTime time.Duration

	// Watcher hears what passes.
	Watcher Watcher

	Log zerolog.Logger
}

// Server is the listener with its clients.
type Server struct {
	cfg      Config
	clients  atomic.Int64
	total    atomic.Int64
	rejected atomic.Int64

	mu   sync.Mutex
	open map[*joint]struct{}
}

// New listens to nothing yet.
func New(cfg Config) *Server { return &Server{cfg: cfg, open: map[*joint]struct{}{}} }

// Clients is how many are connected, how many ever were, and how many were one too many.
func (s *Server) Clients() (now int, total, rejected int64) {
	return int(s.clients.Load()), s.total.Load(), s.rejected.Load()
}

// errTooMany is what Redis tells a client that is one too many.
const errTooMany = "-ERR max number of clients reached\r\n"

// Run serves until ctx ends; then clients get the answers to what they have sent, and are disconnected.
func (s *Server) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return err
	}
	var joints sync.WaitGroup
	defer joints.Wait()
	return listen.Serve(ctx, listener, s.cfg.Log, func(conn net.Conn) {
		if int(s.clients.Add(1)) > s.cfg.MaxClients {
			s.clients.Add(-1)
			s.rejected.Add(1)
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = io.WriteString(conn, errTooMany)
			_ = conn.Close()
			return
		}
		s.total.Add(1)
		joints.Go(func() { // ends with ctx, or with one of its connections
			defer s.clients.Add(-1)
			s.serve(ctx, conn)
		})
	})
}

// joint is a client's connection and its own one to Redis.
type joint struct{ client, redis net.Conn }

func (j *joint) close() {
	_ = j.client.Close()
	_ = j.redis.Close()
}

func (s *Server) serve(ctx context.Context, client net.Conn) {
	if s.cfg.TLS != nil {
		client = tls.Server(client, s.cfg.TLS)
	}
	dialling, cancel := context.WithTimeout(ctx, s.cfg.DialTimeout)
	backend, err := s.cfg.Dial(dialling)
	cancel()
	if err != nil {
		_ = client.Close() // as where nobody listens
		return
	}
	j := &joint{client, backend}
	defer j.close()
	// At the end no more is taken from clients, and what Redis still answers reaches them.
	defer context.AfterFunc(ctx, func() {
		_ = client.SetReadDeadline(time.Now())
		time.AfterFunc(s.cfg.DrainTime, j.close)
	})()
	s.mu.Lock()
	s.open[j] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.open, j)
		s.mu.Unlock()
	}()
	answers := make(chan struct{})
	go func() { // ends when either connection does
		defer close(answers)
		_, _ = io.Copy(client, backend) // the kernel's own copying, where both are plain
		_ = client.Close()
	}()
	s.forward(backend, client)
	// Who has said all may still wait for answers.
	if half, ok := backend.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		<-answers
		return
	}
	j.close()
	<-answers
}

// forward passes on what a client sends, and shows it to the watcher afterwards.
func (s *Server) forward(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	var stream Stream
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
			stream.Take(buf[:n], s.cfg.Watcher.Passed)
		}
		if err != nil {
			return
		}
	}
}

// Disconnect ends all clients: Redis is another server now, which they find when they come back.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range s.open {
		j.close()
	}
}
