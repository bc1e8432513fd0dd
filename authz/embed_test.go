package authz

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"envgate/authz/attacktest"
	"envgate/authz/issuertest"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

const embedding = "EMBED_ENVIRONMENT_IN_TOKENS=true"

var translating = []string{embedding, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue"}

func TestEmbed(t *testing.T) {
	g := newGuard(t, embedding, "ENVGATE_ADDITIONAL_SECRET_KEY="+attacktest.Additional)
	external := issuertest.New(t, "ES256").Sign(t, nil)
	good := sign(t, `{@base}`)
	for _, row := range []struct {
		name, token string
		bound       bool
		want        Embedding
	}{
		{"a fresh one", good, true, Embedded},
		{"without exp and jti", sign(t, `{"iss":"mcpgateway"}`), true, Embedded},
		{"with a null env", sign(t, `{@base,"env":null}`), true, Embedded},
		{"under the additional secret", sign(t, `{@base}`, signing{key: []byte(attacktest.Additional)}), true, Embedded},
		{"with env under another spelling", sign(t, `{@base,"Env":"staging"}`), true, Embedded},
		{"of this environment", sign(t, `{@base,"env":"production"}`), true, AlreadyBound},
		{"of another environment", sign(t, `{@base,"env":"staging"}`), true, ForeignToken},
		{"whose env is no name", sign(t, `{@base,"env":["production"]}`), true, ForeignToken},
		{"asked for by an unbound token", good, false, UnboundRequest},
		{"of another issuer name", sign(t, `{"iss":"other"}`), true, NotOurs},
		{"without issuer", sign(t, `{"sub":"a"}`), true, NotOurs},
		{"under another key", sign(t, `{@base}`, signing{key: []byte(otherSecret)}), true, NotOurs},
		{"of an identity provider", external, true, NotOurs},
		{"unsigned", strings.Join(strings.Split(good, ".")[:2], ".") + ".", true, NotOurs},
		{"of another algorithm", sign(t, `{@base}`, signing{method: jwt.SigningMethodHS512}), true, NotOurs},
		{"opaque", "d41d8cd98f00b204e9800998ecf8427e", true, NotOurs},
		{"empty", "", true, NotOurs},
		{"with crit", sign(t, `{@base}`, signing{header: `{"alg":"HS256","crit":["b64"]}`}), true, NotOurs},
		{"with a name twice", sign(t, `{@base,"sub":"b"}`), true, NotOurs},
		{"longer than any that is accepted", sign(t, `{@base,"x":"`+strings.Repeat("x", 20000)+`"}`), true, NotOurs},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, what := g.Embed(row.token, row.bound)
			if what != row.want || (got != row.token) != (what == Embedded) {
				t.Fatalf("%s, changed %v", what, got != row.token)
			}
			if what == Embedded {
				checkEmbedded(t, row.token, got, "production")
				if v := g.v.verify(got); v.Verified && (v.Environment != "production" || v.Additional != (row.name == "under the additional secret")) {
					t.Errorf("%+v", v)
				}
			}
		})
	}
}

// checkEmbedded compares a token with the one that was embedded from it: the header is the same bytes, the claims the same
// but for env.
func checkEmbedded(t rapid.TB, before, after, environment string) {
	t.Helper()
	b, a := strings.Split(before, "."), strings.Split(after, ".")
	if b[0] != a[0] {
		t.Errorf("the header changed")
	}
	claims := func(s string) (text []byte, m map[string]json.RawMessage) {
		text, err := base64.RawURLEncoding.DecodeString(s)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return text, m
	}
	oldText, old := claims(b[1])
	newText, now := claims(a[1])
	if string(now["env"]) != `"`+environment+`"` {
		t.Errorf("env is %s", now["env"])
	}
	delete(now, "env")
	delete(old, "env")
	if !reflect.DeepEqual(old, now) {
		t.Errorf("claims changed:\n%s\n%s", oldText, newText)
	}
}

