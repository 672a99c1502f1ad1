package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"anabranch/internal/redistest"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func filesOf(a *redistest.Authority, c redistest.Certificate) Files {
	return Files{CA: a.CAFile, Cert: c.CertFile, Key: c.KeyFile}
}

func mustIdentity(t *testing.T, files Files) *Identity {
	t.Helper()
	i, err := NewIdentity("test", files)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestFilesThatCannotBeUsedAtTheStart(t *testing.T) {
	a, b := redistest.NewAuthority(t), redistest.NewAuthority(t)
	one, two := a.Issue("one"), b.Issue("two")
	empty := filepath.Join(t.TempDir(), "empty")
	large := filepath.Join(t.TempDir(), "large")
	for path, text := range map[string]string{empty: "", large: strings.Repeat("x", maxFileBytes+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		files Files
		want  string
	}{
		"key alone":           {Files{Key: one.KeyFile}, "come together"},
		"missing":             {Files{CA: "/does/not/exist"}, "no such file"},
		"key of another one":  {Files{Cert: one.CertFile, Key: two.KeyFile}, "does not match"},
		"no authority":        {Files{CA: empty}, "no certificate"},
		"no certificate":      {Files{Cert: empty, Key: one.KeyFile}, "failed to find"},
		"key as certificate":  {Files{Cert: one.KeyFile, Key: one.KeyFile}, "failed to find"},
		"far too large a one": {Files{CA: large}, "larger than"},
	} {
		if _, err := NewIdentity("test", test.files); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewIdentity("test", Files{}); err != nil {
		t.Errorf("no files at all, and the system's authorities: %v", err)
	}
}

// shown is the certificate that a server with this identity shows to a client.
func shown(t *testing.T, server, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ended := make(chan error, 1)
	go func() { // ends with the handshake
		err := tls.Server(far, server).Handshake()
		far.Close()
		ended <- err
	}()
	conn := tls.Client(near, client)
	err := conn.Handshake()
	near.Close()
	if serverErr := <-ended; err == nil {
		err = serverErr
	}
	if err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestBrokenFilesChangeNothingAndGoodOnesDo(t *testing.T) {
	var out log
	logger := zerolog.New(&out)
	a, other := redistest.NewAuthority(t), redistest.NewAuthority(t)
	files := filesOf(a, a.Issue("server"))
	i := mustIdentity(t, files)
	server := i.Server(tls.NoClientCert)
	client := &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"}
	first, err := shown(t, server, client)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, changed bool) {
		t.Helper()
		i.reload(logger)
		i.reload(logger)
		now, err := shown(t, server, client)
		if err != nil || now.Equal(first) == changed {
			t.Errorf("%s: %v, changed: %t", what, err, !now.Equal(first))
		}
	}
	check("nothing", false)
	if out.count("\n") > 0 {
		t.Errorf("logged although nothing has changed: %s", out.text.String())
	}

	good, err := os.ReadFile(files.Cert)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.Cert, good[:len(good)/2])
	check("half a certificate", false)
	os.Remove(files.Cert)
	check("no certificate", false)
	foreign, err := os.ReadFile(other.Issue("other").CertFile)
	if err != nil {
		t.Fatal(err)
	}
	write(files.Cert, foreign)
	check("a certificate of another key", false)
	a.Issue("server", redistest.Expired)
	check("an expired one", false)
	if n := out.count(`"level":"error"`); n != 4 {
		t.Errorf("%d errors were logged of 4 mistakes: %s", n, out.text.String())
	}
	write(files.Cert, good) // the key is not the one that belongs to it any more
	check("the old certificate with a new key", false)
	a.Issue("server")
	check("a new pair", true)
	if out.count("in use for new connections") != 1 || out.count(`"expires"`) != 1 {
		t.Errorf("the change is not logged: %s", out.text.String())
	}
}

func TestAuthoritiesAreThoseOfNow(t *testing.T) {
	var out log
	old, next := redistest.NewAuthority(t), redistest.NewAuthority(t)
	i := mustIdentity(t, filesOf(old, old.Issue("server")))
	server := i.Server(tls.RequireAndVerifyClientCert)
	clientOf := func(a *redistest.Authority) *tls.Config {
		c := mustIdentity(t, Files{CA: old.CAFile, Cert: a.Issue("client").CertFile, Key: filepath.Join(filepath.Dir(a.CAFile), "client.key")})
		return c.Client("localhost")
	}
	was, is := clientOf(old), clientOf(next)
	if _, err := shown(t, server, was); err != nil {
		t.Error(err)
	}
	if _, err := shown(t, server, is); err == nil {
		t.Error("a certificate of an authority that nobody named is taken")
	}
	ca, err := os.ReadFile(next.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	i.reload(zerolog.New(&out))
	if _, err := shown(t, server, is); err != nil {
		t.Error(err)
	}
	if _, err := shown(t, server, was); err == nil {
		t.Error("a certificate of an authority that is not named any more is taken")
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	a := redistest.NewAuthority(t)
	i := mustIdentity(t, filesOf(a, a.Issue("server")))
	if _, err := shown(t, i.Server(tls.NoClientCert), &tls.Config{RootCAs: a.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("a server took TLS 1.1")
	}
	pair := *i.Certificate()
	if _, err := shown(t, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS11}, i.Client("localhost")); err == nil {
		t.Error("a client took TLS 1.1")
	}
}

func TestSecretsOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("s", MinSecretBytes)
	for _, bad := range []string{"", "\n\n", "short", long + "\nshort", strings.Repeat(long+"\n", maxSecrets+1)} {
		write(bad)
		if _, err := NewSecretsFile("test", path); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	write("\n " + long + "1 \r\n" + long + "2")
	s, err := NewSecretsFile("test", path)
	if err != nil || len(s.All()) != 2 || string(s.All()[0]) != long+"1" || string(s.All()[1]) != long+"2" {
		t.Fatalf("%q %v", s.All(), err)
	}
	var out log
	write("short")
	s.reload(zerolog.New(&out))
	if len(s.All()) != 2 || out.count(`"level":"error"`) != 1 {
		t.Errorf("a broken file: %d secrets, log %s", len(s.All()), out.text.String())
	}
	write(long + "3")
	s.reload(zerolog.New(&out))
	if len(s.All()) != 1 || string(s.All()[0]) != long+"3" || strings.Contains(out.text.String(), long) {
		t.Errorf("%q, log %s", s.All(), out.text.String())
	}
	if _, err := NewSecrets("short"); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestWatchLooksByItselfAndAtSIGHUP(t *testing.T) {
	var out log
	a := redistest.NewAuthority(t)
	files := filesOf(a, a.Issue("server", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }))
	i := mustIdentity(t, files)
	w := NewWatch(zerolog.New(&out))
	w.Identity(i)
	if s, err := NewSecrets(strings.Repeat("s", MinSecretBytes)); err != nil {
		t.Fatal(err)
	} else {
		w.Secrets(s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	hangup, ended := make(chan os.Signal), make(chan struct{})
	go func() { w.Run(ctx, hangup); close(ended) }() // ends with ctx
	defer func() { cancel(); <-ended }()

	hangup <- os.Interrupt
	if out.count("expires soon") != 1 {
		t.Errorf("no warning of a certificate that ends in an hour: %s", out.text.String())
	}
	before := i.Certificate()
	a.Issue("server")
	for deadline := time.Now().Add(10 * lookInterval); i.Certificate() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not noticed")
		}
	}
	before = i.Certificate()
	a.Issue("server")
	hangup <- os.Interrupt
	hangup <- os.Interrupt // is taken when the first one is done
	if i.Certificate() == before {
		t.Error("SIGHUP does not have the files looked at")
	}
}
