package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"anabranch/internal/credentials"
	"anabranch/syncer"
)

// What --tls-auth-clients says, in redis.conf's words.
const (
	authNone     = "no"
	authOptional = "optional"
	authAlways   = "yes"
)

// addTLSFiles declares the three files of one way in or out: certificate, key, and authorities.
func addTLSFiles(flags *pflag.FlagSet, files *credentials.Files, prefix, cert, ca string) {
	add(flags, &files.Cert, prefix+"cert-file", "FILE", cert, asIsAlways, asIs)
	add(flags, &files.Key, prefix+"key-file", "FILE", "private key (PEM) of that certificate", asIsAlways, asIs)
	add(flags, &files.CA, prefix+"ca-file", "FILE", ca, asIsAlways, asIs)
}

// checkTLS finds options that do not go together.
func (c *config) checkTLS() error {
	for _, way := range []struct {
		prefix string
		files  credentials.Files
	}{{"", c.TLS}, {"peer-", c.PeerTLS}, {"redis-", c.RedisTLS}} {
		if (way.files.Cert == "") != (way.files.Key == "") {
			return fmt.Errorf("--%[1]stls-cert-file, --%[1]stls-key-file: give both, or neither", way.prefix)
		}
	}
	switch {
	case c.TLSAuthClients != authNone && c.TLS.CA == "":
		return fmt.Errorf("--tls-auth-clients: %s needs the authorities of clients' certificates: --tls-ca-file", c.TLSAuthClients)
	case c.TLSAuthClients == authNone && c.TLS.CA != "":
		return errors.New("--tls-ca-file: is of no use unless --tls-auth-clients is yes or optional")
	case c.TLS.CA != "" && c.TLS.Cert == "":
		return errors.New("--tls-ca-file: is of no use without --tls-cert-file")
	case !c.PeerTLS.None() && (c.PeerTLS.CA == "" || c.PeerTLS.Cert == ""):
		return errors.New("--peer-tls-cert-file, --peer-tls-key-file, --peer-tls-ca-file: give all three, or none: regions show each other their certificates")
	case c.PeerSecret != "" && c.PeerSecretFile != "":
		return errors.New("--peer-secret, --peer-secret-file: give one of them")
	case (!c.RedisTLS.None() || c.RedisTLSServerName != "") && !c.Redis.secure():
		return errors.New("--redis-tls-…: are of no use without rediss:// in --redis")
	}
	return nil
}

// checkPeersArePrivate keeps anybody from opening the peer link to a network by accident: whoever reaches it can read
// and write all data.
func (c *config) checkPeersArePrivate() error {
	const why = "nothing authenticates the peer link: give --peer-tls-cert-file, --peer-tls-key-file and --peer-tls-ca-file, or --peer-secret; " +
		"for a private network or a VPN, --insecure-peers"
	if c.InsecurePeers || !c.PeerTLS.None() || c.PeerSecret != "" || c.PeerSecretFile != "" {
		return nil
	}
	if !isLoopback(c.PeerListen) {
		return fmt.Errorf("--peer-listen: %s is no loopback address, and %s", c.PeerListen, why)
	}
	for _, peer := range c.Peers {
		if !isLoopback(peer.Addr) {
			return fmt.Errorf("--peer: %s is no loopback address, and %s", peer.Addr, why)
		}
	}
	return nil
}

// security is what protects each port and each way out, read from the files that the configuration names. Parts that are
// nil protect nothing.
type security struct {
	clients *credentials.Identity
	auth    tls.ClientAuthType // of clients
	peers   *credentials.Identity
	secrets *credentials.Secrets // of peers
	redis   func() *tls.Config   // for one connection, also to a Sentinel
	watch   *credentials.Watch

	shown map[string]*credentials.Identity // by what they are for
}

func newSecurity(c config, log zerolog.Logger) (*security, error) {
	s := &security{shown: map[string]*credentials.Identity{}, watch: credentials.NewWatch(log.With().Str("part", "credentials").Logger())}
	s.auth = map[string]tls.ClientAuthType{
		authNone: tls.NoClientCert, authOptional: tls.VerifyClientCertIfGiven, authAlways: tls.RequireAndVerifyClientCert,
	}[c.TLSAuthClients]
	var err error
	if !c.TLS.None() {
		if s.clients, err = s.identity("clients", "--tls-…-file", c.TLS); err != nil {
			return nil, err
		}
	}
	if !c.PeerTLS.None() {
		if s.peers, err = s.identity("peers", "--peer-tls-…-file", c.PeerTLS); err != nil {
			return nil, err
		}
	}
	if c.Redis.secure() {
		redis, err := s.identity("redis", "--redis-tls-…-file", c.RedisTLS)
		if err != nil {
			return nil, err
		}
		s.redis = func() *tls.Config { return redis.Client(c.RedisTLSServerName) }
	}
	switch {
	case c.PeerSecret != "":
		if s.secrets, err = credentials.NewSecrets(c.PeerSecret); err != nil {
			return nil, fmt.Errorf("--peer-secret: %w", err)
		}
	case c.PeerSecretFile != "":
		if s.secrets, err = credentials.NewSecretsFile("peers", c.PeerSecretFile); err != nil {
			return nil, fmt.Errorf("--peer-secret-file: %w", err)
		}
		s.watch.Secrets(s.secrets)
	}
	return s, nil
}

// identity reads files, and has them watched.
func (s *security) identity(of, options string, files credentials.Files) (*credentials.Identity, error) {
	i, err := credentials.NewIdentity(of, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", options, err)
	}
	s.watch.Identity(i)
	s.shown[of] = i
	return i, nil
}

// keep reads files anew when they change, and when SIGHUP comes, until ctx ends.
func (s *security) keep(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	s.watch.Run(ctx, hangup)
	return nil
}

// expiry is when certificates end, by what they are for.
func (s *security) expiry() map[string]time.Time {
	ends := map[string]time.Time{}
	for of, identity := range s.shown {
		if at, ok := identity.Expires(); ok {
			ends[of] = at
		}
	}
	return ends
}

// clientTLS is nil for plain TCP.
func (s *security) clientTLS() *tls.Config {
	if s.clients == nil {
		return nil
	}
	return s.clients.Server(s.auth)
}

// peerIdentity is nil without TLS between regions: not an interface with a nil in it.
func (s *security) peerIdentity() syncer.Identity {
	if s.peers == nil {
		return nil
	}
	return s.peers
}

// peerSecrets is nil where regions need not prove that they know one.
func (s *security) peerSecrets() func() [][]byte {
	if s.secrets == nil {
		return nil
	}
	return s.secrets.All
}

// secure says whether the way to Redis, or to its Sentinels, is TLS.
func (u redisURL) secure() bool {
	if u.sentinel != nil {
		return u.sentinel.TLS || u.sentinel.SentinelTLS
	}
	parsed, err := url.Parse(u.full)
	return err == nil && parsed.Scheme == "rediss"
}
