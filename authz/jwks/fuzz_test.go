package jwks

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// FuzzParse reads any text for a key set: what comes out are few public keys, each for an algorithm that was asked for, and the
// same ones when they are written down and read again.
func FuzzParse(f *testing.F) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	asked := []string{"RS256", "PS512", "ES256", "EdDSA"}
	var set jose.JSONWebKeySet
	for i, public := range []any{&r.PublicKey, &ec.PublicKey, ed} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public, KeyID: strings.Repeat("k", i), Use: "sig"})
	}
	good, err := json.Marshal(set)
	if err != nil {
		f.Fatal(err)
	}
	if keys, err := parse(good, asked); err != nil || len(keys) != 3 {
		f.Fatalf("the seed has %d keys: %v", len(keys), err)
	}
	f.Add(good)
	f.Add([]byte(strings.ReplaceAll(string(good), `"use":"sig"`, `"key_ops":["verify"],"alg":"ES256"`)))
	for _, text := range []string{
		``, `{}`, `{"keys":[]}`, `{"keys":null}`, `[]`, `{"keys":[null,[],1,{"kty":"RSA","kid":1}]}`, `{"keys":[{"kty":"oct","k":"AAAA","alg":"RS256"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQ","e":"AQ"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`,
		`{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`, strings.Repeat(`{"keys":[`, 100),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parse(text, asked)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		var again jose.JSONWebKeySet
		for _, k := range keys {
			fits := false
			for _, a := range asked {
				fits = fits || k.fits(a)
			}
			written := jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: k.algorithm}
			if !fits || !written.IsPublic() || !written.Valid() {
				t.Fatalf("%q is a key for nothing that was asked for", k.id)
			}
			again.Keys = append(again.Keys, written)
		}
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 200 {
				t.Fatalf("the error is %q", err)
			}
			return
		}
		written, err := json.Marshal(again)
		if err != nil {
			t.Fatal(err)
		}
		if read, err := parse(written, asked); err != nil || len(read) != len(keys) {
			t.Fatalf("%d keys, read again %d: %v", len(keys), len(read), err)
		}
	})
}
