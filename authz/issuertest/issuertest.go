// Package issuertest is an identity provider for tests: a real process-local server over TLS with a discovery document and
// a key set, that signs tokens, rotates its keys, and misbehaves on command. Only tests import it.
package issuertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The behaviours of an issuer.
const (
	Well     = ""
	Stall    = "stall"   // the request is taken, and never answered
	Reset    = "reset"   // the connection ends in mid-answer
	Garbage  = "garbage" // 200, and no JSON
	Huge     = "huge"    // 10 MB of key set
	Broken   = "broken"  // 500
	Foreign  = "foreign" // the discovery document is of another issuer
	Redirect = "redirect"
)

// Issuer is a running identity provider.
type Issuer struct {
	URL    string // also the issuer's name
	CAFile string // PEM, of its certificate
	Roots  *x509.CertPool

	server    *httptest.Server
	fetches   atomic.Int64
	mutex     sync.Mutex
	behave    string
	elsewhere string
	keys      []signingKey // the last one signs
	extra     []string     // further members of the key set, verbatim
	serial    int
}

type signingKey struct {
	id, algorithm string
	private       crypto.Signer
}

// New starts an issuer whose keys are of one algorithm. It ends with the test.
func New(t testing.TB, algorithm string) *Issuer {
	t.Helper()
	i := &Issuer{}
	i.server = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	i.server.StartTLS()
	t.Cleanup(func() {
		i.Behave(Well)
		i.server.CloseClientConnections()
		i.server.Close()
	})
	i.URL = i.server.URL
	i.Roots = x509.NewCertPool()
	i.Roots.AddCert(i.server.Certificate())
	i.CAFile = filepath.Join(t.TempDir(), "issuer-ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw})
	if err := os.WriteFile(i.CAFile, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	i.Rotate(t, algorithm)
	return i
}

// Rotate adds a key, which signs from now on. The former ones stay in the set until Forget.
func (i *Issuer) Rotate(t testing.TB, algorithm string) (kid string) {
	t.Helper()
	private, err := generate(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.serial++
	kid = fmt.Sprintf("key-%d", i.serial)
	i.keys = append(i.keys, signingKey{kid, algorithm, private})
	return kid
}

func generate(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

// Forget leaves only the newest key in the set.
func (i *Issuer) Forget() {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.keys = i.keys[len(i.keys)-1:]
}

// Publish puts further members into the key set, verbatim.
func (i *Issuer) Publish(keys ...string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.extra = keys
}

// Behave makes the issuer answer in one of the ways above.
func (i *Issuer) Behave(how string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.behave = how
}

// RedirectTo is where Redirect leads.
func (i *Issuer) RedirectTo(address string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	i.elsewhere, i.behave = address, Redirect
}

// Fetches tells how often the key set was asked for.
func (i *Issuer) Fetches() int { return int(i.fetches.Load()) }

// Key is the newest key as a member of a key set.
func (i *Issuer) Key() string {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	k := i.keys[len(i.keys)-1]
	return JWK(k.id, k.algorithm, k.private.Public())
}

// JWKS is the address of the key set.
func (i *Issuer) JWKS() string { return i.URL + "/keys" }

// Discovery is the address of the discovery document, which names the key set.
func (i *Issuer) Discovery() string { return i.URL + "/.well-known/openid-configuration" }

// Sign issues a token of these claims, beside iss and an exp in an hour.
func (i *Issuer) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	i.mutex.Lock()
	k := i.keys[len(i.keys)-1]
	i.mutex.Unlock()
	return i.sign(t, k, k.id, claims)
}

// SignAs issues a token whose header names another key than signed it.
func (i *Issuer) SignAs(t testing.TB, kid string, claims map[string]any) string {
	t.Helper()
	i.mutex.Lock()
	k := i.keys[len(i.keys)-1]
	i.mutex.Unlock()
	return i.sign(t, k, kid, claims)
}

func (i *Issuer) sign(t testing.TB, k signingKey, kid string, claims map[string]any) string {
	all := jwt.MapClaims{"iss": i.URL, "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(k.algorithm), all)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(k.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mutex.Lock()
	how, elsewhere, set := i.behave, i.elsewhere, i.set()
	i.mutex.Unlock()
	if strings.HasSuffix(r.URL.Path, "/keys") {
		i.fetches.Add(1)
	}
	switch how {
	case Stall:
		<-r.Context().Done()
		return
	case Reset:
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"keys": [`))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case Garbage:
		_, _ = w.Write([]byte("<html>not a key set</html>"))
		return
	case Huge:
		_, _ = w.Write([]byte(`{"keys": [], "padding": "`))
		for range 10 << 4 {
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<16)))
		}
		_, _ = w.Write([]byte(`"}`))
		return
	case Broken:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case Redirect:
		http.Redirect(w, r, elsewhere, http.StatusFound)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		name := i.URL
		if how == Foreign {
			name = "https://other.example.com"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": name, "jwks_uri": i.JWKS()})
	case "/keys":
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write([]byte(set))
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) set() string {
	members := append([]string{}, i.extra...)
	for _, k := range i.keys {
		members = append(members, JWK(k.id, k.algorithm, k.private.Public()))
	}
	return `{"keys": [` + strings.Join(members, ", ") + `]}`
}

// JWK is a public key as a member of a key set (RFC 7517, 7518, 8037).
func JWK(kid, algorithm string, public crypto.PublicKey) string {
	b64 := base64.RawURLEncoding.EncodeToString
	m := map[string]string{"kid": kid, "alg": algorithm, "use": "sig"}
	switch key := public.(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(key.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, _ := key.Bytes() // 4, then both coordinates
		half := len(point) / 2
		m["kty"], m["crv"] = "EC", key.Curve.Params().Name
		m["x"], m["y"] = b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(key)
	}
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// PrivatePEM is the newest key as a PEM file.
func (i *Issuer) PrivatePEM(t testing.TB) []byte {
	t.Helper()
	i.mutex.Lock()
	defer i.mutex.Unlock()
	der, err := x509.MarshalPKCS8PrivateKey(i.keys[len(i.keys)-1].private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// PublicPEM is its public half.
func (i *Issuer) PublicPEM(t testing.TB) []byte {
	t.Helper()
	i.mutex.Lock()
	defer i.mutex.Unlock()
	der, err := x509.MarshalPKIXPublicKey(i.keys[len(i.keys)-1].private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
