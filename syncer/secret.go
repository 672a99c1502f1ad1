package syncer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
)

// Regions that share a secret prove to each other that they know it, without saying it:
//
//	puller                                    server
//	HELLO version hello nonce   ──►
//	                            ◄──  CHALLENGE nonce
//	PROOF proof                 ──►
//	                            ◄──  WELCOME version welcome proof
//
// A proof is an HMAC-SHA256 over which side gives it, both nonces, and all that both sides said of themselves and of whom they
// mean: so it is worth nothing on another connection, for another region, or in the other direction. The one that calls
// proves it first: strangers who come to a port are shown nothing that a guess could be tried on.

const nonceBytes = 32

const (
	sidePuller = "anabranch puller 1"
	sideServer = "anabranch server 1"
)

// challenge is one such exchange.
type challenge struct {
	hello         []byte // as it was sent
	puller, serve []byte // nonces
	secret        []byte // the one that the puller has proved; on its own side the one that it proves
}

func newNonce() []byte {
	nonce := make([]byte, nonceBytes)
	_, _ = rand.Read(nonce) // never fails
	return nonce
}

// proof is what a side proves the secret with. welcome is what the server says of itself, nil on the way there.
func (c *challenge) proof(secret []byte, side string, welcome []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range [][]byte{[]byte(side), c.puller, c.serve, c.hello, welcome} {
		var size [8]byte // so that no two lists of parts are the same bytes
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		mac.Write(size[:])
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// demand has the one that called prove that it knows a secret of ours. Without secrets nothing is demanded, and nil answered.
func (s *Syncer) demand(frames *frameConn, request frame) (*challenge, error) {
	if s.cfg.Secrets == nil {
		return nil, nil
	}
	c := &challenge{hello: request.bytes(2), puller: request.bytes(3), serve: newNonce()}
	if len(c.puller) != nonceBytes {
		return nil, refuse(codeSecret, "region '%s' wants proof of a shared secret, and the caller has none to give (--peer-secret)", s.cfg.Region.Name)
	}
	if err := frames.write(verbChallenge, c.serve); err != nil {
		return nil, err
	}
	answer, err := frames.read()
	if err != nil {
		return nil, err
	}
	if answer.verb() != verbProof {
		return nil, answer.unexpected()
	}
	for _, secret := range s.cfg.Secrets() {
		if hmac.Equal(answer.bytes(1), c.proof(secret, sidePuller, nil)) {
			c.secret = secret
			return c, nil
		}
	}
	return nil, refuse(codeSecret, "the caller does not know the secret of region '%s'", s.cfg.Region.Name)
}

// sealed is the server's proof of a WELCOME, which is the puller's business to check; none without a challenge.
func (c *challenge) sealed(welcome []byte) []byte {
	if c == nil {
		return nil
	}
	return c.proof(c.secret, sideServer, welcome)
}

// prepare is the puller's side of one, nil without secrets.
func (p *puller) prepare(hello []byte) *challenge {
	if p.cfg.Secrets == nil {
		return nil
	}
	return &challenge{hello: hello, puller: newNonce(), secret: p.cfg.Secrets()[0]}
}

// answerChallenge proves our secret to a server that asks for it, and returns the frame that follows. Who has one gives
// nothing to, and takes nothing from, a server that does not ask.
func (p *puller) answerChallenge(frames *frameConn, c *challenge) (frame, error) {
	first, err := frames.read()
	if err != nil || first.verb() != verbChallenge {
		return first, err
	}
	if c == nil {
		return nil, refuse(codeSecret, "region '%s' wants proof of a shared secret, and none is configured here (--peer-secret)", p.name)
	}
	if c.serve = first.bytes(1); len(c.serve) != nonceBytes {
		return nil, refuse(codeProtocol, "%s of %d bytes", verbChallenge, len(c.serve))
	}
	if err := frames.write(verbProof, c.proof(c.secret, sidePuller, nil)); err != nil {
		return nil, err
	}
	return frames.read()
}

// checkSeal makes sure that the WELCOME is from one who knows the secret.
func (p *puller) checkSeal(c *challenge, answer frame) error {
	if c == nil {
		return nil
	}
	if c.serve == nil || !hmac.Equal(answer.bytes(3), c.proof(c.secret, sideServer, answer.bytes(2))) {
		return refuse(codeSecret, "region '%s' does not prove that it knows the shared secret", p.name)
	}
	return nil
}
