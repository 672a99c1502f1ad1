package syncer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Identity is the certificate with which this region shows who it is, and the authorities whose word it takes for who
// others are. Both may change; each connection uses what they are when it begins.
type Identity interface {
	Certificate() *tls.Certificate
	Authorities() *x509.CertPool
}

// RegionURI is how a certificate names a region, as one of its subject alternative names. A host's name would not do: proxies
// come and go, and certificates for hosts are made for many purposes.
func RegionURI(name string) string {
	return (&url.URL{Scheme: "anabranch", Host: "region", Path: "/" + name}).String()
}

// regionsOf lists the regions that a certificate names.
func regionsOf(cert *x509.Certificate) (names []string) {
	for _, uri := range cert.URIs {
		if name, found := strings.CutPrefix(uri.Path, "/"); found && uri.Scheme == "anabranch" && uri.Host == "region" {
			names = append(names, name)
		}
	}
	return names
}

// certified says whether a certificate is one of a region, as an error that names what it is of instead.
func certified(state tls.ConnectionState, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate was shown")
	}
	names := regionsOf(state.PeerCertificates[0])
	switch {
	case slices.Contains(names, name):
		return nil
	case len(names) == 0:
		return fmt.Errorf("the certificate names no region: it needs the URI %s", RegionURI(name))
	}
	return fmt.Errorf("the certificate is one of region '%.128s', not '%.128s'", strings.Join(names, "', '"), name)
}

// shield puts an accepted connection under TLS, if links are. The region that calls shows its certificate; whether it is the
// one that it says it is comes with HELLO.
func (s *Syncer) shield(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if s.cfg.Identity == nil {
		return conn, nil
	}
	secure := tls.Server(conn, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{*s.cfg.Identity.Certificate()},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    s.cfg.Identity.Authorities(),
		// A session that is resumed is not checked against the authorities of now.
		SessionTicketsDisabled: true,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, refuseTLS(err)
	}
	return secure, nil
}

// shieldTo does so for a connection that was dialled, and makes sure that it leads to the region.
func (s *Syncer) shieldTo(ctx context.Context, conn net.Conn, addr, name string) (net.Conn, error) {
	if s.cfg.Identity == nil {
		return conn, nil
	}
	host, _, _ := net.SplitHostPort(addr)
	pair, roots := s.cfg.Identity.Certificate(), s.cfg.Identity.Authorities()
	secure := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: host, // for whoever forwards by it; no certificate need have it
		// Whatever authorities the server names: it says more clearly itself what it does not like.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil },
		InsecureSkipVerify:   true, // of the host's name. VerifyConnection checks all else, and the region's name
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := chained(state.PeerCertificates, roots); err != nil {
				return err
			}
			return certified(state, name)
		},
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, refuseTLS(err)
	}
	return secure, nil
}

// chained checks that an authority vouches for a server's certificate at this time.
func chained(certs []*x509.Certificate, roots *x509.CertPool) error {
	if len(certs) == 0 {
		return errors.New("no certificate was shown")
	}
	between := x509.NewCertPool()
	for _, cert := range certs[1:] {
		between.AddCert(cert)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

// refuseTLS is what a handshake failed with. When the other side ended it, it is that side's log that says why.
func refuseTLS(err error) error {
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &record):
		return refuse(codeTLS, "TLS: the other side does not speak it: %v", err)
	case isRemote(err):
		errors.As(err, &op)
		return refuse(codeTLS, "TLS: the other side refuses our certificate or version, its log says why: %v", op.Err)
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("TLS: %w", err)
	}
	return refuse(codeTLS, "TLS: %v", err)
}

// isRemote says whether the other side has ended TLS with an alert.
func isRemote(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// isCaller checks that the certificate of a connection is one of the region that the caller says it is.
func (s *Syncer) isCaller(conn net.Conn, name string) error {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	if err := certified(secure.ConnectionState(), name); err != nil {
		return refuse(codeIdentity, "TLS: %v", err)
	}
	return nil
}

// trusts says whether a connection may carry data: something authenticates the other side, or it is this machine, or that does
// not matter.
func (s *Syncer) trusts(conn net.Conn) bool {
	return s.cfg.Identity != nil || s.cfg.Secrets != nil || s.cfg.InsecurePeers || remoteIsLoopback(conn)
}
