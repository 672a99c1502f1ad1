package proxy

import (
	"context"
	"sync"

	"anabranch/internal/backend"
	"anabranch/internal/resp"
)

// redirects are the clients to which other clients redirect their invalidations. Redis sends them to a connection of ours,
// one for each such client, which hands them to the client in its own protocol: so a client need not know that it is a
// target, and Redis itself tells the others when the target has gone, because the connection goes with it.
type redirects struct {
	mu      sync.Mutex
	targets map[int64]*redirect
}

type redirect struct {
	listener *backend.Listener
	sources  int // sessions that redirect here
}

// to counts one more source of a target and returns the id by which Redis knows the target's connection. It dials when there
// is none, and holds nobody up meanwhile.
func (r *redirects) to(server *Server, target int64) (int64, error) {
	if id, ok := r.join(target, nil); ok {
		return id, nil
	}
	ctx, cancel := context.WithTimeout(server.lifetime, server.cfg.ControlTimeout)
	defer cancel()
	listener, err := server.cfg.Backend.Listen(ctx, func(keys []byte) { server.invalidate(target, keys) })
	if err != nil {
		return 0, err
	}
	id, _ := r.join(target, listener)
	if server.client(target) == nil {
		r.gone(target) // it went meanwhile, and nobody else would close the connection
	}
	return id, nil
}

// join counts one more source of a target that has a connection. made is a new one for a target that has none, and is
// closed when somebody else was faster.
func (r *redirects) join(target int64, made *backend.Listener) (id int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.targets[target]
	switch {
	case known != nil && !known.listener.Ended():
		if made != nil {
			made.Close()
		}
	case made == nil:
		return 0, false
	case known != nil: // its sources have been told by Redis
		known.listener = made
	default:
		known = &redirect{listener: made}
		if r.targets == nil {
			r.targets = make(map[int64]*redirect)
		}
		r.targets[target] = known
	}
	known.sources++
	return known.listener.ID, true
}

// leave counts one source less.
func (r *redirects) leave(target int64) {
	if target == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.targets[target]
	if known == nil {
		return
	}
	if known.sources--; known.sources == 0 {
		known.listener.Close()
		delete(r.targets, target)
	}
}

// gone ends the redirections to a client that has left.
func (r *redirects) gone(target int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.targets[target]; known != nil {
		known.listener.Close()
		delete(r.targets, target)
	}
}

// invalidate tells a client that keys of another client's cache are invalid. keys is an array, or nil for all. A client
// that can be told nothing, in RESP2 without subscriptions, is not told.
func (s *Server) invalidate(target int64, keys []byte) {
	client := s.client(target)
	if client == nil {
		return
	}
	v := client.view.Load()
	if keys == nil {
		keys = resp.AppendNull(nil, v.proto)
	}
	switch {
	case v.proto == resp.RESP3:
		client.out.message(append([]byte(">2\r\n$10\r\ninvalidate\r\n"), keys...))
	case v.subscribed():
		client.out.message(append([]byte("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"), keys...))
	}
}

// client finds a connected client by its id.
func (s *Server) client(id int64) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// isBroken tells that a redirection leads nowhere any more.
func (s *Server) isBroken(redirect int64) bool { return redirect > 0 && s.client(redirect) == nil }
