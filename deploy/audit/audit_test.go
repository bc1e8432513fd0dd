package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
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
		{"embedded", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production, true, "env differs, though key, issuer and audience are the same; tokens from before embedding pass, unless missing ones are denied"},
		{"embedded, and not looked at", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production + "|VALIDATE_TOKEN_ENVIRONMENT=false", false, "same key, issuer and audience, and env is not enforced there"},
		{"denied without env", staging, production + "|ENVGATE_MISSING_ENVIRONMENT=deny", true, "its tokens carry no env, which is denied there, though key, issuer and audience are the same"},
		{"only reported", staging + "|EMBED_ENVIRONMENT_IN_TOKENS=true", production + "|ENVGATE_MODE=report", false, "same key, issuer and audience, and the mode there is report"},
		{"by issuer", staging + "|JWT_ISSUER=a", production, true, "the issuer differs, though the key is the same"},
		{"by issuer, unchecked", staging + "|JWT_ISSUER=a", production + "|JWT_ISSUER_VERIFICATION=false", false, "same key, issuer and audience, and its tokens carry no env"},
		{"by audience", staging + "|JWT_AUDIENCE=a", production, true, "the audience differs, though the key and the issuer are the same"},
		{"by key", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second, true, "the key differs"},
		{"by derived key", staging + "|DERIVE_KEY_PER_ENVIRONMENT=true", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", true, "the key differs, but is derived from one secret: who holds that can sign for both"},
		{"the same derived key", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", production + "|DERIVE_KEY_PER_ENVIRONMENT=true", false, "same key, issuer and audience, and the same ENVIRONMENT"},
		{"derived on one side only", staging, production + "|DERIVE_KEY_PER_ENVIRONMENT=true", true, "the key differs, but is derived from one secret: who holds that can sign for both"},
		{"by the additional secret of a rotation", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=" + second + "|ENVGATE_ADDITIONAL_SECRET_KEY=" + first, false, "same key, issuer and audience, and its tokens carry no env"},
		{"by algorithm", staging, production + "|JWT_ALGORITHM=HS512", true, "the key differs, but is derived from one secret: who holds that can sign for both"},
		{"a published secret there", staging, "ENVGATE_ENVIRONMENT=production|JWT_SECRET_KEY=my-test-key", false, "anybody can sign for it: its secret is a published one"},
		{"translated, and issued", staging + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=issue", production + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=issue", true, "the key differs, but is derived from one secret: who holds that can sign for both"},
		{"translated, not issued, base keys accepted", staging + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=accept", production + "|DERIVE_KEY_PER_ENVIRONMENT=1|EMBED_ENVIRONMENT_IN_TOKENS=1|ENVGATE_TRANSLATE_KEYS=accept", true, "env differs, though key, issuer and audience are the same; tokens from before embedding pass, unless missing ones are denied"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, err := Audit(read(t, row.from, row.to))
			if err != nil {
				t.Fatal(err)
			}
			p := r.Pairs[0]
			if p.Separated != row.separated || p.Why != row.why || !p.Known || (p.Set == "") != row.separated {
				t.Errorf("separated %v, known %v: %s; %s", p.Separated, p.Known, p.Why, p.Set)
			}
			if (r.Problem() == nil) != r.Separated {
				t.Error("the problem and the verdict differ")
			}
		})
	}
}

// A key that lies in a file of another machine is not guessed about; what else keeps tokens apart is.
func TestKeysThatCanNotBeRead(t *testing.T) {
	rs := func(name, issuer string) string {
		return "ENVGATE_ENVIRONMENT=" + name + "|JWT_ALGORITHM=RS256|JWT_PUBLIC_KEY_PATH=/nowhere/" + name + ".pem|JWT_ISSUER=" + issuer
	}
	r, err := Audit(read(t, rs("staging", "one"), rs("production", "one"), rs("development", "other"), "ENVGATE_ENVIRONMENT=test|JWT_SECRET_KEY="+first))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Pairs {
		unknown := strings.HasPrefix(p.From, "staging") && strings.HasPrefix(p.To, "production") || strings.HasPrefix(p.From, "production") && strings.HasPrefix(p.To, "staging")
		if p.Known == unknown || p.Separated == unknown {
			t.Errorf("%+v", p)
		}
	}
	if r.Problem() == nil || r.Separated {
		t.Error("unknown is no yes")
	}
	if e := r.Environments[0]; e.Algorithm != "RS256" || len(e.Notes) != 1 {
		t.Errorf("%+v", e)
	}
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

func TestWhatCanNotBeRead(t *testing.T) {
	for _, row := range []struct{ name, text, message string }{
		{"nothing", "", "file: holds no settings: want lines NAME=VALUE, or Secrets and ConfigMaps"},
		{"comments only", "# nothing\n", "file: holds no settings: want lines NAME=VALUE, or Secrets and ConfigMaps"},
		{"prose with a secret in it", "JWT_SECRET_KEY=a\nthe secret is " + first + "\n", "file: line 2: want NAME=VALUE, a comment, or Kubernetes Secrets and ConfigMaps"},
		{"without a key", "ENVIRONMENT=staging\n", "file: JWT_SECRET_KEY: not set: JWT_ALGORITHM HS256 needs JWT_SECRET_KEY or JWT_SECRET_KEY_FILE"},
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
