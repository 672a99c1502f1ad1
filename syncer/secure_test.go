package syncer

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// identity is what a region has of an authority.
type identity struct {
	pair  tls.Certificate
	roots *x509.CertPool
}

func (i identity) Certificate() *tls.Certificate { return &i.pair }
func (i identity) Authorities() *x509.CertPool   { return i.roots }
func with(i identity) func(*Config)              { return func(c *Config) { c.Identity = i } }

func (i identity) clientOf(name string, version uint16) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, MaxVersion: version, ServerName: name,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &i.pair, nil },
	}
}

func issued(t *testing.T, a *redistest.Authority, name string, change ...func(*x509.Certificate)) identity {
	t.Helper()
	return identity{a.Issue(name, change...).Load(t), a.Pool()}
}

func secrets(list ...string) func(*Config) {
	return func(c *Config) {
		c.Secrets = func() (all [][]byte) {
			for _, text := range list {
				all = append(all, []byte(text))
			}
			return all
		}
	}
}

// far makes all that is dialled look like another machine.
func far(c *Config) {
	c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := dialTCP(ctx, addr)
		if err != nil {
			return nil, err
		}
		return farConn{conn}, nil
	}
}

func TestRegionsWithCertificatesReplicate(t *testing.T) {
	regions := newRegions(t, 2)
	authority := redistest.NewAuthority(t)
	for _, r := range regions {
		r.run(peersOf(r, regions), far, with(issued(t, authority, r.name, redistest.OfRegion(r.name))))
	}
	regions[0].write("SET k v", "SADD s "+strings.Repeat("m", 300_000))
	regions[1].write("INCR n")
	synced(t, regions...)
	if regions[1].get("k") != "v" || regions[0].get("n") != "1" {
		t.Error("not the same data")
	}
}

// Whoever has no right certificate gets nothing, and both sides say why.
func TestCertificatesThatAreRefused(t *testing.T) {
	authority, other := redistest.NewAuthority(t), redistest.NewAuthority(t)
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	good := issued(t, authority, "alpha", redistest.OfRegion("alpha"))
	a.run(peersOf(a, regions), with(good))
	for name, test := range map[string]struct {
		b        identity
		here     string // the cause in b's status
		there    string // the cause in a's log
		listened string // the cause in b's log, whose port a calls; "" when the test above says it
	}{
		"another region": {
			issued(t, authority, "b", redistest.OfRegion("gamma")),
			"the certificate is one of region 'gamma', not 'beta'", "the certificate is one of region 'gamma', not 'beta'", "refuses our certificate",
		},
		"no region": {
			issued(t, authority, "b"),
			"the certificate names no region: it needs the URI anabranch://region/beta", "it needs the URI anabranch://region/beta", "refuses our certificate",
		},
		"expired":           {issued(t, authority, "b", redistest.OfRegion("beta"), redistest.Expired), "expired certificate", "expired", "refuses our certificate"},
		"another authority": {identity{issued(t, other, "b", redistest.OfRegion("beta")).pair, authority.Pool()}, "unknown certificate authority", "unknown authority", "refuses our certificate"},
		"it believes another authority": {identity{issued(t, authority, "b", redistest.OfRegion("beta")).pair, other.Pool()}, "unknown authority",
			"refuses our certificate", "unknown authority"},
		"only for servers": {
			issued(t, authority, "b", redistest.OfRegion("beta"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
			"refuses our certificate", "incompatible key usage", "",
		},
		"only for clients": {
			issued(t, authority, "b", redistest.OfRegion("beta"), func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			"", "", "refuses our certificate",
		},
	} {
		b.logs.clear()
		b.run(peersOf(b, regions), with(test.b))
		eventually(t, name+": refused, and said on both sides", func() bool {
			p := b.peer(a.name)
			return (test.here == "" || p.State == StateRefused && strings.Contains(p.Error, test.here)) &&
				(test.there == "" || a.logs.count(test.there) > 0) && (test.listened == "" || b.logs.count(test.listened) > 0)
		})
		b.stop()
		a.logs.clear()
		a.forgetRefusals()
	}
	b.run(peersOf(b, regions), with(issued(t, authority, "b", redistest.OfRegion("beta"))))
	eventually(t, "the right one is taken", func() bool { return b.peer(a.name).State == StateStream && a.peer(b.name).State == StateStream })
	a.stop()
	a.run(peersOf(a, regions)) // no TLS any more
	eventually(t, "TLS on one side only: refused", func() bool {
		return a.logs.count("speaks TLS") > 0 && b.logs.count("other side does not speak it") > 0
	})
}

// The puller checks the region's name as well: an address that leads elsewhere gives nothing away.
func TestPullerNoticesAnotherRegionBehindAnAddress(t *testing.T) {
	authority := redistest.NewAuthority(t)
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions), with(issued(t, authority, "a", redistest.OfRegion("gamma")))) // says HELLO as alpha
	b.run(peersOf(b, regions), with(issued(t, authority, "b", redistest.OfRegion("beta"))))
	eventually(t, "refused by its certificate", func() bool {
		p := b.peer(a.name)
		return p.State == StateRefused && strings.Contains(p.Error, "one of region 'gamma', not 'alpha'")
	})
}

func TestOldTLSAndResumptionAreRefused(t *testing.T) {
	authority := redistest.NewAuthority(t)
	regions := newRegions(t, 2)
	a := regions[0]
	a.run(peersOf(a, regions), with(issued(t, authority, "a", redistest.OfRegion("alpha"))))
	eventually(t, "listening", func() bool { return a.PeerAddr() != "" })
	b := issued(t, authority, "b", redistest.OfRegion("beta"))
	if conn, err := tls.Dial("tcp", a.PeerAddr(), b.clientOf("a", tls.VersionTLS11)); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is taken")
	}
	cache := tls.NewLRUClientSessionCache(4)
	for range 2 {
		config := b.clientOf("a", tls.VersionTLS12)
		config.ClientSessionCache = cache
		conn, err := tls.Dial("tcp", a.PeerAddr(), config)
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a session is resumed without a look at the certificate")
		}
		conn.Close()
	}
}

