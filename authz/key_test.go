package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"envgate/authz/attacktest"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// testKeys are made once, at run time: no private key lies in the repository.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	make1 := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		return make1(k, err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{
		"RSA": make1(r, err), "P-256": ec(elliptic.P256()), "P-384": ec(elliptic.P384()), "P-521": ec(elliptic.P521()), "Ed25519": make1(ed, edErr),
	}
})

// keyOf names the kind of key of each algorithm.
var keyOf = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
}

func writeFile(t testing.TB, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func publicFile(t testing.TB, kind string) string {
	t.Helper()
	return writeFile(t, attacktest.PublicPEM(testKeys()[kind].Public()))
}

func TestAlgorithms(t *testing.T) {
	files := map[string]string{}
	for kind := range testKeys() {
		files[kind] = publicFile(t, kind)
	}
	guards, signed := map[string]*Guard{}, map[string]string{}
	for _, a := range Algorithms {
		how := signing{method: jwt.GetSigningMethod(a)}
		settings := []string{"JWT_ALGORITHM=" + a}
		if kind := keyOf[a]; kind != "" {
			how.key = testKeys()[kind]
			settings = append(settings, "JWT_PUBLIC_KEY_PATH="+files[kind])
		}
		guards[a], signed[a] = newGuard(t, settings...), sign(t, `{@base,"env":"production"}`, how)
	}
	for a, g := range guards {
		for b, token := range signed {
			want := None
			if a != b {
				want = Algorithm
			}
			if v := g.v.verify(token); v.Reason != want {
				t.Errorf("a %s token under %s: %s, want %s", b, a, v.Reason, want)
			}
		}
		// The same algorithm under another key, and a signature of zeros.
		signed := signed[a]
		dot := strings.LastIndexByte(signed, '.')
		for _, signature := range []string{strings.Repeat("A", len(signed)-dot-1), "", "AAAA", "A", "!"} {
			if v := g.v.verify(signed[:dot+1] + signature); v.Verified || v.Reason == None {
				t.Errorf("%s with signature %.10q: %s", a, signature, v.Reason)
			}
		}
	}
}

// No spelling of an algorithm but the configured one is taken, and no key of the token's own.
func TestHeaders(t *testing.T) {
	tests := []struct {
		header string
		want   Reason
	}{
		{`{"alg":"HS256"}`, None},
		{`{"alg":"HS256","typ":"JWT","kid":"whatever"}`, None},
		{`{"alg":"HS256","typ":7,"cty":null}`, None},
		{`{"al\u0067":"HS256"}`, None},
		{`{"alg":"hs256"}`, Algorithm},
		{`{"alg":"HS256\u0000"}`, Algorithm},
		{`{"alg":" HS256"}`, Algorithm},
		{`{"alg":"none"}`, Algorithm},
		{`{"alg":"NONE"}`, Algorithm},
		{`{"alg":""}`, Algorithm},
		{`{"alg":null}`, Algorithm},
		{`{"alg":["HS256"]}`, Algorithm},
		{`{"Alg":"HS256"}`, Algorithm},
		{`{}`, Algorithm},
		{`{"alg":"HS256","alg":"HS256"}`, Malformed},
		{`{"alg":"HS256","crit":["exp"]}`, Malformed},
		{`{"alg":"HS256","crit":[]}`, Malformed},
		{`{"alg":"HS256","crit":null}`, Malformed},
		{`{"alg":"HS256","cr\u0069t":["b64"],"b64":false}`, Malformed},
		{`["HS256"]`, Malformed},
		{`"HS256"`, Malformed},
		{`null`, Malformed},
		{``, Malformed},
		{`{"alg":"HS256"} `, None},
		{`{"alg":"HS256"}{}`, Malformed},
		{"\xef\xbb\xbf" + `{"alg":"HS256"}`, Malformed},
		{`{"alg":"HS256","x":"` + "\xff" + `"}`, Malformed},
	}
	g := newGuard(t)
	for _, tt := range tests {
		token := attacktest.Sign(t, tt.header, attacktest.Claims(`{@base,"env":"production"}`, clock), jwt.SigningMethodHS256, []byte(secret))
		if v := g.v.verify(token); v.Reason != tt.want {
			t.Errorf("%q: %s, want %s", tt.header, v.Reason, tt.want)
		}
	}
}

func TestCompactForm(t *testing.T) {
	g := newGuard(t)
	token := sign(t, `{@base,"env":"production"}`)
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	for _, s := range []string{
		"", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", token + ".", "." + token, token + "=", token + "\n", " " + token, token[:last],
		token[:first] + token[first+1:], token[:first+1] + token[last:], token[first:], token[:4] + "\n" + token[4:], token[:first] + "=" + token[first:],
		token[:last] + "." + token[first+1:], token + "A", strings.Replace(token, ".", "..", 1), strings.Replace(token, ".", "%2E", 1), token[:9] + "\x00" + token[9:], token[:9] + "é" + token[9:],
	} {
		if v := g.v.verify(s); v.Reason != Malformed && v.Reason != Signature || v.Verified {
			t.Errorf("%.60q: %s", s, v.Reason)
		}
	}
	// Stray bits behind the last character say the same bytes in another way: two texts of one token.
	stray := []byte(token)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	stray[len(stray)-1] = alphabet[strings.IndexByte(alphabet, token[len(token)-1])|1]
	if v := g.v.verify(string(stray)); string(stray) != token && v.Reason != Signature {
		t.Errorf("stray bits: %s", v.Reason)
	}
	for i := last + 1; i < len(token)-1; i++ { // every character of the signature counts
		changed := []byte(token)
		if changed[i]++; !isAlphanumeric(changed[i]) {
			changed[i] = 'A'
		}
		if v := g.v.verify(string(changed)); v.Reason != Signature {
			t.Fatalf("character %d changed: %s", i, v.Reason)
		}
	}
}

func TestDerivedKey(t *testing.T) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("mcpgw-env:production"))
	derived := []byte(hex.EncodeToString(mac.Sum(nil)))
	g := newGuard(t, "DERIVE_KEY_PER_ENVIRONMENT=true")
	if v := g.v.verify(sign(t, `{@base}`, signing{key: derived})); v.Reason != None || v.BaseKey {
		t.Errorf("under the derived key: %s", v.Reason)
	}
	if v := g.v.verify(sign(t, `{@base}`)); v.Reason != Signature || !v.BaseKey || v.Verified || v.Subject != "" {
		t.Errorf("under the secret itself: %s, base key %t", v.Reason, v.BaseKey)
	}
	if v := g.v.verify(sign(t, `{@base}`, signing{key: []byte(otherSecret)})); v.Reason != Signature || v.BaseKey {
		t.Errorf("under another secret: %s, base key %t", v.Reason, v.BaseKey)
	}
	staging := newGuard(t, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_ENVIRONMENT=staging")
	if v := staging.v.verify(sign(t, `{@base}`, signing{key: derived})); v.Reason != Signature {
		t.Errorf("production's key in staging: %s", v.Reason)
	}
	// The value that the gateway's own code gives for this secret and name.
	if got := string(DeriveKey(NewSecret([]byte("base")), "staging").bytes); got != "0d2e42ad4f30846c8f37ed38fdde54cb2e68693c4cd2e078be06a95cbfea9477" {
		t.Errorf("derived %q", got)
	}
	// Both secrets of a rotation are derived.
	both := newGuard(t, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_ADDITIONAL_SECRET_KEY="+attacktest.Additional)
	extra := DeriveKey(NewSecret([]byte(attacktest.Additional)), "production").bytes
	if v := both.v.verify(sign(t, `{@base}`, signing{key: extra})); v.Reason != None || !v.Additional || v.forward != sign(t, `{@base}`, signing{key: derived}) {
		t.Errorf("under the additional derived key: %s", v.Reason)
	}
}

func TestSecretFile(t *testing.T) {
	for content, key := range map[string]string{
		secret: secret, secret + "\n": secret, secret + "\r\n": secret, secret + "\n\n": secret + "\n", " " + secret + " ": " " + secret + " ", secret + "\r": secret + "\r", "\xff\x00" + secret: "\xff\x00" + secret,
	} {
		c, err := Parse(Source{Environ: []string{"JWT_SECRET_KEY_FILE=" + writeFile(t, []byte(content))}})
		if err != nil {
			t.Fatal(err)
		}
		if string(c.Secret.bytes) != key {
			t.Errorf("file %q: %d bytes, want %d", content, c.Secret.Len(), len(key))
		}
	}
}

func TestPublicKeyFiles(t *testing.T) {
	block := func(kind string, b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
	}
	rsaKey := testKeys()["RSA"].(*rsa.PrivateKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: clock.Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey.Public(), rsaKey)
	pkcs8, err8 := x509.MarshalPKCS8PrivateKey(rsaKey)
	small, errSmall := rsa.GenerateKey(rand.Reader, 1024)
	if errSmall != nil {
		t.Fatal(errSmall)
	}
	tests := []struct {
		name, algorithm string
		file            []byte
		want            string
	}{
		{"PKIX", "RS256", attacktest.PublicPEM(rsaKey.Public()), ""},
		{"PKCS1", "PS512", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil), ""},
		{"certificate", "RS512", block("CERTIFICATE", certificate, err), ""},
		{"text before it", "RS256", append([]byte("# key\n"), attacktest.PublicPEM(rsaKey.Public())...), ""},
		{"no PEM", "RS256", []byte("x"), "not a PEM file"},
		{"empty", "RS256", nil, "not a PEM file"},
		{"private key", "RS256", block("PRIVATE KEY", pkcs8, err8), `holds a PEM block "PRIVATE KEY": want PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE`},
		{"broken key", "RS256", block("PUBLIC KEY", []byte("x"), nil), "not a readable public key"},
		{"broken certificate", "RS256", block("CERTIFICATE", []byte("x"), nil), "not a readable public key"},
		{"small key", "RS256", attacktest.PublicPEM(small.Public()), "an RSA key of 1024 bits: want 2048 or more"},
		{"RSA for ES256", "ES256", attacktest.PublicPEM(rsaKey.Public()), "an RSA key, but JWT_ALGORITHM is ES256"},
		{"P-256 for ES384", "ES384", attacktest.PublicPEM(testKeys()["P-256"].Public()), "an EC key on P-256, but JWT_ALGORITHM is ES384"},
		{"P-256 for RS256", "RS256", attacktest.PublicPEM(testKeys()["P-256"].Public()), "an EC key on P-256, but JWT_ALGORITHM is RS256"},
		{"Ed25519 for ES256", "ES256", attacktest.PublicPEM(testKeys()["Ed25519"].Public()), "an Ed25519 key, but JWT_ALGORITHM is ES256"},
		{"RSA for EdDSA", "EdDSA", attacktest.PublicPEM(rsaKey.Public()), "an RSA key, but JWT_ALGORITHM is EdDSA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := writeFile(t, tt.file)
			_, err := Parse(Source{Environ: []string{"JWT_ALGORITHM=" + tt.algorithm, "JWT_PUBLIC_KEY_PATH=" + file}})
			got := ""
			if err != nil {
				got = strings.TrimPrefix(err.Error(), `JWT_PUBLIC_KEY_PATH: "`+file+`": `)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Key paths are opened only when the algorithm needs them.
func TestUnneededKeyFilesAreNotOpened(t *testing.T) {
	newGuard(t, "JWT_PUBLIC_KEY_PATH=/does/not/exist", "JWT_PRIVATE_KEY_PATH=/does/not/exist")
	newGuard(t, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+publicFile(t, "P-256"), "JWT_PRIVATE_KEY_PATH=/does/not/exist")
}

// During a rotation of a key pair, tokens of both keys are accepted; those of the other one are signed again for the
// gateway where the private key is there.
func TestAdditionalPublicKeys(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, pem []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var keys []*ecdsa.PrivateKey
	for range 3 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	settings := []string{
		"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + file("current", attacktest.PublicPEM(keys[0].Public())),
		"ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS=" + file("next", attacktest.PublicPEM(keys[1].Public())) + ", " + file("last", attacktest.PublicPEM(keys[2].Public())),
	}
	forwarding := newGuard(t, settings...)
	signingAgain := newGuard(t, append(settings, "JWT_PRIVATE_KEY_PATH="+file("private", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))...)
	if n := forwarding.c.KeyCount(); n != 3 || len(forwarding.c.Keys()) != 3 {
		t.Errorf("%d keys, want 3", n)
	}
	thumbprint, err := (&jose.JSONWebKey{Key: keys[2].Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		for _, kid := range []string{"", base64.RawURLEncoding.EncodeToString(thumbprint), "made up"} {
			token := sign(t, `{@base,"env":"production"}`, signing{header: `{"alg":"ES256","kid":"` + kid + `"}`, method: jwt.SigningMethodES256, key: key})
			v := forwarding.v.verify(token)
			if v.Reason != None || v.Additional != (i > 0) || v.forward != token {
				t.Errorf("key %d, kid %q: %+v", i, kid, v)
			}
			v = signingAgain.v.verify(token)
			if v.Reason != None || v.Additional != (i > 0) || (v.forward == token) != (i == 0) {
				t.Errorf("signed again: key %d, kid %q: %+v", i, kid, v)
			}
			if again := signingAgain.v.verify(v.forward); again.Reason != None || again.Additional {
				t.Errorf("what the gateway gets is not under the current key: %+v", again)
			}
		}
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if v := forwarding.v.verify(sign(t, `{@base}`, signing{method: jwt.SigningMethodES256, key: stranger})); v.Reason != Signature {
		t.Errorf("a stranger's: %s", v.Reason)
	}
}

// tries notes the keys that are tried, none of which verifies anything.
type tries struct {
	jwt.SigningMethod
	keys []string
}

func (m *tries) Verify(_ string, _ []byte, key any) error {
	m.keys = append(m.keys, key.(string))
	return jwt.ErrSignatureInvalid
}

// The current key comes first, and then the one that a token names: each is tried once.
func TestTheOrderOfKeys(t *testing.T) {
	for kid, want := range map[string]string{"": "current one two three", "1": "current one two three", "3": "current three one two", "x": "current one two three"} {
		m := &tries{}
		k := &keySet{method: m, keys: []gatewayKey{{verify: "current"}, {id: "1", verify: "one"}, {id: "2", verify: "two"}, {id: "3", verify: "three"}}}
		if by := k.find(&parsed{keyID: kid}); by != nil || strings.Join(m.keys, " ") != want {
			t.Errorf("kid %q: %v, want %s", kid, m.keys, want)
		}
	}
}

// A file with several keys is refused: which of them would count is a guess. A certificate may bring those above it.
func TestFilesWithSeveralKeys(t *testing.T) {
	one, other := attacktest.PublicPEM(testKeys()["P-256"].Public()), attacktest.PublicPEM(testKeys()["P-384"].Public())
	both := writeFile(t, append(append([]byte{}, one...), other...))
	for _, environ := range [][]string{
		{"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + both},
		{"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + writeFile(t, one), "ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS=" + both},
		{"JWT_SECRET_KEY=" + secret, "ENVGATE_POLICY=" + writeFile(t, []byte("issuers: [{issuer: i, audiences: [a], algorithms: [ES256], public_keys: ["+both+"]}]\n"))},
	} {
		if _, err := Parse(Source{Environ: environ}); err == nil || !strings.Contains(err.Error(), "holds 2 blocks PUBLIC KEY: want one key in a file") {
			t.Errorf("%v: %v", environ, err)
		}
	}
	chain, err := os.ReadFile("testdata/settings/ec-p256.pem")
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("above")})
	if _, err := Parse(Source{Environ: []string{"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + writeFile(t, append(chain, append(certificate, certificate...)...))}}); err != nil {
		t.Errorf("a key with certificates after it: %v", err)
	}
}
