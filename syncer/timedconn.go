package syncer

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"
)

// timedConn fails when the peer is silent for too long, or takes nothing for too long. Every byte counts as a sign of
// life, so a large frame on a slow line is no silence.
type timedConn struct {
	net.Conn
	silence atomic.Int64 // time.Duration; 0 leaves the deadlines alone
	ending  atomic.Bool  // reads fail, writes have until the deadline that end has set

	received atomic.Int64 // bytes
}

func (c *timedConn) Read(p []byte) (int, error) {
	if silence := c.silence.Load(); silence > 0 {
		_ = c.SetReadDeadline(time.Now().Add(time.Duration(silence)))
	}
	if c.ending.Load() { // looked at after setting the deadline: end sets them in the other order
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
}

func (c *timedConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if silence := c.silence.Load(); silence > 0 && !c.ending.Load() {
			_ = c.SetWriteDeadline(time.Now().Add(time.Duration(silence)))
		}
		n, err := c.Conn.Write(p[written:min(written+writeChunk, len(p))])
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// Close does not wait for the other side to take the end of TLS.
func (c *timedConn) Close() error {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn().Close()
	}
	return c.Conn.Close()
}

// end wakes whoever reads, and leaves a moment for a last word.
func (c *timedConn) end() {
	c.ending.Store(true)
	_ = c.SetReadDeadline(time.Unix(1, 0))
	_ = c.SetWriteDeadline(time.Now().Add(lastWord))
}

// lastWord is the time that a link has to say why it ends.
const lastWord = 200 * time.Millisecond

// remoteIsLoopback says whether the other end is on this machine. In-memory connections count as such.
func remoteIsLoopback(conn net.Conn) bool {
	addr, ok := conn.RemoteAddr().(*net.TCPAddr)
	return !ok || addr.IP.IsLoopback()
}