const good, bad = "0123456789abcdef", "fedcba9876543210"

func TestRegionsWithASecretReplicate(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	a.run(peersOf(a, regions), far, secrets(good))
	b.run(peersOf(b, regions), far, secrets(good, bad))
	a.write("SET k v")
	synced(t, regions...)
	// It changes without a moment at which nobody takes the other one's.
	b.stop()
	b.run(peersOf(b, regions), far, secrets(bad, good))
	a.stop()
	a.run(peersOf(a, regions), far, secrets(good, bad))
	b.write("SET k w")
	synced(t, regions...)
	if a.get("k") != "w" {
		t.Error("k is", a.get("k"))
	}
}

func TestSecretsThatAreRefused(t *testing.T) {
	regions := newRegions(t, 2)
	a, b := regions[0], regions[1]
	none := func(*Config) {}
	for name, test := range map[string]struct{ a, b func(*Config) }{
		"different ones": {secrets(good), secrets(bad)},
		"a has none":     {none, secrets(good)},
		"b has none":     {secrets(good), none},
	} {
		a.logs.clear()
		b.logs.clear()
		a.run(peersOf(a, regions), test.a)
		b.run(peersOf(b, regions), test.b)
		eventually(t, name+": refused, and said on both sides", func() bool {
			return a.peer(b.name).State == StateRefused && b.peer(a.name).State == StateRefused &&
				a.logs.count("peer refused") > 0 && b.logs.count("peer refused") > 0 && a.logs.count("no link to region") > 0
		})
		for _, r := range regions {
			if r.logs.count(good) > 0 || r.logs.count(bad) > 0 {
				t.Errorf("%s: a secret is in the log", name)
			}
			r.stop()
		}
	}
}

// greeted is one attempt to be taken for beta by a server with a secret, with frames as the test says.
func greeted(t *testing.T, addr string, hello hello, nonce []byte, answer func(body, nonce, theirs []byte) []byte) (frame, error) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newFrameConn(conn, time.Now().Add(5*time.Second))
	defer c.close()
	body := encodeJSON(hello)
	if err := c.write(verbHello, protocolVersion, body, nonce); err != nil {
		t.Fatal(err)
	}
	f, err := c.read()
	if err != nil || f.verb() != verbChallenge {
		return f, err
	}
	if err := c.write(verbProof, answer(body, nonce, f.bytes(1))); err != nil {
		t.Fatal(err)
	}
	c.allow(welcomeBytes)
	return c.read()
}

