package credentials

import (
	"bytes"
	"fmt"

	"github.com/rs/zerolog"
)

// MinSecretBytes keeps secrets from being guessed, and maxSecrets keeps checks cheap.
const (
	MinSecretBytes = 16
	maxSecrets     = 8
)

// Secrets are what several processes know and nobody else. The first one is what ours proves, all are taken from others: so
// one can be replaced by another without a moment at which they differ.
type Secrets struct{ source[[][]byte] }

// NewSecrets holds one secret that is in no file.
func NewSecrets(text string) (*Secrets, error) {
	s := &Secrets{}
	if err := checkSecret([]byte(text)); err != nil {
		return nil, err
	}
	s.current.Store(&[][]byte{[]byte(text)})
	return s, nil
}

// NewSecretsFile reads a file with one secret in each line. Empty lines, and space around a secret, do not count.
func NewSecretsFile(name, path string) (*Secrets, error) {
	s := &Secrets{source[[][]byte]{name: name, paths: []string{path}, note: noteSecrets}}
	s.parse = func(contents [][]byte) ([][]byte, error) {
		secrets, err := parseSecrets(contents[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return secrets, nil
	}
	return s, s.load()
}

func parseSecrets(content []byte) (secrets [][]byte, err error) {
	for line := range bytes.Lines(content) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if err := checkSecret(line); err != nil {
			return nil, err
		}
		secrets = append(secrets, line)
	}
	switch {
	case len(secrets) == 0:
		return nil, errEmpty
	case len(secrets) > maxSecrets:
		return nil, fmt.Errorf("%d secrets, at most %d can be", len(secrets), maxSecrets)
	}
	return secrets, nil
}

func checkSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("a secret has at least %d bytes, as from `openssl rand -hex 32`", MinSecretBytes)
	}
	return nil
}

// All lists the secrets; the first one is ours to prove. They must not be changed.
func (s *Secrets) All() [][]byte { return s.value() }

func noteSecrets(secrets [][]byte, event *zerolog.Event) { event.Int("secrets", len(secrets)) }

func (s *Secrets) warn(zerolog.Logger) {}
