package security

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

// launch starts a proxy with more flags and waits until its admin port says that it is ready: its client port may be one
// that redistest cannot talk to.
func launch(t *testing.T, p *redistest.Proxy, flags ...string) {
	t.Helper()
	p.Stop()
	p.AddFlags(flags...)
	p.Launch()
	eventually(t, "the proxy is ready", func() bool { return ready(p) })
}

func ready(p *redistest.Proxy) bool {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Get("http://" + p.AdminAddr + "/readyz")
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// ask sends one command over TLS, again and again while the proxy only starts.
func ask(addr string, config *tls.Config, command string) (answer string, shown *x509.Certificate, err error) {
	for began := time.Now(); time.Since(began) < soon; time.Sleep(20 * time.Millisecond) {
		if answer, shown, err = askOnce(addr, config, command); !strings.HasPrefix(answer, "-LOADING") {
			break
		}
	}
	return answer, shown, err
}

func askOnce(addr string, config *tls.Config, command string) (answer string, shown *x509.Certificate, err error) {
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return "", nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(soon))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", nil, err
	}
	answer, err = bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), conn.ConnectionState().PeerCertificates[0], err
}

func TestClientsUnderTLS(t *testing.T) {
	redistest.Slow(t)
	a := redistest.NewAuthority(t)
	c := redistest.StartCluster(t, 2)
	files, client := a.Issue("server"), a.Issue("client")
	proxy := c.Region("A").Proxy()
	launch(t, proxy, "--tls-cert-file="+files.CertFile, "--tls-key-file="+files.KeyFile)

	plain := &tls.Config{RootCAs: a.Pool()}
	answer, first, err := ask(proxy.Addr, plain, "PING")
	if answer != "+PONG" {
		t.Fatalf("%q %v", answer, err)
	}
	if _, _, err := ask(proxy.Addr, &tls.Config{RootCAs: a.Pool(), MaxVersion: tls.VersionTLS11}, "PING"); err == nil {
		t.Error("TLS 1.1 is taken")
	}

	// A new certificate serves new connections, and those that are there stay.
	held, err := tls.Dial("tcp", proxy.Addr, plain)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	a.Issue("server")
	hup(t, proxy)
	eventually(t, "the new certificate is shown", func() bool {
		_, now, err := ask(proxy.Addr, plain, "PING")
		return err == nil && !now.Equal(first)
	})
	_ = held.SetDeadline(time.Now().Add(soon))
	if _, err := held.Write([]byte("PING\r\n")); err != nil {
		t.Error(err)
	}
	if line, err := bufio.NewReader(held).ReadString('\n'); line != "+PONG\r\n" {
		t.Errorf("a connection from before: %q %v", line, err)
	}

	other := redistest.NewAuthority(t).Issue("client").Load(t)
	with := func(pair tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: a.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	}
	for _, mode := range []struct {
		name            string
		none, good, bad bool
	}{{"yes", false, true, false}, {"optional", true, true, false}} {
		launch(t, proxy, "--tls-auth-clients="+mode.name, "--tls-ca-file="+a.CAFile)
		for name, test := range map[string]struct {
			config *tls.Config
			want   bool
		}{"no certificate": {plain, mode.none}, "the right one": {with(client.Load(t)), mode.good}, "one of another authority": {with(other), mode.bad}} {
			if answer, _, err := ask(proxy.Addr, test.config, "PING"); (answer == "+PONG") != test.want {
				t.Errorf("tls-auth-clients %s, %s: %q %v", mode.name, name, answer, err)
			}
		}
	}
}

