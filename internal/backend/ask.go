package backend

import (
	"context"
	"fmt"

	"anabranch/internal/resp"
)

// Ask sends one command over a connection of its own and returns the reply as it came. Whoever waits for long, as WAIT does,
// must not hold up a shared connection. It blocks until the reply is there or ctx ends, which closes the connection.
//
// The command counts as sent after all writes that were answered before: a PING in front of it sees to that.
func (b *Backend) Ask(ctx context.Context, args ...[]byte) ([]byte, error) {
	lane := newLane(b, 0, resp.RESP2, nil)
	conn, err := lane.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := converse(ctx, conn, resp.AppendCommandStrings(nil, "PING"), 1); err != nil {
		return nil, err
	}
	if _, err := conn.Write(resp.AppendCommand(nil, args...)); err != nil {
		return nil, fmt.Errorf("backend: %w", err)
	}
	var scan resp.ReplyScanner
	for buf, pos := []byte(nil), 0; ; {
		piece := make([]byte, 512)
		n, err := conn.Read(piece)
		if err != nil {
			return nil, fmt.Errorf("backend: %w", err)
		}
		buf = append(buf, piece[:n]...)
		end, done, err := scan.Scan(buf, pos, 1)
		if err != nil || done == 1 {
			return buf[:end], err
		}
		pos = end
	}
}
