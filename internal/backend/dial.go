package backend

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"anabranch/internal/resp"
	"anabranch/internal/sock"
)

// A peer that has vanished without a word is noticed after about this long: by probes while nothing is under way, by the
// lack of an acknowledgement otherwise. A server that is merely busy still acknowledges.
const vanishTime = 20 * time.Second

// address is the primary of the moment. When nobody can tell, it is the last one known: losing sight of the
// Sentinels must not lose a Redis that works.
func (b *Backend) address(ctx context.Context) (string, error) {
	if b.cfg.Resolve == nil {
		return b.opts.Addr, nil
	}
	addr, err := b.cfg.Resolve(ctx)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.addr != "" {
			return b.addr, nil
		}
	}
	return addr, err
}

// dial opens a bare connection to the primary of the moment.
func (b *Backend) dial(ctx context.Context) (net.Conn, error) {
	addr, err := b.address(ctx)
	if err != nil {
		return nil, err
	}
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

// converse sends commands and wants as many replies, none of them an error.
func converse(ctx context.Context, conn net.Conn, commands []byte, replies int) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		defer conn.SetDeadline(time.Time{})
	}
	if _, err := conn.Write(commands); err != nil {
		return err
	}
	var scan resp.ReplyScanner
	buf := make([]byte, 0, 4096)
	pos := 0
	for replies > 0 {
		if len(buf) == cap(buf) {
			return errProtocol
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		for replies > 0 {
			if !scan.Begun() && pos < len(buf) && buf[pos] == '-' {
				line, _, _ := strings.Cut(string(buf[pos+1:]), "\r")
				return fmt.Errorf("backend refused the connection: %s", line)
			}
			end, done, err := scan.Scan(buf, pos, 1)
			if err != nil {
				return err
			}
			pos = end
			if done == 0 {
				break
			}
			replies--
		}
	}
	return nil
}

func itoa(n int) string { return strconv.Itoa(n) }