// Each subcommand that asks over the client port can do so under TLS, and shows a certificate if it must.
func TestSubcommandsUnderTLS(t *testing.T) {
	redistest.Slow(t)
	a := redistest.NewAuthority(t)
	c := redistest.StartCluster(t, 2)
	var addrs []string
	for _, region := range c.Regions {
		files := a.Issue("server-" + region.Name)
		launch(t, region.Proxy(), "--tls-cert-file="+files.CertFile, "--tls-key-file="+files.KeyFile, "--tls-auth-clients=yes", "--tls-ca-file="+a.CAFile)
		addrs = append(addrs, region.Name+"=rediss://"+region.Proxy().Addr)
	}
	client := a.Issue("client")
	secure := []string{"--tls-ca-file=" + a.CAFile, "--tls-cert-file=" + client.CertFile, "--tls-key-file=" + client.KeyFile}
	run := func(args ...string) (string, int) {
		cmd := exec.Command(redistest.Binary(t, false), args...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	at := "--redis=rediss://" + c.Region("A").Proxy().Addr
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"status", at}, "stream"}, {[]string{"members", "list", at}, "B"}, {[]string{"conflicts", "tail", at}, ""},
		{[]string{"verify", "--region=" + addrs[0], "--region=" + addrs[1]}, "keys of 2 regions compared"},
	} {
		eventually(t, strings.Join(test.args, " "), func() bool {
			out, code := run(append(test.args, secure...)...)
			return code == 0 && strings.Contains(out, test.want)
		})
		if out, code := run(append(test.args, secure[0])...); code == 0 {
			t.Errorf("%v without a certificate: status %d, %s", test.args, code, out)
		}
		if out, code := run(test.args...); code == 0 || !strings.Contains(out, "unknown authority") {
			t.Errorf("%v without an authority: status %d, %s", test.args, code, out)
		}
		if out, code := run(append(test.args, append(secure, "--tls-server-name=elsewhere")...)...); code == 0 || !strings.Contains(out, "elsewhere") {
			t.Errorf("%v with another name: status %d, %s", test.args, code, out)
		}
	}
	for _, args := range [][]string{
		{"status", secure[0]}, {"status", "--redis=127.0.0.1:1", secure[0]}, {"members", secure[0]}, {"verify", "--region=A=127.0.0.1:1", "--region=B=127.0.0.1:2", secure[0]},
		{"status", at, "--tls-ca-file=/does/not/exist"}, {"conflicts", "tail", at, secure[1]},
	} {
		if out, code := run(args...); code != 2 || !strings.Contains(out, "--tls-") {
			t.Errorf("%v: status %d, %s", args, code, out)
		}
	}
}

// The way to Redis: every connection of a proxy is under TLS, and shows its certificate.
func TestRedisUnderTLS(t *testing.T) {
	redistest.Slow(t)
	a := redistest.NewAuthority(t)
	port := strconv.Itoa(redistest.FreePort(t))
	server, client := a.Issue("redis"), redistest.NewAuthority(t).Issue("client")
	c := redistest.StartCluster(t, 1, redistest.WithRedis(redistest.WithConfig(
		"tls-port "+port, "tls-cert-file "+server.CertFile, "tls-key-file "+server.KeyFile, "tls-ca-cert-file "+a.CAFile, "tls-auth-clients yes",
	)))
	region := c.Region("A")
	proxy := region.Proxy()
	proxy.Stop()
	proxy.AddFlags("--redis=rediss://127.0.0.1:" + port)
	proxy.Launch()
	says(t, proxy, "backend is not ready", "unknown authority")
	proxy.Stop()
	proxy.AddFlags("--redis-tls-ca-file="+a.CAFile, "--redis-tls-cert-file="+client.CertFile, "--redis-tls-key-file="+client.KeyFile)
	proxy.Launch()
	says(t, proxy, "backend is not ready", "unknown certificate authority") // Redis does not know who that is
	if ready(proxy) {
		t.Error("it is ready")
	}

	// The right certificate comes while it runs.
	right := a.Issue("right")
	move(t, right.CertFile, client.CertFile)
	move(t, right.KeyFile, client.KeyFile)
	hup(t, proxy)
	eventually(t, "the proxy is ready", func() bool { return ready(proxy) })
	conn := region.Dial()
	conn.Must("SELECT", "3")
	conn.Must("SET", "k", "v")
	conn.Must("HELLO", "3")
	conn.Must("CLIENT", "TRACKING", "ON")
	if got := conn.Must("GET", "k").Text; got != "v" {
		t.Errorf("k is %q", got)
	}
	list := region.Redis.Client().ClientList(t.Context()).Val()
	ours := 0
	for line := range strings.Lines(list) {
		if !strings.Contains(line, "name=anabranch") {
			continue
		}
		ours++
		if !strings.Contains(line, "laddr=127.0.0.1:"+port+" ") {
			t.Errorf("a connection is not under TLS: %s", line)
		}
	}
	if ours < 3 {
		t.Errorf("only %d connections of the proxy:\n%s", ours, list)
	}

	proxy.Stop()
	proxy.AddFlags("--redis-tls-server-name=elsewhere")
	proxy.Launch()
	says(t, proxy, "backend is not ready", "elsewhere")
	proxy.Stop()
	proxy.AddFlags("--redis-tls-server-name=localhost") // which the certificate is for as well
	proxy.Launch()
	proxy.AwaitReady()
}
