package consul

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"anabranch/internal/redistest"
)

const (
	adminToken = "11111111-2222-3333-4444-555555555555"
	proxyToken = "66666666-7777-8888-9999-aaaaaaaaaaaa"
	wrongToken = "bbbbbbbb-cccc-dddd-eeee-ffffffffffff"
)

// policyFile is what docs/consul.md shows.
const policyFile = "../../examples/consul/policy.hcl"

// A token that is not known, or allows nothing, is told in the log; clients and peers are served. The policy of the documentation
// is enough.
func TestATokenThatIsRefusedStopsNobody(t *testing.T) {
	consul := redistest.StartConsul(t, redistest.WithConsulACL(adminToken))
	policy, err := os.ReadFile(policyFile)
	if err != nil {
		t.Fatal(err)
	}
	consul.Put("/v1/acl/policy", encode(map[string]any{"Name": "anabranch", "Rules": string(policy)}), nil)
	consul.Put("/v1/acl/token", encode(map[string]any{"SecretID": proxyToken, "Policies": []map[string]string{{"Name": "anabranch"}}}), nil)

	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(),
		redistest.WithFlagsIn("A", flags(consul, "--consul-token", wrongToken)...),
		redistest.WithFlagsIn("B", flags(consul, "--consul-token", proxyToken)...))
	a, b := cluster.Region("A"), cluster.Region("B")
	a.Dial().Must("SET", "k", "v")
	eventually(t, "B is registered", func() bool { return passing(consul, "B", 1) && lockHolder(consul, "B") != "" && leaderOf(a) == 0 })
	eventually(t, "the log of A says why it is not", func() bool {
		return strings.Contains(a.Proxy().Log(), "look at the ACL token")
	})
	if len(servicesOf(consul, "anabranch", "A")) > 0 {
		t.Error("A is registered with a token that nobody knows")
	}
	if strings.Contains(a.Proxy().Log(), wrongToken) {
		t.Error("the token is in the log")
	}
	if log := b.Proxy().Log(); strings.Contains(log, "Consul cannot be used") {
		t.Errorf("the policy of the documentation is not enough:\n%s", log)
	}

	a.Proxy().Stop()
	a.Proxy().AddFlags("--consul-token", proxyToken)
	a.Proxy().Restart()
	arrives(t, a, b, "allowed")
	arrives(t, b, a, "allowed back")
	eventually(t, "the membership is stored", func() bool { m := membersIn(consul); return m.has("A", false) && m.has("B", false) })
}

// Consul speaks HTTPS alone and wants to see a certificate.
func TestConsulOverTLS(t *testing.T) {
	dir := t.TempDir()
	caFile, certFile, keyFile := certificates(t, dir)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	text, err := os.ReadFile(caFile)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("reading the authority: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}},
	}}
	consul := redistest.StartConsul(t, redistest.WithConsulTLS(caFile, certFile, keyFile, client))
	cluster := redistest.StartCluster(t, 2, redistest.WithoutPeers(),
		redistest.WithFlags(flags(consul, "--consul-ca-file", caFile)...),
		redistest.WithFlagsIn("B", "--consul-cert-file", certFile, "--consul-key-file", keyFile))
	a, b := cluster.Region("A"), cluster.Region("B")
	eventually(t, "B is registered", func() bool { return passing(consul, "B", 1) })
	eventually(t, "A, which shows no certificate, says so", func() bool { return strings.Contains(a.Proxy().Log(), "Consul cannot be used") })
	if passing(consul, "A", 1) {
		t.Error("A is registered without a certificate")
	}
	a.Proxy().Stop()
	a.Proxy().AddFlags("--consul-cert-file", certFile, "--consul-key-file", keyFile)
	a.Proxy().Restart()
	arrives(t, a, b, "k")
}

// certificates makes an authority, and one certificate for both sides.
func certificates(t *testing.T, dir string) (caFile, certFile, keyFile string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	caKey, leafKey := newKey(t), newKey(t)
	key, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	caFile, certFile, keyFile = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, caFile, "CERTIFICATE", sign(t, authority, authority, caKey, caKey))
	writePEM(t, certFile, "CERTIFICATE", sign(t, leaf, authority, leafKey, caKey))
	writePEM(t, keyFile, "EC PRIVATE KEY", key)
	return caFile, certFile, keyFile
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, what, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, what, by, &key.PublicKey, byKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
