package backend

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/resp"
	"anabranch/internal/sock"
)

// A peer that has vanished without a word is noticed after about this long: by probes while nothing is under way, by the
// lack of an acknowledgement otherwise. A server that is merely busy still acknowledges.
const vanishTime = 20 * time.Second

// dial opens a connection to the primary of the moment. It ends when there is another one.
func (b *Backend) dial(ctx context.Context) (*link, error) {
	b.mu.Lock()
	addr, tenure := b.addr, b.tenure
	b.mu.Unlock()
	if addr == "" {
		return nil, ErrNotReady
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(tenure.ctx, cancel)()
	conn, err := b.dialAddr(ctx, addr)
	if err != nil {
		return nil, err
	}
	return &link{conn, tenure, context.AfterFunc(tenure.ctx, func() { conn.Close() })}, nil
}

func (b *Backend) dialAddr(ctx context.Context, addr string) (net.Conn, error) {
	dialer := &net.Dialer{
		Timeout:         b.cfg.DialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: vanishTime / 2, Interval: vanishTime / 8, Count: 4},
		Control:         sock.UserTimeout(vanishTime),
	}
	if config := b.secure(); config != nil {
		secure := tls.Dialer{NetDialer: dialer, Config: config}
		return secure.DialContext(ctx, b.opts.Network, addr)
	}
	return dialer.DialContext(ctx, b.opts.Network, addr)
}

// secure is the TLS of one connection, nil for plain TCP.
func (b *Backend) secure() *tls.Config {
	if b.opts.TLSConfig != nil && b.cfg.TLS != nil {
		return b.cfg.TLS()
	}
	return b.opts.TLSConfig
}

// maxGreeting bounds what a server may say to the commands that a connection begins with.
const maxGreeting = 64 << 10

// converse sends commands and wants as many replies, none of them an error. It returns the last one.
func converse(ctx context.Context, conn net.Conn, commands []byte, replies int) (last []byte, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
		defer conn.SetDeadline(time.Time{})
	}
	if _, err := conn.Write(commands); err != nil {
		return nil, err
	}
	var scan resp.ReplyScanner
	var buf []byte
	pos, begun := 0, 0
	for replies > 0 {
		if len(buf) == maxGreeting {
			return nil, errProtocol
		}
		buf = slices.Grow(buf, 4096)
		n, err := conn.Read(buf[len(buf):min(cap(buf), maxGreeting)])
		if err != nil {
			return nil, err
		}
		buf = buf[:len(buf)+n]
		for replies > 0 {
			if !scan.Begun() && pos < len(buf) && buf[pos] == '-' {
				line, _, _ := strings.Cut(string(buf[pos+1:]), "\r")
				return nil, fmt.Errorf("backend refused the connection: %s", line)
			}
			end, done, err := scan.Scan(buf, pos, 1)
			if err != nil {
				return nil, err
			}
			pos = end
			if done == 0 {
				break
			}
			replies--
			last, begun = buf[begun:pos], pos
		}
	}
	return last, nil
}

func itoa(n int) string { return strconv.Itoa(n) }
