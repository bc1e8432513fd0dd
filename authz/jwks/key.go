package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// key is one public key of a set.
type key struct {
	id        string
	algorithm string // the only one that it is for; empty: any that its kind fits
	public    crypto.PublicKey
}

// maxKeys bounds what one set may hold, and so what one token may cost.
const maxKeys = 64

// parse reads a JWK Set (RFC 7517, section 5). Keys that can't verify signatures of the given algorithms are passed over:
// symmetric ones above all, which a public document can't hold, keys for encryption, and keys that can't be read.
func parse(text []byte, algorithms []string) (keys []key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return nil, errors.New("not a JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("holds %d keys: want at most %d", len(set.Keys), maxKeys)
	}
	for _, raw := range set.Keys {
		if k, ok := read(raw); ok && slices.ContainsFunc(algorithms, k.fits) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("holds no key for %v", algorithms)
	}
	return keys, nil
}

func read(raw []byte) (k key, ok bool) {
	var operations struct {
		KeyOps []string `json:"key_ops"`
	}
	var j jose.JSONWebKey
	if json.Unmarshal(raw, &operations) != nil || j.UnmarshalJSON(raw) != nil || !j.Valid() || !j.IsPublic() {
		return k, false
	}
	if j.Use != "" && j.Use != "sig" || len(operations.KeyOps) > 0 && !slices.Contains(operations.KeyOps, "verify") {
		return k, false
	}
	switch j.Key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return key{j.KeyID, j.Algorithm, j.Key}, true
	}
	return k, false
}

// fits tells whether the key is for an algorithm, of its kind and of its size (RFC 7518, sections 3.3 to 3.5; RFC 8037).
func (k key) fits(algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return (algorithm[:2] == "RS" || algorithm[:2] == "PS") && public.N.BitLen() >= 2048 && public.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[algorithm] == public.Curve.Params().BitSize
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
