package authz

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/go-jose/go-jose/v4"
)

// Fingerprint tells keys apart without showing them, so that one query over several environments finds two that share one.
type Fingerprint struct {
	Slot string // current or additional
	Text string
}

// Of a secret, 24 bits of a slow hash are shown: enough to find two of some dozen environments alike, too few and too slow to
// be of use to somebody who guesses, who has a better target in any token (docs/threat-model.md). Secrets that are shorter
// than fingerprintLeast bytes could be guessed all the same: they have none.
const (
	fingerprintRounds = 600_000
	fingerprintBytes  = 3
	fingerprintLeast  = 32
	fingerprintSalt   = "envgate key fingerprint"
)

// Fingerprints are those of the keys of the gateway's own issuer, before any derivation. known holds those of secrets that
// were computed before, by their SHA-256, and gets new ones: each takes a good part of a second of one core. rest is called
// every fraction of a millisecond of that; false ends it, and what isn't computed is left out.
func (c *Config) Fingerprints(known map[[sha256.Size]byte]string, rest func() bool) (all []Fingerprint) {
	if !c.KeyFingerprint || c.keys == nil {
		return nil
	}
	if symmetric(c.Algorithm) {
		for i, secret := range c.secrets() {
			if secret.Len() < fingerprintLeast {
				continue
			}
			digest := sha256.Sum256(secret.bytes)
			if known[digest] == "" {
				slow, whole := slowHash(secret.bytes, []byte(fingerprintSalt), fingerprintRounds, rest)
				if !whole {
					continue
				}
				known[digest] = hex.EncodeToString(slow[:fingerprintBytes])
			}
			all = append(all, Fingerprint{slot(i > 0), known[digest]})
		}
		return all
	}
	for _, k := range c.keys.keys {
		if thumbprint, err := (&jose.JSONWebKey{Key: k.verify}).Thumbprint(crypto.SHA256); err == nil { // RFC 7638
			all = append(all, Fingerprint{slot(k.additional), base64.RawURLEncoding.EncodeToString(thumbprint)})
		}
	}
	return all
}

func slot(additional bool) string {
	if additional {
		return "additional"
	}
	return "current"
}
