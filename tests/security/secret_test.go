package security

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const secret, otherSecret = "correct horse battery", "staple horse battery"

func TestRegionsThatShareASecretReplicateFromAddressesAnywhere(t *testing.T) {
	redistest.Slow(t)
	file := filepath.Join(t.TempDir(), "secret")
	put := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(secret)
	// One has it as an option, the other one in a file.
	c := redistest.StartCluster(t, 2, redistest.WithFlagsOf(func(region string) []string {
		if region == "A" {
			return []string{"--peer-secret=" + secret}
		}
		return []string{"--peer-secret-file=" + file}
	}))
	moveAway(t, c)
	a, b := c.Region("A").Proxy(), c.Region("B").Proxy()
	for _, p := range []*redistest.Proxy{a, b} {
		p.Restart()
	}
	streams(t, c)
	replicate(t, c, "one")

	// B takes another secret as well, and then proves that one; A follows at its restart.
	put(otherSecret, secret)
	says(t, b, "in use for new connections", `"secrets":2`)
	a.Stop()
	a.AddFlags("--peer-secret=" + otherSecret)
	a.Restart()
	streams(t, c)
	replicate(t, c, "two")

	put(secret)
	hup(t, b)
	says(t, b, "in use for new connections", `"secrets":1`)
	a.Restart()
	says(t, a, "peer refused", "does not know the secret")
	says(t, b, "no link to region", "does not know the secret")
	says(t, a, "no link to region", "does not know the secret")
	for _, p := range []*redistest.Proxy{a, b} {
		if log := p.Log(); strings.Contains(log, secret) || strings.Contains(log, otherSecret) {
			t.Error("a secret is in the log")
		}
	}
}

// Nothing that authenticates, and addresses outside this machine: refused on both ends, before anything starts.
func TestWithoutAnythingOnlyLoopbackIsTaken(t *testing.T) {
	host := farHost(t)
	for _, flag := range []string{"--peer-listen=" + host + ":6480", "--peer-listen=:6480", "--peer=B=" + host + ":6480"} {
		out, err := exec.Command(redistest.Binary(t, false), "serve", "--region=A", "--region-id=1", flag).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no loopback address, and nothing authenticates the peer link") {
			t.Errorf("%s: %v %s", flag, err, out)
		}
	}
	// So it is at run time: with callers that come from elsewhere, and with addresses that become known later.
	redistest.Slow(t)
	c := redistest.StartCluster(t, 2)
	streams(t, c)
	a := c.Region("A").Proxy()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}, Timeout: soon}
	conn, err := dialer.Dial("tcp", a.PeerAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	if _, err := conn.Write([]byte("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "takes peers from loopback only") {
		t.Errorf("%q %v", answer, err)
	}
	says(t, a, "peer refused", host, "takes peers from loopback only")

	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c.Region("A").CRDT("MEMBERS", "ADD", "far", listener.Addr().String())
	called, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer called.Close()
	_ = called.SetDeadline(time.Now().Add(soon))
	if said, err := io.ReadAll(called); len(said) > 0 {
		t.Errorf("a stranger was told %q, %v", said, err)
	}
	says(t, a, "no link to region", "far", "is not on loopback, and nothing authenticates it")
}
