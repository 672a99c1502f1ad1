package syncer

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// farConn claims to lead to another machine.
type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7} }

func TestPeersOnOtherMachinesNeedTheFlag(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	far := func(cfg *Config) {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := dialTCP(ctx, addr)
			if err != nil {
				return nil, err
			}
			return farConn{conn}, nil
		}
	}
	a.run(peersOf(a, regions))
	b.run(peersOf(b, regions), far)
	eventually(t, "refused", func() bool {
		p := b.peer(a.name)
		return p.State == StateRefused && strings.Contains(p.Error, "nothing authenticates")
	})
	b.stop()
	b.run(peersOf(b, regions), far, func(cfg *Config) { cfg.InsecurePeers = true })
	eventually(t, "allowed", func() bool { return b.peer(a.name).State == StateStream })
}

func TestServerRefusesPeersOnOtherMachines(t *testing.T) {
	a := newRegions(t, 1)[0]
	cfg := a.config(map[string][]string{"beta": {"127.0.0.1:1"}})
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		newServer(s).serve(context.Background(), farConn{far}, func() {})
	}()
	c := newFrameConn(near, time.Now().Add(5*time.Second))
	if err := c.write(verbHello, protocolVersion, encodeJSON(hello{Name: "beta", ID: 2, ExpectName: "alpha", Origin: "2.0.1-aaaaaa"})); err != nil {
		t.Fatal(err)
	}
	f, err := c.read()
	if err != nil || f.verb() != verbError || f.text(1) != codeInsecure {
		t.Errorf("%v %v", f, err)
	}
	<-done
}

func TestStrangersGetNothing(t *testing.T) {
	regions := newRegions(t, 2)
	a := regions[0]
	a.run(peersOf(a, regions))
	eventually(t, "listening", func() bool { return a.PeerAddr() != "" })
	good := encodeJSON(hello{Name: "beta", ID: 2, ExpectName: "alpha", Origin: "2.0.1-aaaaaa", RunID: "r"})
	for name, test := range map[string]struct {
		frames [][]any
		code   string
	}{
		"not a hello":       {[][]any{{"PING"}}, codeProtocol},
		"another version":   {[][]any{{verbHello, protocolVersion + 1, good}}, codeVersion},
		"no version":        {[][]any{{verbHello}}, codeVersion},
		"no identity":       {[][]any{{verbHello, protocolVersion, []byte("{")}}, codeProtocol},
		"id out of range":   {[][]any{{verbHello, protocolVersion, encodeJSON(hello{Name: "beta", ID: 77, ExpectName: "alpha"})}}, codeIdentity},
		"another shard":     {[][]any{{verbHello, protocolVersion, encodeJSON(hello{Name: "beta", ID: 2, ExpectName: "alpha", Shard: 1})}}, codeIdentity},
		"wrong expected id": {[][]any{{verbHello, protocolVersion, encodeJSON(hello{Name: "beta", ID: 2, ExpectName: "alpha", ExpectID: 9})}}, codeIdentity},
		"no pull":           {[][]any{{verbHello, protocolVersion, good}, {verbAck, []byte{0x80}}}, codeProtocol},
		"bad frontier":      {[][]any{{verbHello, protocolVersion, good}, {verbPull, []byte{0xc1}}}, codeProtocol},
		"foreign origin": {[][]any{{verbHello, protocolVersion, encodeJSON(hello{Name: "beta", ID: 2, ExpectName: "alpha", Origin: "3.0.1-aaaaaa"})},
			{verbPull, []byte{0x80}}}, codeProtocol},
	} {
		conn, err := net.Dial("tcp", a.PeerAddr())
		if err != nil {
			t.Fatal(err)
		}
		c := newFrameConn(conn, time.Now().Add(5*time.Second))
		for _, values := range test.frames {
			if err := c.write(values[0].(string), values[1:]...); err != nil {
				t.Fatal(err)
			}
		}
		f, err := c.read()
		for err == nil && f.verb() == verbWelcome {
			f, err = c.read()
		}
		if err != nil || f.verb() != verbError || f.text(1) != test.code {
			t.Errorf("%s: %v %v", name, f, err)
		}
		c.close()
	}
	raw, err := net.Dial("tcp", a.PeerAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_, _ = raw.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	_ = raw.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := raw.Read(make([]byte, 10)); err == nil {
		t.Errorf("a web browser got %d bytes", n)
	}
}
