package audit

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	first  = "first-secret-0123456789abcdef-0123456789"
	second = "second-secret-0123456789abcdef-012345678"
)

// read reads environments from lines of settings, separated by |.
func read(t *testing.T, files ...string) []Environment {
	t.Helper()
	var all []Environment
	for i, file := range files {
		found, err := Read(fmt.Sprintf("%d.env", i+1), []byte(strings.ReplaceAll(file, "|", "\n")))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// What becomes of the first environment's tokens at the second.
func TestCrossings(t *testing.T) {
	staging, production := "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY="+first, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY="+first
	for _, row := range []struct {
		name, from, to string
		separated      bool
		why            string
	}{
		{"as the charts leave them", "JWT_SECRET_KEY=" + first, "JWT_SECRET_KEY=" + first, false, "same key, issuer and audience, and the same ENVIRONMENT"},
		{"named, but legacy tokens carry no env", staging, production, false, "same key, issuer and audience, and its tokens carry no env"},
		{"embedded", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production, false, "same key, issuer and audience, and its tokens from before embedding carry no env, which is allowed there"},
		{"embedded, and denied without env", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production + "|ENVGATE_MISSING_ENVIRONMENT=deny", true, "env differs, though the key is the same"},
		{"embedded, and denied without env here only", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true|ENVGATE_MISSING_ENVIRONMENT=deny", production, false, "same key, issuer and audience, and its tokens from before embedding carry no env, which is allowed there"},
		{"embedded, and not looked at", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production + "|VALIDATE_TOKEN_ENVIRONMENT=false", false, "same key, issuer and audience, and env is not enforced there"},
		{"denied without env", staging, production + "|ENVGATE_MISSING_ENVIRONMENT=deny", true, "its tokens carry no env, which is denied there, though the key is the same"},
		{"only reported", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production + "|ENVGATE_MODE=report", false, "same key, issuer and audience, and the mode there is report"},
		{"by issuer", staging + "|JWT_ISSUER=a", production, true, "the issuer differs, though the key is the same"},
		{"by issuer, unchecked", staging + "|JWT_ISSUER=a", production + "|JWT_ISSUER_VERIFICATION=false", false, "same key, issuer and audience, and its tokens carry no env"},
		{"by audience", staging + "|JWT_AUDIENCE=a", production, true, "the audience differs, though the key is the same"},
		{"by key", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second, true, "the key differs"},
		{"by derived key", staging + "|DERIVE_KEY_PER_ENVIRONMENT=true", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", true, "the key differs; both have one secret: who holds that can sign for both"},
		{"the same derived key", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", false, "same key, issuer and audience, and the same ENVIRONMENT"},
		{"derived on one side only", staging, production + "|DERIVE_KEY_PER_ENVIRONMENT=true", true, "the key differs; both have one secret: who holds that can sign for both"},
		{"by the additional secret of a rotation", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=" + first, false, "same key, issuer and audience, and its tokens carry no env"},
		{"tokens from before a rotation", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=" + first, production, false, "same additional key, issuer and audience, and its tokens carry no env"},
		{"tokens from before a rotation, by issuer", "ENVGATE_ENVIRONMENT=staging|JWT_ISSUER=a|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=" + first, production, true, "the issuer differs, though an additional key is accepted there"},
		{"a published additional secret there", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=my-test-key", false, "anybody can sign for it: its additional secret is a published one"},
		{"a published additional secret here", staging + "|ENVGATE_ADDITIONAL_SECRET_KEY=my-test-key", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second, true, "the key differs"},
		{"a published secret there, and a key that can't be read here", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY_FILE=/nowhere/s|JWT_ISSUER=a", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=my-test-key", false, "anybody can sign for it: its secret is a published one"},
		{"secrets that can be guessed", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=abc", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=xyz", false, "its secret can be guessed from one token: it has 3 bytes, fewer than 32"},
		{"an additional secret that can be guessed", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=xyz", false, "its additional secret can be guessed from one token: it has 3 bytes, fewer than 32"},
		{"one secret, by an additional key that can't be read", staging + "|ENVGATE_ADDITIONAL_SECRET_KEY_FILE=/nowhere/s", production, false, "same key, issuer and audience, and its tokens carry no env"},
		{"embedded, whatever the key that can't be read is", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true|JWT_ISSUER=mcpgateway", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY_FILE=/nowhere/s|ENVGATE_MISSING_ENVIRONMENT=deny", true, "env differs, though the key may be the same"},
		{"files that have nothing to do with it", staging + "|JWT_PUBLIC_KEY_PATH=jwt/public.pem|JWT_PRIVATE_KEY_PATH=jwt/private.pem|ENVGATE_TLS_CERTIFICATE_FILE=/tls/tls.crt|ENVGATE_TLS_KEY_FILE=/tls/tls.key|ENVGATE_WEB_CONFIG_FILE=/web.yaml", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second + "|ENVGATE_UPSTREAM=https://gw|ENVGATE_UPSTREAM_CA_FILE=/ca.pem|ENVGATE_POLICY=/policy.yaml", true, "the key differs"},
		{"by algorithm", staging, production + "|JWT_ALGORITHM=HS512", true, "the algorithm differs; both have one secret: who holds that can sign for both"},
		{"a published secret there", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=my-test-key", false, "anybody can sign for it: its secret is a published one"},
		{"translated, and issued", staging + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=issue", production + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=issue", true, "the key differs; both have one secret: who holds that can sign for both"},
		{"translated, not issued, base keys accepted", staging + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=accept", production + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=accept", false, "same key, issuer and audience, and its tokens from before embedding carry no env, which is allowed there"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Audit(read(t, row.from, row.to))
			if err != nil {
				t.Fatal(err)
			}
			p := r.Pairs[0]
			inCommon := strings.Contains(p.Why, "is the same") || strings.Contains(p.Why, "is accepted there") || strings.Contains(p.Why, "both have one secret")
			if p.Separated != row.separated || p.Why != row.why || !p.Known || (p.Set == "") != (row.separated && !inCommon) {
				t.Errorf("separated %v, known %v: %s; %s", p.Separated, p.Known, p.Why, p.Set)
			}
			if row.separated && inCommon && !strings.HasSuffix(p.Set, "give each environment a JWT_SECRET_KEY (or key pair) of its own") {
				t.Errorf("who holds the key can sign for both, but what to change is %q", p.Set)
			}
			if (r.Problem() == nil) != r.Separated {
				t.Error("the problem and the verdict differ")
			}
		})
	}
}

// A key that lies in a file of another machine, or is said twice, is not guessed about; what else keeps tokens apart is said.
func TestKeysThatCanNotBeKnown(t *testing.T) {
	folder := t.TempDir()
	a, b := publicKey(t, folder, "a.pem"), publicKey(t, folder, "b.pem")
	es := func(name, file, issuer string) string {
		return "ENVGATE_ENVIRONMENT=" + name + "|JWT_ALGORITHM=ES256|JWT_PUBLIC_KEY_PATH=" + file + "|JWT_ISSUER=" + issuer
	}
	hs := "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + first
	const more, moreFile = "|ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS=", "|ENVGATE_ADDITIONAL_SECRET_KEY_FILE=/nowhere/s"
	for _, row := range []struct{ name, from, to, separated string }{
		{"both keys elsewhere", es("staging", "/nowhere/s.pem", "one"), es("production", "/nowhere/p.pem", "one"), "unknown"},
		{"both keys elsewhere, another issuer", es("staging", "/nowhere/s.pem", "one"), es("production", "/nowhere/p.pem", "other"), "yes"},
		{"both keys elsewhere, another algorithm", es("staging", "/nowhere/s.pem", "one"), hs + "|JWT_ISSUER=one", "yes"},
		{"both keys elsewhere, env embedded", es("staging", "/nowhere/s.pem", "one") + "|EMBED_ENVIRONMENT_IN_TOKENS=true|JWT_PRIVATE_KEY_PATH=/nowhere/k", es("production", "/nowhere/p.pem", "one"), "unknown"},
		{"both keys elsewhere, env embedded, and denied without", es("staging", "/nowhere/s.pem", "one") + "|EMBED_ENVIRONMENT_IN_TOKENS=true|JWT_PRIVATE_KEY_PATH=/nowhere/k", es("production", "/nowhere/p.pem", "one") + "|ENVGATE_MISSING_ENVIRONMENT=deny", "yes"},
		{"two keys", es("staging", a, "one"), es("production", b, "one"), "yes"},
		{"two keys, the private ones elsewhere", es("staging", a, "one") + "|EMBED_ENVIRONMENT_IN_TOKENS=true|JWT_PRIVATE_KEY_PATH=/nowhere/k", es("production", b, "one") + "|EMBED_ENVIRONMENT_IN_TOKENS=true|JWT_PRIVATE_KEY_PATH=/nowhere/k", "yes"},
		{"one key", es("staging", a, "one"), es("production", a, "one"), "NO"},
		{"additional keys that can all be read", es("staging", a, "one"), es("production", b, "one") + more + a, "NO"},
		{"additional keys of which one can be read", es("staging", a, "one"), es("production", b, "one") + more + "/nowhere/x," + a, "NO"},
		{"additional keys that can't be read", es("staging", a, "one"), es("production", b, "one") + more + "/nowhere/x", "unknown"},
		{"only the additional key can be read", es("staging", a, "one"), es("production", "/nowhere/p.pem", "one") + more + a, "NO"},
		{"only another additional key can be read", es("staging", a, "one"), es("production", "/nowhere/p.pem", "one") + more + b, "unknown"},
		{"a secret elsewhere", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY_FILE=/nowhere/s", hs, "unknown"},
		{"an additional secret elsewhere", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=" + second + moreFile, hs, "unknown"},
		{"an additional secret elsewhere, there", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=" + second, hs + moreFile, "unknown"},
		{"an additional secret elsewhere, another issuer", "ENVGATE_ENVIRONMENT=staging|JWT_ISSUER=other|JWT_SECRET_KEY=" + second + moreFile, hs, "yes"},
		{"two secrets in a namespace", twoSecrets("staging", first, second), "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=third-secret-0123456789abcdef-0123456789", "unknown"},
		{"two secrets in a namespace, the last one shared", twoSecrets("staging", second, first), hs, "unknown"},
		{"two secrets in a namespace, another issuer", twoSecrets("staging", second, first), hs + "|JWT_ISSUER=other", "yes"},
		{"two secrets in a namespace, one published", hs, twoSecrets("staging", second, "my-test-key"), "unknown"},
		{"two secrets in a namespace, a published one there", twoSecrets("staging", second, first), "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=my-test-key", "NO"},
		{"the same secret twice", twoSecrets("staging", second, second), hs, "yes"},
		{"two issuers in a namespace", twoSecrets("staging", second, second) + "---|kind: ConfigMap|metadata: {namespace: x}|data: {JWT_ISSUER: b}|---|kind: ConfigMap|metadata: {namespace: x}|data: {JWT_ISSUER: c}", hs, "unknown"},
		{"two ports in a namespace", twoSecrets("staging", second, second) + "---|kind: ConfigMap|metadata: {namespace: x}|data: {PORT: b}|---|kind: ConfigMap|metadata: {namespace: x}|data: {PORT: c}", hs, "yes"},
		{"two lines of an env file", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=" + first + "|JWT_SECRET_KEY=" + second, hs, "yes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Audit(read(t, row.from, row.to))
			if err != nil {
				t.Fatal(err)
			}
			p := r.Pairs[0]
			if strings.Contains(row.from+row.to, "---") && strings.Contains(p.Why+p.Set, "key is the same") {
				t.Errorf("which key counts isn't known: %+v", p)
			}
			if got := map[bool]string{true: "yes", false: "NO"}[p.Separated]; p.Known && got != row.separated || p.Known == (row.separated == "unknown") {
				t.Errorf("%+v", p)
			}
			if row.separated != "yes" && (p.Separated || p.Set == "" || r.Problem() == nil || r.Separated) {
				t.Errorf("unknown is no yes: %+v", p)
			}
		})
	}
	if e := read(t, es("staging", "/nowhere/s.pem", "one"))[0]; e.Algorithm != "ES256" || len(e.Notes) != 1 {
		t.Errorf("%+v", e)
	}
}

// Issuers of the policy files that both environments trust let tokens cross, whatever the gateways' own keys are. From the first
// to the second environment.
func TestFurtherIssuers(t *testing.T) {
	folder := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := publicKey(t, folder, "a.pem"), publicKey(t, folder, "b.pem")
	number := 0
	policy := func(lines string) string { // of one issuer
		number++
		return "|ENVGATE_POLICY=" + file(fmt.Sprintf("%d.yaml", number), "issuers: [{issuer: https://idp, algorithms: [ES256], "+lines+"}]\n")
	}
	staging, production := "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY="+first, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY="+second
	const (
		fetched  = "audiences: [gw], jwks_url: https://idp/keys"
		checked  = fetched + ", environment: check"
		deny     = "|ENVGATE_MISSING_ENVIRONMENT=deny"
		absent   = "|ENVGATE_POLICY=/nowhere/policy.yaml"
		works    = "the key differs, but tokens of issuer https://idp for gw work in both, as "
		mayWork  = "the key differs, but tokens of issuer https://idp for gw may work in both: whether its keys are the same can't be known here"
		unread   = "the key differs, but whether the policies trust one issuer can't be known: the file that ENVGATE_POLICY names can't be read here, or is said twice"
		differs  = "the key differs"
		unlisted = "issuers: []\n"
	)
	own := "ENVGATE_ENVIRONMENT=staging|JWT_ISSUER=https://idp|JWT_AUDIENCE=gw|JWT_ALGORITHM=ES256|JWT_PUBLIC_KEY_PATH="
	for _, row := range []struct{ name, from, to, separated, why string }{
		{"one issuer and audience", staging + policy(fetched), production + policy(fetched), "NO", works + "environment is ignore there"},
		{"an audience in common", staging + policy("audiences: [x, gw], jwks_url: https://idp/keys"), production + policy("audiences: [gw, y], jwks_url: https://idp/keys"), "NO", works + "environment is ignore there"},
		{"audiences of their own", staging + policy("audiences: [x], jwks_url: https://idp/keys"), production + policy(fetched), "yes", differs},
		{"one of the two", staging + policy(fetched), production, "yes", differs},
		{"the built-in policy in one", staging + policy(fetched), production + "|ENVGATE_POLICY=contextforge", "yes", differs},
		{"no issuers in one", staging + policy(fetched), production + "|ENVGATE_POLICY=" + file("none.yaml", unlisted), "yes", differs},
		{"env checked there, allowed to be absent", staging + policy(fetched), production + policy(checked), "NO", works + "those without env are allowed there"},
		{"env checked there, denied when absent", staging + policy(fetched), production + policy(checked) + deny, "yes", differs},
		{"env checked here only", staging + policy(checked) + deny, production + policy(fetched), "NO", works + "environment is ignore there"},
		{"env checked in both, absent denied here", staging + policy(checked) + deny, production + policy(checked), "yes", differs},
		{"env checked in both, of one name", "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + first + policy(checked), production + policy(checked) + deny, "NO", works + "ENVIRONMENT is the same"},
		{"env checked, but the rule is off", staging + policy(checked) + deny, production + policy(checked) + deny + "|ENVGATE_ENVIRONMENT_RULE=off", "NO", works + "env is not enforced there"},
		{"env checked, but only reported", staging + policy(checked) + deny, production + policy(checked) + deny + "|ENVGATE_MODE=report", "NO", works + "the mode there is report"},
		{"one discovery document", staging + policy("audiences: [gw], discovery_url: https://idp/d"), production + policy("audiences: [gw], discovery_url: https://idp/d"), "NO", works + "environment is ignore there"},
		{"two addresses", staging + policy(fetched), production + policy("audiences: [gw], discovery_url: https://idp/d"), "unknown", mayWork},
		{"one PEM key", staging + policy("audiences: [gw], public_keys: ["+a+"]"), production + policy("audiences: [gw], public_keys: ["+b+", "+a+"]"), "NO", works + "environment is ignore there"},
		{"two PEM keys", staging + policy("audiences: [gw], public_keys: ["+a+"]"), production + policy("audiences: [gw], public_keys: ["+b+"]"), "yes", differs},
		{"a PEM key elsewhere", staging + policy("audiences: [gw], public_keys: ["+a+"]"), production + policy("audiences: [gw], public_keys: [/nowhere/k.pem]"), "unknown", mayWork},
		{"a PEM key and an address", staging + policy("audiences: [gw], public_keys: ["+a+"]"), production + policy(fetched), "unknown", mayWork},
		{"both policies elsewhere", staging + absent, production + absent, "unknown", unread},
		{"one policy elsewhere, issuers in the other", staging + absent, production + policy(fetched), "unknown", unread},
		{"one policy elsewhere, no issuers in the other", staging + absent, production, "yes", differs},
		{"one policy elsewhere, and the key is the same", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY=" + second + absent, production + absent, "NO", "same key, issuer and audience, and its tokens carry no env; " + strings.TrimPrefix(unread, "the key differs, but ")},
		{"a key elsewhere, and one issuer", "ENVGATE_ENVIRONMENT=staging|JWT_SECRET_KEY_FILE=/nowhere/s" + policy(fetched), production + policy(fetched), "NO", "the key may be the same: one can't be read here; " + strings.TrimPrefix(works, "the key differs, but ") + "environment is ignore there"},
		{"the gateway itself is trusted there", own + a, production + policy("audiences: [gw], public_keys: ["+a+"]"), "NO", "the algorithm differs, but " + strings.TrimPrefix(works, "the key differs, but ") + "environment is ignore there"},
		{"the gateway itself, by another key", own + b, production + policy("audiences: [gw], public_keys: ["+a+"]"), "yes", "the algorithm differs"},
		{"the gateway itself, by a key elsewhere", own + "/nowhere/k.pem", production + policy("audiences: [gw], public_keys: ["+a+"]"), "unknown", "the algorithm differs, but " + strings.TrimPrefix(mayWork, "the key differs, but ")},
		{"policies said twice", "kind: ConfigMap|data: {ENVGATE_POLICY: contextforge, ENVGATE_ENVIRONMENT: staging, JWT_SECRET_KEY: " + first + "}|---|kind: ConfigMap|data: {ENVGATE_POLICY: " + file("empty.yaml", unlisted) + "}", production + policy(fetched), "unknown", unread},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Audit(read(t, row.from, row.to))
			if err != nil {
				t.Fatal(err)
			}
			p := r.Pairs[0]
			got := map[bool]string{true: "yes", false: "NO"}[p.Separated]
			if !p.Known {
				got = "unknown"
			}
			if got != row.separated || p.Why != row.why || (p.Set == "") != (got == "yes") || got != "yes" && r.Problem() == nil {
				t.Errorf("%s: %s; %s", got, p.Why, p.Set)
			}
		})
	}
	if e := read(t, staging+absent)[0]; strings.Join(e.Notes, "") != "ENVGATE_POLICY can't be read here: its issuers are not looked at" {
		t.Errorf("%q", e.Notes)
	}
	broken := file("broken.yaml", "issuers: [{issuer: "+first+"}]\n")
	if _, err := Read("file", []byte("JWT_SECRET_KEY="+first+"\nENVGATE_POLICY="+broken)); err == nil || !strings.HasSuffix(err.Error(), "audiences: want the names that a token must be for one of") || strings.Contains(err.Error(), first) {
		t.Errorf("a broken policy: %v", err)
	}
}

// publicKey writes a new public key.
func publicKey(t *testing.T, folder, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// twoSecrets are two Secrets of one namespace, which may belong to two gateways.
func twoSecrets(name, one, other string) string {
	object := "kind: Secret|metadata: {namespace: x}|stringData: {ENVGATE_ENVIRONMENT: " + name + ", JWT_SECRET_KEY: "
	return object + one + "}|---|" + object + other + "}|"
}

const kubectl = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata: {name: gateway, namespace: NAME}
  type: Opaque
  data: {JWT_SECRET_KEY: VALUE, other: AAEC/w==}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: gateway, namespace: NAME}
  data: {ENVGATE_ENVIRONMENT: NAME, JWT_ISSUER: mcpgateway, HOST: "0.0.0.0", DERIVE_KEY_PER_ENVIRONMENT: "false"}
`

// Secrets and ConfigMaps make an environment for each namespace, however kubectl prints them; env files are read as Docker
// reads them. No output holds a secret, in any coding.
func TestReadingAndHiding(t *testing.T) {
	object := func(name, secret string) string {
		return strings.NewReplacer("NAME", name, "VALUE", base64.StdEncoding.EncodeToString([]byte(secret))).Replace(kubectl)
	}
	for _, row := range []struct {
		name, text string
		want       string // environments
	}{
		{"a List of two objects", object("staging", first), "staging"},
		{"two Lists in one stream", object("staging", first) + "---\n" + object("production", first), "production staging"},
		{"as JSON", `{"kind":"Secret","metadata":{"namespace":"x"},"stringData":{"JWT_SECRET_KEY":"` + first + `","ENVIRONMENT":"staging"}}`, "staging"},
		{"an env file", "# of staging\n\nexport ENVIRONMENT=staging # here\nJWT_SECRET_KEY='" + first + "'\r\nJWT_ISSUER = \"a # b\"\n", "staging"},
	} {
		t.Run(row.name, func(t *testing.T) {
			all, err := Read("file", []byte(row.text))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range all {
				names = append(names, e.Name)
			}
			if strings.Join(names, " ") != row.want {
				t.Errorf("got %v", names)
			}
			more, err := Read("more", []byte("ENVIRONMENT=test\nJWT_SECRET_KEY="+first))
			if err != nil {
				t.Fatal(err)
			}
			r, err := Audit(append(all, more...))
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			if err := r.Text(&text); err != nil {
				t.Fatal(err)
			}
			asJSON, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			output := text.String() + string(asJSON) + fmt.Sprintf("%v %+v %#v", r.Pairs, r.Pairs, r.Pairs) + fmt.Sprint(r.Problem())
			for _, secret := range []string{first, base64.StdEncoding.EncodeToString([]byte(first)), base64.StdEncoding.EncodeToString([]byte(first))[:12], first[:8]} {
				if strings.Contains(output, secret) {
					t.Errorf("%q is in the output", secret)
				}
			}
		})
	}
}

// Values of env files are what Docker Compose makes of them.
func TestQuotedValues(t *testing.T) {
	for _, row := range []struct{ name, line, value string }{
		{"plain", "abc", "abc"},
		{"with a comment", "abc # comment", "abc"},
		{"a # without a space", "abc#def", "abc#def"},
		{"double quotes", `"abc # def" # comment`, "abc # def"},
		{"an escaped quote", `"abc\"def"`, `abc"def`},
		{"an escaped quote at the end", `"abc\""`, `abc"`},
		{"an escaped backslash before the quote", `"abc\\"`, `abc\`},
		{"a line break", `"abc\ndef"`, "abc\ndef"},
		{"another escape", `"abc\qdef"`, `abc\qdef`},
		{"single quotes", `'a"b\nc'`, `a"b\nc`},
		{"an escaped single quote", `'abc\'def'`, `abc'def`},
		{"empty quotes", `""`, ""},
		{"nothing", "", ""},
	} {
		if value, ok := unquoted(row.line); !ok || value != row.value {
			t.Errorf("%s: %q, %v, want %q", row.name, value, ok, row.value)
		}
	}
	if _, ok := unquoted(`"abc`); ok {
		t.Error("a quote that is not closed is taken")
	}
}

func TestWhatCanNotBeRead(t *testing.T) {
	for _, row := range []struct{ name, text, message string }{
		{"nothing", "", "file: holds no settings: want lines NAME=VALUE, or Secrets and ConfigMaps"},
		{"comments only", "# nothing\n", "file: holds no settings: want lines NAME=VALUE, or Secrets and ConfigMaps"},
		{"prose with a secret in it", "JWT_SECRET_KEY=a\nthe secret is " + first + "\n", "file: line 2: want NAME=VALUE, a comment, or Kubernetes Secrets and ConfigMaps"},
		{"without a key", "ENVIRONMENT=staging\n", "file: JWT_SECRET_KEY: not set: JWT_ALGORITHM HS256 needs JWT_SECRET_KEY or JWT_SECRET_KEY_FILE"},
		{"a ConfigMap alone", "kind: ConfigMap\nmetadata: {namespace: x}\ndata: {JWT_ISSUER: a}\n", "file, namespace x: JWT_SECRET_KEY: not set: JWT_ALGORITHM HS256 needs JWT_SECRET_KEY or JWT_SECRET_KEY_FILE; where the Secret or ConfigMap with it is in another file, put all objects of a gateway into one: kubectl get secret,configmap -o yaml"},
		{"plain text for base64", "kind: Secret\nmetadata: {name: gw}\ndata: {JWT_SECRET_KEY: " + first + "}\n", "file: secret gw: data.JWT_SECRET_KEY: not base64, which an API server wants: plain text goes into stringData"},
		{"broken YAML", "kind: Secret\n  " + first + ": [\n", "file: line 1, column 7: not readable as YAML"},
		{"broken JSON", `{"kind": "Secret", "data": {"JWT_SECRET_KEY": "` + first + `"`, "file: line 1, column "},
		{"other objects", "apiVersion: v1\nkind: Service\n", "file: holds no Secret and no ConfigMap: want those that the gateway's settings come from"},
		{"an object and something else", "kind: Secret\nstringData: {JWT_SECRET_KEY: " + first + "}\n---\n- " + first + "\n", "file: holds a document that is no Kubernetes object: want Secrets and ConfigMaps, as kubectl get -o yaml prints them"},
		{"an open quote", "JWT_SECRET_KEY=\"" + first + "\n", "file: line 1: a quote that is not closed"},
		{"a bad setting", "JWT_SECRET_KEY=" + first + "\nJWT_ALGORITHM=none\n", `file: JWT_ALGORITHM (--jwt-algorithm): "none": want one of HS256`},
	} {
		_, err := Read("file", []byte(row.text))
		if err == nil || !strings.HasPrefix(err.Error(), row.message) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), first) {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
	if _, err := Audit(read(t, "JWT_SECRET_KEY="+first)); err == nil || err.Error() != "1 environment: want two at least, each in a file or a namespace of its own" {
		t.Errorf("got %v", err)
	}
}
