package syncer

import (
	"context"
	"io"
	"net"
	"time"
)

// greeting is the beginning of a connection from a peer, up to where it is known who that is and what it wants. Until then it
// has little of everything: time, bytes, and connections.
type greeting struct {
	*server
	conn     net.Conn
	frames   *frameConn // nil until there is TLS, if there is to be
	name     string     // who that is, as far as it is known
	stranger bool       // nothing of it can be believed yet
	session  session
	leave    func() // gives back the place among the peers
}

// shake does all of that. The connection is closed by end.
func (g *greeting) shake(ctx context.Context) error {
	deadline := time.Now().Add(g.cfg.DialTimeout)
	_ = g.conn.SetDeadline(deadline)
	conn, err := g.shield(ctx, g.conn)
	if err != nil {
		return err
	}
	g.frames = newFrameConn(conn, deadline)
	caller, c, err := g.meet(ctx)
	if err != nil {
		return err
	}
	if !g.callers.enter(caller.Name) {
		return refuse(codeBusy, "too many links")
	}
	g.leave = func() { g.callers.leave(caller.Name) }
	g.session, err = g.open(ctx, g.frames, caller, c)
	return err
}

// meet finds out who calls.
func (g *greeting) meet(ctx context.Context) (caller hello, c *challenge, err error) {
	if g.cfg.Identity == nil && g.frames.startsWith(recordHandshake) {
		return caller, nil, refuse(codeTLS, "the caller speaks TLS, which region '%s' does not on its peer port", g.cfg.Region.Name)
	}
	request, err := g.frames.read()
	if err != nil {
		return caller, nil, err
	}
	me := g.cfg.Region
	if request.verb() != verbHello {
		return caller, nil, refuse(codeProtocol, "expected %s", verbHello)
	}
	if !g.trusts(g.conn) {
		return caller, nil, refuse(codeInsecure, "region '%s' takes peers from loopback only: nothing authenticates them", me.Name)
	}
	if version, err := request.number(1); err != nil || version != protocolVersion {
		return caller, nil, refuse(codeVersion, "region '%s' speaks version %d of the peer protocol, not %.20q", me.Name, protocolVersion, request.text(1))
	}
	if c, err = g.demand(g.frames, request); err != nil {
		return caller, nil, err
	}
	if caller, err = decodeJSON[hello](request, 2); err != nil {
		return caller, nil, refuse(codeProtocol, "%v", err)
	}
	if err := g.isCaller(g.frames.conn.Conn, caller.Name); err != nil {
		return caller, nil, err
	}
	if g.peers()[caller.Name] != nil {
		g.name, g.stranger = caller.Name, false
	}
	return caller, c, g.admit(ctx, caller)
}

// recordHandshake is the first byte of a TLS connection.
const recordHandshake = 0x16

// refuse says why the connection ends.
func (g *greeting) refuse(why *peerError) {
	if g.frames != nil {
		_ = g.frames.write(verbError, why.code, why.text)
		return
	}
	// TLS has said it in its own way. Unless what the other side has sent is read, it never arrives there.
	if tcp, ok := g.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = g.conn.SetDeadline(time.Now().Add(lastWord))
	_, _ = io.CopyN(io.Discard, g.conn, welcomeBytes)
}

// end closes the connection.
func (g *greeting) end() {
	_ = g.conn.Close()
	if g.leave != nil {
		g.leave()
	}
}
