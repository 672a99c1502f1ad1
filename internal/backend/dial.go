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
)

// dial opens a bare connection to the primary of the moment.
func (b *Backend) dial(ctx context.Context) (net.Conn, error) {
	addr := b.opts.Addr
	if b.cfg.Resolve != nil {
		var err error
		if addr, err = b.cfg.Resolve(ctx); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{Timeout: b.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	if b.opts.TLSConfig != nil {
		secure := tls.Dialer{NetDialer: dialer, Config: b.opts.TLSConfig}
		return secure.DialContext(ctx, b.opts.Network, addr)
	}
	return dialer.DialContext(ctx, b.opts.Network, addr)
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
