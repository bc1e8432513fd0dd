package authz

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// keySet holds the gateway's own keys for the one algorithm it uses.
type keySet struct {
	method  jwt.SigningMethod
	signing string // the algorithm
	keys    []gatewayKey
	knows   gatewayKnows
	other   any // of knowsOther: what the gateway signs with
	explain any // under DERIVE_KEY_PER_ENVIRONMENT: a secret that verifies nothing, and only explains
	issue   any // signs the tokens that clients get, where the gateway's own key doesn't
}

// gatewayKey verifies tokens of the gateway's own issuer. They are tried in order; the first is the current one.
type gatewayKey struct {
	id         string // of an additional public key: its thumbprint (RFC 7638), which some gateways write as kid
	verify     any
	macs       *hashers // of a secret
	gateway    any      // how the gateway knows it, to sign with: the secret or what it is derived from, or a private key; nil: none
	additional bool     // of a rotation
	base       bool     // accepted as the gateway signs, though clients should have derived ones
}

// Format keeps key material out of every log and error, whatever the verb.
func (*keySet) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// newKeySet builds the keys of a configuration. Files are opened only when the algorithm needs them.
func newKeySet(c *Config) (*keySet, error) {
	k := &keySet{method: jwt.GetSigningMethod(c.Algorithm), signing: c.Algorithm}
	if symmetric(c.Algorithm) {
		k.addSecrets(c)
		return k, nil
	}
	public, err := readPublicKey(c.PublicKeyPath, c.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("JWT_PUBLIC_KEY_PATH: %w", err)
	}
	k.keys = []gatewayKey{{verify: public}}
	for _, path := range c.AdditionalPublicKeyPaths {
		key, err := readPublicKey(path, c.Algorithm)
		if err != nil {
			return nil, fmt.Errorf("ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS: %w", err)
		}
		if public.(interface{ Equal(crypto.PublicKey) bool }).Equal(key) { // half of a swap, maybe: the former keys stay in force
			return nil, fmt.Errorf("ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS: %q: the key of JWT_PUBLIC_KEY_PATH: want another one, or unset", PrintablePath(path))
		}
		id, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS: %q: %w", PrintablePath(path), err)
		}
		k.keys = append(k.keys, gatewayKey{id: base64.RawURLEncoding.EncodeToString(id), verify: key, additional: true})
	}
	if (c.Embed || len(k.keys) > 1) && c.PrivateKeyPath != "" {
		private, err := readPrivateKey(c.PrivateKeyPath, c.Algorithm)
		if err == nil && !sameKey(public, private) {
			err = fmt.Errorf("%q: is not the private key of JWT_PUBLIC_KEY_PATH", PrintablePath(c.PrivateKeyPath))
		}
		if err != nil {
			return nil, fmt.Errorf("JWT_PRIVATE_KEY_PATH: %w", err)
		}
		k.keys[0].gateway = private
	}
	return k, nil
}

// addSecrets lists the HMAC keys: as clients have them, and as the gateway does.
func (k *keySet) addSecrets(c *Config) {
	for i, secret := range c.secrets() {
		outside, inside := secret.bytes, secret.bytes
		if c.DeriveKey {
			outside = DeriveKey(secret, c.Environment).bytes
		}
		if c.Translate == TranslateOff {
			inside = outside
		}
		k.keys = append(k.keys, gatewayKey{verify: outside, macs: k.macs(outside), gateway: inside, additional: i > 0})
		if secret.same(c.gatewaySecret) {
			k.other = inside
		}
	}
	switch {
	case c.Translate != TranslateOff && c.AcceptBaseKey:
		for _, known := range k.keys {
			k.keys = append(k.keys, gatewayKey{verify: known.gateway, macs: k.macs(known.gateway.([]byte)), gateway: known.gateway, additional: known.additional, base: true})
		}
	case c.DeriveKey:
		k.explain = c.Secret.bytes
	}
	if c.Translate == TranslateIssue {
		k.issue = k.keys[0].verify
	}
}

// baseKeyHint says why a token under the secret that keys are derived from isn't accepted.
func (c *Config) baseKeyHint() string {
	if c.Translate != TranslateOff {
		return "signed with the base secret, which is not accepted: ENVGATE_ACCEPT_BASE_KEY is false"
	}
	return "signed with the secret itself, but DERIVE_KEY_PER_ENVIRONMENT expects the derived key"
}

// signs tells whether there is a private key.
func (k *keySet) signs() bool {
	_, private := k.keys[0].gateway.(crypto.Signer)
	return private
}

// find is the first key that verifies a token; nil for none. Its kid is a hint which additional key to try first.
func (k *keySet) find(p *parsed) *gatewayKey {
	for _, hinted := range []bool{true, false} {
		for i := range k.keys {
			key := &k.keys[i]
			if (i == 0 || key.id == p.keyID) == hinted && k.verifies(key, p) {
				return key
			}
		}
	}
	return nil
}

// verifies tells whether a token's signature is a key's.
func (k *keySet) verifies(key *gatewayKey, p *parsed) bool {
	if key.macs != nil {
		var space [sha512.Size]byte
		return hmac.Equal(key.macs.sum(space[:0], p.signed), p.signature)
	}
	return k.method.Verify(p.signed, p.signature, key.verify) == nil
}

func (k *keySet) macs(secret []byte) *hashers {
	return newMACs(k.method.(*jwt.SigningMethodHMAC), secret)
}

// gatewayKnows says which secret the gateway knows, and so with which one a token must be signed when it gets there.
type gatewayKnows int

const (
	knowsCurrent gatewayKnows = iota
	knowsOther                // another one that is accepted, until it restarts: a reload changed the current one
	knowsUnsaid               // it can't be said, after such a reload: tokens keep their secret
)

// forward is a token that a key verified as the gateway shall see it, and whether it is another one: the same header and
// claims, signed with the key that the gateway knows.
func (k *keySet) forward(token string, p *parsed, by *gatewayKey) (_ string, again bool, err error) {
	key := k.keys[0].gateway
	switch k.knows {
	case knowsOther:
		key = k.other
	case knowsUnsaid:
		key = by.gateway
	}
	if key == nil || sameKey(by.verify, key) {
		return token, false, nil
	}
	signature, err := k.method.Sign(p.signed, key)
	return p.signed + "." + base64.RawURLEncoding.EncodeToString(signature), true, err
}

// sameKey tells whether what one key signs the other verifies.
func sameKey(verify, sign any) bool {
	if secret, ok := verify.([]byte); ok {
		other, ok := sign.([]byte)
		return ok && bytes.Equal(secret, other)
	}
	signer, ok := sign.(crypto.Signer)
	public, comparable := verify.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable && public.Equal(signer.Public())
}
