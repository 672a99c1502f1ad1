package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// Files are paths of PEM files. Certificate and key come together; each part may be absent.
type Files struct {
	CA   string // certificates of authorities, one behind the other
	Cert string // a certificate, and behind it those between it and the authority
	Key  string // the private key of that certificate
}

// None says that no file is named.
func (f Files) None() bool { return f == Files{} }

// Identity is a certificate with its key, and the authorities that are believed. Both are those of the moment.
type Identity struct{ source[identity] }

type identity struct {
	pair  *tls.Certificate // nil: none
	roots *x509.CertPool   // nil: those of the system
}

// NewIdentity reads the files. name says in the log what they are for.
func NewIdentity(name string, files Files) (*Identity, error) {
	if (files.Cert == "") != (files.Key == "") {
		return nil, errors.New("a certificate and its key come together")
	}
	i := &Identity{source[identity]{name: name, note: noteIdentity}}
	if files.Cert != "" {
		i.paths = append(i.paths, files.Cert, files.Key)
	}
	if files.CA != "" {
		i.paths = append(i.paths, files.CA)
	}
	i.parse = func(contents [][]byte) (id identity, err error) {
		if files.Cert != "" {
			if id.pair, err = parsePair(files, contents[0], contents[1]); err != nil {
				return id, err
			}
			if old := i.current.Load(); old != nil && expired(id.pair) && !expired(old.pair) {
				return id, fmt.Errorf("%s: has expired on %s", files.Cert, id.pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
			}
		}
		if files.CA != "" {
			id.roots = x509.NewCertPool()
			if !id.roots.AppendCertsFromPEM(contents[len(contents)-1]) {
				return id, fmt.Errorf("%s: %w: no certificate", files.CA, errEmpty)
			}
		}
		return id, nil
	}
	return i, i.load()
}

func parsePair(files Files, cert, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", files.Cert, files.Key, err)
	}
	return &pair, nil
}

func expired(pair *tls.Certificate) bool { return time.Now().After(pair.Leaf.NotAfter) }

func noteIdentity(id identity, event *zerolog.Event) {
	if id.pair != nil {
		event.Str("subject", id.pair.Leaf.Subject.String()).Str("serial", id.pair.Leaf.SerialNumber.Text(16)).Time("expires", id.pair.Leaf.NotAfter)
	}
}

// Certificate is ours, with the key; nil when there is none.
func (i *Identity) Certificate() *tls.Certificate { return i.value().pair }

// Authorities are those that are believed; nil means those of the system.
func (i *Identity) Authorities() *x509.CertPool { return i.value().roots }

// Server is the configuration of a server that shows the certificate and asks clients for theirs as auth says. Each
// connection gets what the files hold then.
func (i *Identity) Server(auth tls.ClientAuthType) *tls.Config {
	config := func() *tls.Config {
		return &tls.Config{
			MinVersion:   tls.VersionTLS12,
			Certificates: []tls.Certificate{*i.Certificate()},
			ClientAuth:   auth,
			ClientCAs:    i.Authorities(),
			// A session that is resumed is not checked against the authorities of now.
			SessionTicketsDisabled: auth != tls.NoClientCert,
		}
	}
	outer := config()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return config(), nil }
	return outer
}

// Client is the configuration for one connection to a server of this name; "" leaves that to whoever dials. Resumption is
// not used, so a connection always shows the certificate of now.
func (i *Identity) Client(server string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: server, RootCAs: i.Authorities()}
	if pair := i.Certificate(); pair != nil {
		// Whatever authorities the server names: it says more clearly itself what it does not like.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }
	}
	return config
}

// soon is how long before its end a certificate is worth a warning.
const soon = 7 * 24 * time.Hour

// warn logs that the certificate is over, or will be soon.
func (i *Identity) warn(log zerolog.Logger) {
	pair := i.Certificate()
	if pair == nil || time.Until(pair.Leaf.NotAfter) > soon {
		return
	}
	event, text := log.Warn(), "a certificate expires soon"
	if expired(pair) {
		event, text = log.Error(), "a certificate has expired: it is refused wherever it is shown"
	}
	event = event.Str("of", i.name).Strs("files", i.paths)
	noteIdentity(i.value(), event)
	event.Msg(text)
}
