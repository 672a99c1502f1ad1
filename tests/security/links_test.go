package security

import (
	"bytes"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// regionsOf starts regions whose links are mutual TLS.
func regionsOf(t *testing.T, a *redistest.Authority, n int) *redistest.Cluster {
	t.Helper()
	redistest.Slow(t)
	return redistest.StartCluster(t, n, redistest.WithFlagsOf(func(region string) []string {
		return peerFlags(a, a.Issue(region, redistest.OfRegion(region)))
	}))
}

func peerFlags(a *redistest.Authority, c redistest.Certificate) []string {
	return []string{"--peer-tls-cert-file=" + c.CertFile, "--peer-tls-key-file=" + c.KeyFile, "--peer-tls-ca-file=" + a.CAFile}
}

func TestRegionsReplicateOverMutualTLSFromAddressesAnywhere(t *testing.T) {
	c := regionsOf(t, redistest.NewAuthority(t), 2)
	moveAway(t, c)
	for _, region := range c.Regions {
		region.Proxy().Restart()
	}
	streams(t, c)
	replicate(t, c, "s")
	// What travels is no plain text. A reader in between would see it; one that calls sees at once that there is TLS.
	host, port, _ := net.SplitHostPort(c.Region("A").Proxy().PeerAddr)
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(farHost(t), port), time.Second)
	if err != nil {
		t.Fatal(host, err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("*1\r\n$5\r\nHELLO\r\n"))
	_ = conn.SetReadDeadline(time.Now().Add(soon))
	if n, err := conn.Read(make([]byte, 100)); err == nil && n > 7 {
		t.Errorf("a plain connection is answered with %d bytes", n)
	}
	says(t, c.Region("A").Proxy(), "peer refused", "TLS: the other side does not speak it")
}

// The commands of docs/security.md are those of the script, so it is tried as it is.
func TestCertificatesOfTheScriptWork(t *testing.T) {
	redistest.Slow(t)
	dir := t.TempDir()
	out, err := exec.Command("../../scripts/certificates.sh", dir, "A", "B").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := redistest.StartCluster(t, 2, redistest.WithFlagsOf(func(region string) []string {
		path := func(name string) string { return filepath.Join(dir, name) }
		return []string{"--peer-tls-cert-file=" + path(region+".pem"), "--peer-tls-key-file=" + path(region+".key"), "--peer-tls-ca-file=" + path("ca.pem")}
	}))
	streams(t, c)
	replicate(t, c, "s")
}

func TestWrongCertificatesAreRefusedAndBothSidesSayWhy(t *testing.T) {
	authority := redistest.NewAuthority(t)
	c := regionsOf(t, authority, 2)
	streams(t, c)
	a, b := c.Region("A").Proxy(), c.Region("B").Proxy()

	authority.Issue("B", redistest.OfRegion("C"))
	b.Restart()
	const wrong = "the certificate is one of region 'C', not 'B'"
	says(t, a, "no link to region", wrong)                   // A has called it
	says(t, b, "peer refused", "refuses our certificate")    // and so B knows
	says(t, a, "peer refused", wrong)                        // it has called A
	says(t, b, "no link to region", "refused", "peer says:") // and was told

	authority.Issue("B", redistest.OfRegion("B"), redistest.Expired)
	b.Restart()
	says(t, b, "a certificate has expired")
	says(t, a, "no link to region", "certificate has expired")
	says(t, a, "peer refused", "certificate has expired")
	says(t, b, "no link to region", "expired certificate")

	c.Region("A").Dial().Must("SET", "k", "v")
	authority.Issue("B", redistest.OfRegion("B"))
	hup(t, b)
	streams(t, c)
	replicate(t, c, "s")
	if got := c.Region("B").Dial().Must("GET", "k").Text; got != "v" {
		t.Errorf("what was written meanwhile is %q", got)
	}
}

func TestCertificatesAreReadAgainWithoutARestart(t *testing.T) {
	old, next := redistest.NewAuthority(t), redistest.NewAuthority(t)
	c := regionsOf(t, old, 2)
	streams(t, c)
	a, b := c.Region("A").Proxy(), c.Region("B").Proxy()
	pids := []int{a.PID(), b.PID()}
	write := func(path string, contents ...string) {
		t.Helper()
		var all []byte
		for _, from := range contents {
			content, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, content...)
		}
		if err := os.WriteFile(path, all, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	oldCA := filepath.Join(t.TempDir(), "old.pem")
	write(oldCA, old.CAFile)

	// A broken file changes nothing.
	if err := os.WriteFile(filepath.Join(filepath.Dir(old.CAFile), "A.pem"), []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, a, "changed files cannot be used")
	b.Restart()
	pids[1] = b.PID()
	streams(t, c)

	// The authority changes: first both are believed, then each region shows a certificate of the new one, then only that counts.
	write(old.CAFile, oldCA, next.CAFile)
	says(t, b, "in use for new connections")
	for _, region := range []string{"A", "B"} {
		files := next.Issue(region, redistest.OfRegion(region))
		write(filepath.Join(filepath.Dir(old.CAFile), region+".pem"), files.CertFile)
		write(filepath.Join(filepath.Dir(old.CAFile), region+".key"), files.KeyFile)
	}
	write(old.CAFile, next.CAFile)
	for _, p := range []*redistest.Proxy{a, b} {
		hup(t, p)
		eventually(t, "the new authority alone counts", func() bool { return !serves(t, p, old, "B") && serves(t, p, next, "B") })
	}
	b.Kill()
	b.Launch()
	b.AwaitReady()
	streams(t, c)
	replicate(t, c, "s")
	if a.PID() != pids[0] {
		t.Error("A was restarted")
	}
}

// serves says whether a peer port takes a region with a certificate of this authority.
func serves(t *testing.T, p *redistest.Proxy, a *redistest.Authority, region string) bool {
	t.Helper()
	pair := a.Issue("visitor", redistest.OfRegion(region)).Load(t)
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: soon}, "tcp", p.PeerAddr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}})
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	if _, err := conn.Write([]byte("*2\r\n$5\r\nHELLO\r\n$1\r\n0\r\n")); err != nil {
		return false
	}
	var answer [1024]byte
	n, err := conn.Read(answer[:])
	return err == nil && bytes.Contains(answer[:n], []byte("version")) // refused for another reason
}

func TestOldTLSIsRefused(t *testing.T) {
	authority := redistest.NewAuthority(t)
	c := regionsOf(t, authority, 2)
	pair := authority.Issue("B", redistest.OfRegion("B")).Load(t)
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", c.Region("A").Proxy().PeerAddr, &tls.Config{
			InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, Certificates: []tls.Certificate{pair},
		})
		if err == nil {
			conn.Close()
		}
		if (err == nil) != want {
			t.Errorf("TLS version %x: %v", version, err)
		}
	}
}