func TestProofsAreOfNoUseElsewhere(t *testing.T) {
	regions := newRegions(t, 3)
	a := regions[0]
	a.run(peersOf(a, regions), secrets(good))
	eventually(t, "listening", func() bool { return a.PeerAddr() != "" })
	beta := hello{Name: "beta", ID: 2, ExpectName: "alpha", Origin: "2.0.1-aaaaaa", RunID: "r"}
	nonce := newNonce()
	prove := func(body, nonce, theirs []byte) []byte {
		return (&challenge{hello: body, puller: nonce, serve: theirs}).proof([]byte(good), sidePuller, nil)
	}
	var recorded []byte
	f, err := greeted(t, a.PeerAddr(), beta, nonce, func(body, nonce, theirs []byte) []byte {
		recorded = prove(body, nonce, theirs)
		return recorded
	})
	if err != nil || f.verb() != verbWelcome || len(f.bytes(3)) != 32 {
		t.Fatalf("the right proof: %v %v", f, err)
	}
	if bytes.Equal(recorded, f.bytes(3)) {
		t.Error("both sides prove the same")
	}
	gamma := beta
	gamma.Name, gamma.ID = "gamma", 3
	for name, answer := range map[string]func(body, nonce, theirs []byte) []byte{
		"one that was recorded":  func(_, _, _ []byte) []byte { return recorded },
		"none":                   func(_, _, _ []byte) []byte { return nil },
		"the secret itself":      func(_, _, _ []byte) []byte { return []byte(good) },
		"for another region":     func(_, nonce, theirs []byte) []byte { return prove(encodeJSON(gamma), nonce, theirs) },
		"for another nonce":      func(body, _, theirs []byte) []byte { return prove(body, newNonce(), theirs) },
		"for a nonce of its own": func(body, nonce, _ []byte) []byte { return prove(body, nonce, newNonce()) },
		"of the other side": func(b, n, c []byte) []byte {
			return (&challenge{hello: b, puller: n, serve: c}).proof([]byte(good), sideServer, nil)
		},
		"with a part cut off": func(b, n, c []byte) []byte { return prove(b, n, c)[:31] },
		"of another secret": func(b, n, c []byte) []byte {
			return (&challenge{hello: b, puller: n, serve: c}).proof([]byte(bad), sidePuller, nil)
		},
		"with a byte too many":    func(b, n, c []byte) []byte { return append(prove(b, n, c), 0) },
		"with the nonces swapped": func(b, n, c []byte) []byte { return prove(b, c, n) },
	} {
		if f, err := greeted(t, a.PeerAddr(), beta, nonce, answer); err != nil || f.verb() != verbError || f.text(1) != codeSecret {
			t.Errorf("%s: %v %v", name, f, err)
		}
	}
	if f, err := greeted(t, a.PeerAddr(), beta, []byte("short"), prove); err != nil || f.verb() != verbError || f.text(1) != codeSecret {
		t.Errorf("a nonce that is none: %v %v", f, err)
	}
}

// A server that does not know the secret cannot make a puller believe it, also not by what it heard elsewhere.
func TestPullerBelievesNoServerWithoutProof(t *testing.T) {
	regions := newRegions(t, 2)
	b := regions[1]
	real := encodeJSON(welcome{Name: "alpha", ID: 1, RunID: "x", Origin: "1.0.1-aaaaaa"})
	for name, serve := range map[string]func(c *frameConn, hello frame){
		"says welcome at once": func(c *frameConn, _ frame) { _ = c.write(verbWelcome, protocolVersion, real) },
		"welcome with a proof of nothing": func(c *frameConn, _ frame) {
			_ = c.write(verbWelcome, protocolVersion, real, (&challenge{}).proof(nil, sideServer, real))
		},
		"sends the proof back": func(c *frameConn, f frame) {
			_ = c.write(verbChallenge, f.bytes(3))
			if f, err := c.read(); err == nil {
				_ = c.write(verbWelcome, protocolVersion, real, f.bytes(1))
			}
		},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { // ends with the listener
			defer close(done)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				c := newFrameConn(conn, time.Now().Add(5*time.Second))
				c.allow(welcomeBytes)
				if f, err := c.read(); err == nil {
					serve(c, f)
					_, _ = c.read()
				}
				c.close()
			}
		}()
		b.run(map[string][]string{"alpha": {listener.Addr().String()}}, secrets(good))
		eventually(t, name, func() bool {
			p := b.peer("alpha")
			return p.State == StateRefused && strings.Contains(p.Error, "does not prove")
		})
		b.stop()
		listener.Close()
		<-done
	}
}
