package authz

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envgate/authz/attacktest"

	"pgregory.net/rapid"
)

// reported is all that a configuration, or what is wrong with it, gives to print.
func reported(t testing.TB, environ ...string) string {
	t.Helper()
	c, err := Parse(Source{Environ: environ})
	if err != nil {
		return err.Error()
	}
	r := NewReport(c)
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return text.String() + string(asJSON)
}

// privatePEM is a private key as a person pastes it, and the parts of it that nothing may show.
func privatePEM(t testing.TB) (text string, parts []string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(testKeys()["P-256"])
	if err != nil {
		t.Fatal(err)
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, line := range strings.Split(text, "\n")[1:] {
		if !strings.HasPrefix(line, "-----") && len(line) > 8 {
			parts = append(parts, line[:8])
		}
	}
	return text, parts
}

// A private key in any setting, or in a policy, is shown by nothing: neither by what is wrong with it nor by check.
func TestPrivateKeysInTheWrongPlace(t *testing.T) {
	text, parts := privatePEM(t)
	certificate, key := filepath.Join("testdata", "settings", "ec-p256.pem"), filepath.Join("testdata", "settings", "not-pem")
	for _, s := range Settings {
		for name, more := range map[string][]string{
			"alone":                        nil,
			"with the certificate":         {"ENVGATE_TLS_CERTIFICATE_FILE=" + certificate, "ENVGATE_TLS_KEY_FILE=" + key, "ENVGATE_TLS_CLIENT_AUTH=required"},
			"with an https upstream":       {"ENVGATE_UPSTREAM=https://127.0.0.1:1"},
			"with public keys":             {"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + certificate},
			"with public keys, and embeds": {"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=" + certificate, "EMBED_ENVIRONMENT_IN_TOKENS=true"},
		} {
			got := reported(t, append(append([]string{"JWT_SECRET_KEY=" + secret}, more...), s.Name+"="+text)...)
			for _, part := range parts {
				if strings.Contains(got, part) {
					t.Errorf("%s %s: shows the key: %.300q", s.Name, name, got)
				}
			}
		}
	}
	folder := t.TempDir()
	for _, line := range []string{
		"issuers: [{issuer: https://i.example, audiences: [a], algorithms: [ES256], jwks_url: https://i.example/keys, ca_file: KEY}]",
		"issuers: [{issuer: https://i.example, audiences: [a], algorithms: [ES256], public_keys: [KEY]}]",
		"issuers: [{issuer: https://i.example, audiences: [a], algorithms: [ES256], discovery_url: KEY}]",
		"login_page: KEY", "KEY: x", "basic: [KEY]", "tokens: {cookies: [KEY]}", "routes: [{path: KEY, access: public}]",
	} {
		quoted, _ := json.Marshal(text)
		file := filepath.Join(folder, "policy.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(line, "KEY", string(quoted))), 0o600); err != nil {
			t.Fatal(err)
		}
		got := reported(t, "JWT_SECRET_KEY="+secret, "ENVGATE_POLICY="+file)
		for _, part := range parts {
			if strings.Contains(got, part) {
				t.Errorf("%s: shows the key: %.300q", line, got)
			}
		}
	}
}

// A secret that is given, current or additional, is shown by nothing wherever else it stands; whatever it is made of.
func TestSecretsInTheWrongPlace(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.StringMatching(`[!-~]{16,90}`).Draw(rt, "secret")
		setting := rapid.SampledFrom(Settings).Draw(rt, "setting")
		keys := []string{"JWT_SECRET_KEY=" + value}
		if rapid.Bool().Draw(rt, "additional") {
			keys = []string{"JWT_SECRET_KEY=" + secret, "ENVGATE_ADDITIONAL_SECRET_KEY=" + value}
		}
		place := rapid.SampledFrom([]string{"%", "/%", "x,%", "https://%.example/", "https://user:%@example.com", "a%b"}).Draw(rt, "place")
		if setting.Secret {
			return
		}
		environ := append(keys, setting.Name+"="+strings.ReplaceAll(place, "%", value))
		if rapid.Bool().Draw(rt, "in the policy") {
			quoted, _ := json.Marshal(value)
			line := rapid.SampledFrom([]string{"%: x", "login_page: %", "basic: [%]", "strip_headers: [%]", "issuers: [{issuer: %}]", "issuers: [{issuer: i, audiences: [a], algorithms: [%]}]", "issuance: [{path: %}]", "routes: %", "routes: [{path: %, access: protected, methods: [%]}]", "routes: [{path: /x, access: protected, methods: [%]}]", "{x: 1, %: 2, %: 3}"}).Draw(rt, "line")
			file := filepath.Join(folder, "policy.yaml")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(line, "%", string(quoted))), 0o600); err != nil {
				rt.Fatal(err)
			}
			environ = append(keys, "ENVGATE_POLICY="+file)
		}
		got := reported(t, environ...)
		for _, s := range []string{value, value[:leastHidden], printable(value[:leastHidden])} {
			if strings.Contains(got, s) {
				rt.Fatalf("%q: shows the secret: %.400q", environ, got)
			}
		}
	})
}

// A secret that is nowhere but in the wrong setting is known by its look, where that setting is a path or refuses it.
func TestSecretsThatAreGivenNowhereElse(t *testing.T) {
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(i*37 + 11)
	}
	for coding, value := range map[string]string{"hex": hex.EncodeToString(raw), "base64": base64.StdEncoding.EncodeToString(raw), "base64url": base64.RawURLEncoding.EncodeToString(raw)} {
		for _, s := range Settings {
			for _, more := range [][]string{nil, {"JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=testdata/settings/ec-p256.pem"}} {
				environ := append([]string{"JWT_SECRET_KEY=" + attacktest.Other}, more...)
				if _, err := Parse(Source{Environ: append(environ, s.Name+"="+value)}); err == nil && !strings.HasSuffix(s.Name, "_PATH") && !strings.HasSuffix(s.Name, "_FILE") {
					continue // a name that is as good as any
				}
				if got := reported(t, append(environ, s.Name+"="+value)...); strings.Contains(got, value[:leastHidden]) {
					t.Errorf("%s in %s: %.300q", coding, s.Name, got)
				}
			}
		}
		if _, err := ParsePolicy([]byte(value + ": x\n")); err == nil || strings.Contains(err.Error(), value[:leastHidden]) {
			t.Errorf("%s as the name of a field: %v", coding, err)
		}
	}
}

// What isn't key material is still named: an operator has to find it.
func TestWhatIsNotRedacted(t *testing.T) {
	for _, s := range []string{
		"/var/lib/kubelet/pods/7d1c2f0a-5b3e-4c1d-9f2a-0e1b2c3d4e5f/volumes/key.pem", "https://login.microsoftonline.com/7d1c2f0a-5b3e-4c1d-9f2a-0e1b2c3d4e5f/v2.0",
		"production-eu-central-1-customer-0123", "gateway-7d9f8b6c5d-x2x4z", "keys/current", "/run/secrets/jwt", "EMBED_ENVIRONMENT_IN_TOKENS", "ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS",
	} {
		if got := Redact(s); got != s {
			t.Errorf("%s became %s", s, got)
		}
	}
	if got := PrintablePath("keys/current"); got != "keys/current" {
		t.Errorf("got %s", got)
	}
	if _, err := ParsePolicy([]byte("jwks_urls_of_all_the_issuers: x\n")); err == nil || err.Error() != `line 1, column 1: unknown field "jwks_urls_of_all_the_iss..."` {
		t.Errorf("got %v", err)
	}
}