// Whatever the claims: all but env stay byte for byte, numbers above all, and the gateway's key verifies the result.
func TestEmbeddingKeepsTheClaims(t *testing.T) {
	g := newGuard(t, embedding)
	rapid.Check(t, func(r *rapid.T) {
		value := rapid.SampledFrom([]string{`1e300`, `12345678901234567890`, `0.1000000000000000055`, `1E-7`, `"a\u0000\"}"`, `null`, `{"env": "x", "a": [1,{}]}`, `"é😀"`, `[ ]`, `true`, `-0`})
		var members []string
		for i := range rapid.IntRange(0, 6).Draw(r, "members") {
			members = append(members, fmt.Sprintf(`"m%d"%s:%s%s`, i, rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(r, "space"), rapid.SampledFrom([]string{"", " "}).Draw(r, "space"), value.Draw(r, "value")))
		}
		members = append(members, `"iss":"mcpgateway"`, rapid.SampledFrom([]string{`"x":1`, `"env":null`, `"env" : null `, `"\u0065nv":null`, `"enV":"staging"`}).Draw(r, "env"))
		members = rapid.Permutation(members).Draw(r, "order")
		space := rapid.SampledFrom([]string{"", " ", "\n", "\r\n  "}).Draw(r, "around")
		text := space + "{" + space + strings.Join(members, ","+space) + space + "}" + space
		token := attacktest.Sign(t, plainJOSE, text, jwt.SigningMethodHS256, []byte(secret))
		got, what := g.Embed(token, true)
		if what != Embedded {
			r.Fatalf("%s: %q", what, text)
		}
		checkEmbedded(r, token, got, "production")
		if _, err := jwt.Parse(got, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
			r.Fatalf("%v: %q", err, text)
		}
	})
}

