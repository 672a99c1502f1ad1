package backend

import (
	"net"
	"sync"
)

// connections knows the open connections of the control plane's client, so that they can be cut when the primary moves.
type connections struct {
	mu   sync.Mutex
	open map[*tracked]struct{}
}

type tracked struct {
	net.Conn
	set *connections
}

func (c *connections) track(conn net.Conn) net.Conn {
	t := &tracked{Conn: conn, set: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = make(map[*tracked]struct{})
	}
	c.open[t] = struct{}{}
	return t
}

// Close forgets the connection and closes it.
func (t *tracked) Close() error {
	t.set.mu.Lock()
	delete(t.set.open, t)
	t.set.mu.Unlock()
	return t.Conn.Close()
}

func (c *connections) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t := range c.open {
		t.Conn.Close()
	}
}
