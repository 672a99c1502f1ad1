package security

import (
	"crypto/tls"
	"strconv"
	"strings"
	"testing"

	"anabranch/internal/redistest"
)

// Before active mode as in it: clients and the way to Redis are under TLS, certificates are read anew at SIGHUP, and /metrics tells when they end.
func TestPassiveAndShadowModeUnderTLS(t *testing.T) {
	redistest.Slow(t)
	a := redistest.NewAuthority(t)
	port := strconv.Itoa(redistest.FreePort(t))
	server, client := a.Issue("redis"), a.Issue("client")
	redis := redistest.Start(t, redistest.WithConfig(
		"tls-port "+port, "tls-cert-file "+server.CertFile, "tls-key-file "+server.KeyFile, "tls-ca-cert-file "+a.CAFile, "tls-auth-clients yes",
	))
	for _, mode := range []string{"passive", "shadow"} {
		files := a.Issue("server")
		p := redistest.NewProxy(t, mode, "--region=A", "--region-id=1", "--mode="+mode, "--redis=rediss://127.0.0.1:"+port,
			"--redis-tls-ca-file="+a.CAFile, "--redis-tls-cert-file="+client.CertFile, "--redis-tls-key-file="+client.KeyFile,
			"--tls-cert-file="+files.CertFile, "--tls-key-file="+files.KeyFile)
		launch(t, p)
		config := &tls.Config{RootCAs: a.Pool()}
		answer, first, err := ask(p.Addr, config, "SET by "+mode)
		if answer != "+OK" {
			t.Fatalf("%s: %q %v", mode, answer, err)
		}
		if got := redistest.Dial(t, redis.Addr).Must("GET", "by").Text; got != mode {
			t.Errorf("Redis has %q of the %s proxy", got, mode)
		}
		if plain, err := redistest.TryDial(t, p.Addr); err == nil {
			if reply, err := plain.Try("PING"); err == nil {
				t.Errorf("%s: without TLS a client hears %v", mode, reply)
			}
			plain.Close()
		}
		a.Issue("server")
		hup(t, p)
		eventually(t, "the new certificate of the "+mode+" proxy is shown", func() bool {
			_, now, err := ask(p.Addr, config, "PING")
			return err == nil && !now.Equal(first)
		})
		metrics := p.Scrape()
		for _, of := range []string{"clients", "redis"} {
			if !strings.Contains(metrics, `anabranch_certificate_expiry_timestamp_seconds{of="`+of+`",region="A"}`) {
				t.Errorf("%s: /metrics does not tell when the certificate of %s ends:\n%s", mode, of, metrics)
			}
		}
		p.Stop()
	}
}