// A key pair embeds with the private key, which must be that of the public one.
func TestEmbeddingWithAKeyPair(t *testing.T) {
	folder := t.TempDir()
	i := issuertest.New(t, "ES256")
	private, public := filepath.Join(folder, "private.pem"), filepath.Join(folder, "public.pem")
	if err := os.WriteFile(private, i.PrivatePEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, i.PublicPEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGuard(t, embedding, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+public, "JWT_PRIVATE_KEY_PATH="+private)
	token := i.Sign(t, map[string]any{"iss": "mcpgateway", "aud": "mcpgateway-api"})
	got, what := g.Embed(token, true)
	if what != Embedded {
		t.Fatal(what)
	}
	checkEmbedded(t, token, got, "production")
	if v := g.v.verify(got); !v.Verified || v.Environment != "production" {
		t.Errorf("%+v", v)
	}
	other := filepath.Join(folder, "other.pem")
	if err := os.WriteFile(other, issuertest.New(t, "ES256").PrivatePEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse(Source{Environ: append(attacktest.Environ(), embedding, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+public, "JWT_PRIVATE_KEY_PATH="+other)})
	if err == nil || !strings.HasSuffix(err.Error(), "is not the private key of JWT_PUBLIC_KEY_PATH") {
		t.Errorf("got %v", err)
	}
}

// Translation: clients hold tokens under the derived key, the gateway sees the base key.
func TestTranslation(t *testing.T) {
	derived := DeriveKey(NewSecret([]byte(secret)), "production").bytes
	staging := DeriveKey(NewSecret([]byte(secret)), "staging").bytes
	base, under := sign(t, `{@base}`), func(key []byte) string { return sign(t, `{@base}`, signing{key: key}) }
	settings := func(more ...string) []string { return append(append([]string{}, translating...), more...) }
	for _, row := range []struct {
		name     string
		settings []string
		token    string
		want     Reason
		forward  string
		baseKey  bool
	}{
		{"derived key", settings(), under(derived), None, base, false},
		{"base key, a migration aid", settings(), base, None, base, true},
		{"base key, no more", settings("ENVGATE_ACCEPT_BASE_KEY=false"), base, Signature, "", true},
		{"another environment's derived key", settings(), under(staging), Signature, "", false},
		{"accepting only", settings("ENVGATE_TRANSLATE_KEYS=accept"), under(derived), None, base, false},
		{"another key", settings(), under([]byte(otherSecret)), Signature, "", false},
		{"additional secret's derived key", settings("ENVGATE_ADDITIONAL_SECRET_KEY=" + attacktest.Additional), under(DeriveKey(NewSecret([]byte(attacktest.Additional)), "production").bytes), None, base, false},
		{"additional base secret", settings("ENVGATE_ADDITIONAL_SECRET_KEY=" + attacktest.Additional), under([]byte(attacktest.Additional)), None, base, true},
		{"off: the gateway derives itself", []string{"DERIVE_KEY_PER_ENVIRONMENT=true"}, under(derived), None, under(derived), false},
		{"off: a base key is only explained", []string{"DERIVE_KEY_PER_ENVIRONMENT=true"}, base, Signature, "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := newGuard(t, row.settings...).v.verify(row.token)
			if v.Reason != row.want || v.forward != row.forward || v.BaseKey != row.baseKey || v.Verified != (row.want == None) {
				t.Errorf("%s, base key %v, forwarded as expected: %v", v.Reason, v.BaseKey, v.forward == row.forward)
			}
		})
	}
	for mode, key := range map[string][]byte{"issue": derived, "accept": []byte(secret)} {
		g := newGuard(t, settings("ENVGATE_TRANSLATE_KEYS="+mode)...)
		got, what := g.Embed(base, true)
		if what != Embedded || got != sign(t, strings.TrimSuffix(claimsOf(t, base), "}")+`,"env":"production"}`, signing{key: key}) {
			t.Errorf("%s: %s", mode, what)
		}
		if _, what := g.Embed(under(staging), true); what != NotOurs {
			t.Errorf("%s: another environment's token: %s", mode, what)
		}
	}
}

func claimsOf(t *testing.T, token string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every carrier is translated.
func TestEveryCarrierIsTranslated(t *testing.T) {
	g := newGuard(t, translating...)
	derived := sign(t, `{@base,"env":"production"}`, signing{key: DeriveKey(NewSecret([]byte(secret)), "production").bytes})
	inside := sign(t, `{@base,"env":"production"}`)
	for _, line := range []string{
		"GET /tools | Authorization: Bearer " + derived,
		"GET /tools | Cookie: a=b; jwt_token=" + derived + "; c=d",
		"GET /ws?x=1&token=" + derived + "&y=2",
	} {
		d := g.Check(request(t, line))
		if d.Outcome != Accepted {
			t.Fatalf("%s %s", d.Outcome, d.Reason)
		}
		sent := strings.Join(d.Forward.AuthHeader, "") + strings.Join(d.Forward.Cookie, "") + d.Forward.RawQuery
		if !strings.Contains(sent, inside) || strings.Contains(sent, derived) || !d.Tokens[0].Translated {
			t.Errorf("not translated: %.60s", line)
		}
	}
}

// What goes on decides whether what comes back may be bound.
func TestBound(t *testing.T) {
	external := issuertest.New(t, "ES256")
	plain, reporting := newGuard(t), newGuard(t, "ENVGATE_MODE=report")
	rule := newGuard(t, "ENVGATE_ENVIRONMENT_RULE=report")
	trusted := trusting(t, policyOf(t, external))
	token := external.Sign(t, map[string]any{"aud": "gateway", "env": "production"})
	for _, row := range []struct {
		name  string
		guard *Guard
		line  string
		want  bool
	}{
		{"nothing", plain, "POST /auth/login", true},
		{"a bound token", plain, "POST /tokens | Authorization: Bearer {good}", true},
		{"an unbound token", plain, "POST /tokens | Authorization: Bearer {envless}", false},
		{"an unbound cookie", plain, "GET /admin/ | Cookie: jwt_token={envless}", false},
		{"a bound header beside an unbound cookie", plain, "GET /admin/ | Authorization: Bearer {good} | Cookie: jwt_token={envless}", false},
		{"a stale cookie, which is removed", plain, "POST /auth/login | Cookie: jwt_token={expired}", true},
		{"a foreign cookie, which is removed", plain, "POST /auth/login | Cookie: jwt_token={foreign}", true},
		{"a foreign token that is only reported", rule, "POST /tokens | Authorization: Bearer {foreign}", false},
		{"nothing, in report mode", reporting, "POST /auth/login", true},
		{"a foreign cookie that goes on", reporting, "GET /admin/ | Cookie: jwt_token={foreign}", false},
		{"a stale cookie that goes on", reporting, "POST /auth/login | Cookie: jwt_token={expired}", false},
		{"an identity provider's token, whatever its env", trusted, "POST /tokens | Authorization: Bearer " + token, false},
	} {
		if d := row.guard.Check(request(t, row.line)); d.Outcome == Refused || d.Bound != row.want {
			t.Errorf("%s: %s %s, bound %v", row.name, d.Outcome, d.Reason, d.Bound)
		}
	}
}

var bodies = []string{
	`{"access_token":"TOKEN","token_type":"bearer","expires_in":604800,"user":{"id":12345678901234567890,"x":"TOKEN"}}`,
	`{"token":{"access_token":"TOKEN"},"access_token" : "TOKEN" }`, "{}", "[]", "", `"TOKEN"`, "{\"access_token\": null}",
	`{"access_token":{"a":"TOKEN"}}`, `{"access_token":"TOKEN","access_token":"TOKEN"}`, "\xff{}", ` {"access_token":"TOKEN"} `, `{"access_token":"TOKEN"`,
	`{"acces\u0073_token":"TOKEN","d":1.10,"e":1e3}`, `{"access_token":"opaque"}`,
}

// checkBody compares a body with what was made of it: it differs in token strings only.
func checkBody(t testing.TB, g *Guard, body []byte, pointers []string) {
	t.Helper()
	first := bytes.Clone(body)
	got, found, err := EmbedBody(body, pointers, func(token string) (string, Embedding) { return g.Embed(token, true) })
	if !bytes.Equal(first, body) {
		t.Fatal("the body itself was written to")
	}
	if err != nil || !strings.Contains(fmt.Sprint(found), string(Embedded)) {
		if !bytes.Equal(got, body) {
			t.Fatalf("changed without cause (%v): %q to %q", err, body, got)
		}
		return
	}
	var before, after any
	if json.Unmarshal(body, &before) != nil || json.Unmarshal(got, &after) != nil {
		t.Fatalf("no JSON any more: %q", got)
	}
	var same func(a, b any) bool
	same = func(a, b any) bool {
		switch a := a.(type) {
		case map[string]any:
			b, ok := b.(map[string]any)
			if !ok || len(a) != len(b) {
				return false
			}
			for name := range a {
				if !same(a[name], b[name]) {
					return false
				}
			}
			return true
		case string:
			b, ok := b.(string)
			if embedded, what := g.Embed(a, true); what == Embedded && b == embedded {
				return true
			}
			return ok && a == b
		}
		return reflect.DeepEqual(a, b)
	}
	if !same(before, after) {
		t.Fatalf("more than tokens changed:\n%s\n%s", body, got)
	}
}

func TestEmbedBody(t *testing.T) {
	g := newGuard(t, embedding)
	token := sign(t, `{@base}`)
	changed := 0
	for _, body := range bodies {
		body = strings.ReplaceAll(body, "TOKEN", token)
		for _, pointers := range [][]string{{"/access_token"}, {"/token/access_token", "/access_token"}, {"/user/x"}, {"/a~1b/~0"}} {
			checkBody(t, g, []byte(body), pointers)
			if got, _, err := EmbedBody([]byte(body), pointers, func(token string) (string, Embedding) { return g.Embed(token, true) }); err == nil && string(got) != body {
				changed++
			}
		}
	}
	if changed != 9 {
		t.Errorf("%d bodies changed, want 9", changed)
	}
}

// FuzzEmbedBody: for any answer, the output differs from the input in token strings only.
func FuzzEmbedBody(f *testing.F) {
	g := newGuard(f, embedding)
	token := sign(f, `{@base}`)
	for _, body := range bodies {
		f.Add(strings.ReplaceAll(body, "TOKEN", token), "/access_token")
	}
	f.Add(`{"a":{"b":"`+token+`"}}`, "/a/b")
	f.Fuzz(func(t *testing.T, body, pointer string) {
		if strings.HasPrefix(pointer, "/") {
			checkBody(t, g, []byte(strings.ReplaceAll(body, "TOKEN", token)), []string{pointer, "/access_token"})
		}
	})
}

// FuzzEmbed: for any token, embedding does nothing but add env to what the gateway's key signed.
func FuzzEmbed(f *testing.F) {
	g := newGuard(f, embedding)
	for _, claims := range []string{`{@base}`, `{"iss":"mcpgateway","env":null}`, ` {"iss" : "mcpgateway" } `, `{"iss":"mcpgateway","env":"production"}`, `[]`, `{"iss":"mcpgateway","\u0065nv":null}`} {
		f.Add(attacktest.Claims(claims, clock))
	}
	f.Fuzz(func(t *testing.T, claims string) {
		token := attacktest.Sign(t, plainJOSE, claims, jwt.SigningMethodHS256, []byte(secret))
		if got, what := g.Embed(token, true); what == Embedded {
			checkEmbedded(t, token, got, "production")
		} else if got != token {
			t.Fatalf("%s, but changed", what)
		}
	})
}
