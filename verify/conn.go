package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	tidwall "github.com/tidwall/resp"

	"anabranch/internal/resp"
)

// region lends connections to one region. Each user has one for the time of a question.
type region struct {
	Region
	mu   sync.Mutex
	idle []*conn // guarded by mu; no more than there were users at the same time
}

// conn is one connection, used by one goroutine at a time.
type conn struct {
	net.Conn
	in  *tidwall.Reader
	buf []byte
	db  int
}

// do asks one question in a database. An error reply is an error, and so is a broken connection; both name the region.
func (r *region) do(ctx context.Context, db int, args ...string) (tidwall.Value, error) {
	c, err := r.lend(ctx)
	if err != nil {
		return tidwall.Value{}, fmt.Errorf("region %s: %w", r.Name, err)
	}
	if c.db != db {
		if _, err = c.ask(ctx, "SELECT", strconv.Itoa(db)); err == nil {
			c.db = db
		}
	}
	var reply tidwall.Value
	if err == nil {
		reply, err = c.ask(ctx, args...)
	}
	if err != nil {
		c.Close()
		return tidwall.Value{}, fmt.Errorf("region %s: %s: %w", r.Name, args[0], err)
	}
	r.mu.Lock()
	r.idle = append(r.idle, c)
	r.mu.Unlock()
	return reply, nil
}

func (r *region) lend(ctx context.Context) (*conn, error) {
	r.mu.Lock()
	if last := len(r.idle) - 1; last >= 0 {
		c := r.idle[last]
		r.idle = r.idle[:last]
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	opened, err := r.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: opened, in: tidwall.NewReader(opened)}, nil
}

// close ends the connections that nobody uses.
func (r *region) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.idle {
		c.Close()
	}
	r.idle = nil
}

func (c *conn) ask(ctx context.Context, args ...string) (tidwall.Value, error) {
	// A cancelled context must not wait for the reply.
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })()
	if err := c.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return tidwall.Value{}, err
	}
	c.buf = resp.AppendCommandStrings(c.buf[:0], args...)
	if _, err := c.Write(c.buf); err != nil {
		return tidwall.Value{}, err
	}
	reply, _, err := c.in.ReadValue()
	if err == nil && reply.Type() == tidwall.Error {
		err = errors.New(reply.String())
	}
	return reply, err
}
