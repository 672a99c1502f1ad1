package redistest

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// replyLimit is how long a test waits for one reply before it calls the server stuck.
const replyLimit = 30 * time.Second

// Conn is one plain client connection: what is sent is what the test says, and what comes back is kept byte by byte. It
// never reconnects and never retries. One goroutine may use it at a time.
type Conn struct {
	t    testing.TB
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a server or proxy; the connection is closed when the test ends.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	c, err := TryDial(t, addr)
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return c
}

// TryDial is Dial for tests that kill what they connect to.
func TryDial(t testing.TB, addr string) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, replyLimit)
	if err != nil {
		return nil, err
	}
	c := &Conn{t: t, addr: addr, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	t.Cleanup(c.Close)
	return c, nil
}

// Close ends the connection. Closing twice is harmless.
func (c *Conn) Close() { _ = c.conn.Close() }

// Do sends one command and returns its reply, which may be an error reply. A broken connection fails the test.
func (c *Conn) Do(args ...string) Reply {
	c.t.Helper()
	reply, err := c.Try(args...)
	if err != nil {
		c.t.Fatalf("redistest: %s: %.200q: %v", c.addr, args, err)
	}
	return reply
}

// Must is Do for commands that may not fail.
func (c *Conn) Must(args ...string) Reply {
	c.t.Helper()
	reply := c.Do(args...)
	if reply.IsError() {
		c.t.Fatalf("redistest: %s: %.200q: %s", c.addr, args, reply.Text)
	}
	return reply
}

// Try sends one command; an error means that the outcome is unknown.
func (c *Conn) Try(args ...string) (Reply, error) {
	if err := c.Send(args...); err != nil {
		return Reply{}, err
	}
	return c.Receive()
}

// Send writes one command without waiting for the reply.
func (c *Conn) Send(args ...string) error { return c.SendRaw(AppendCommand(nil, args...)) }

// SendRaw writes bytes as they are.
func (c *Conn) SendRaw(raw []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyLimit)); err != nil {
		return err
	}
	_, err := c.conn.Write(raw)
	return err
}

// Receive reads the next reply or push.
func (c *Conn) Receive() (Reply, error) { return c.ReceiveWithin(replyLimit) }

// ReceiveWithin is Receive with a limit of its own.
func (c *Conn) ReceiveWithin(limit time.Duration) (Reply, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return Reply{}, err
	}
	return ReadReply(c.in)
}

// Pipeline sends all commands in one write and returns their replies in order.
func (c *Conn) Pipeline(commands [][]string) ([]Reply, error) {
	var buf []byte
	for _, args := range commands {
		buf = AppendCommand(buf, args...)
	}
	// The writer runs beside the reader: a server may stop reading while its own replies are not taken.
	sent := make(chan error, 1)
	go func() { sent <- c.SendRaw(buf) }() // ends with the write, which has a deadline
	replies := make([]Reply, 0, len(commands))
	for i := range commands {
		reply, err := c.Receive()
		if err != nil {
			return replies, fmt.Errorf("reply %d of %d: %w", i+1, len(commands), err)
		}
		replies = append(replies, reply)
	}
	return replies, <-sent
}
