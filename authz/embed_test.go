package authz

import (
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
		{"of another algorithm than its header says", sign(t, `{@base}`, signing{header: `{"alg":"HS512"}`}), true, NotOurs},
		{"with a claim of a wrong type", sign(t, `{"iss":"mcpgateway","exp":"soon"}`), true, NotOurs},
		{"opaque", "d41d8cd98f00b204e9800998ecf8427e", true, NotOurs},
		{"empty", "", true, NotOurs},
		{"with crit", sign(t, `{@base}`, signing{header: `{"alg":"HS256","crit":["b64"]}`}), true, NotOurs},
		{"with a name twice", sign(t, `{@base,"sub":"b"}`), true, NotOurs},
		{"that would become longer than any that is accepted", atMost(t, 16384), true, TooLong},
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

func TestWhichAnswersHandOutTokens(t *testing.T) {
	for line, want := range map[string]bool{"POST /auth/login": true, "GET /auth/login": false, "POST /auth/login/": false, "POST /tokens/a": true, "POST /gw/auth/login": true, "POST /tools": false} {
		method, path, _ := strings.Cut(line, " ")
		if got := newGuard(t, embedding, "APP_ROOT_PATH=/gw").Issuance(method, path); (got != nil) != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	if got := newGuard(t).Issuance("POST", "/auth/login"); got != nil {
		t.Errorf("nothing is embedded, but %v", got)
	}
}

func TestAnEmbeddedTokenMayBeAsLongAsIsAccepted(t *testing.T) {
	g, token := newGuard(t, embedding), sign(t, `{@base}`)
	again, _ := g.Embed(token, true)
	for most, want := range map[int]Embedding{len(again): Embedded, len(again) - 1: TooLong, len(token): TooLong, len(token) - 1: NotOurs} {
		g.c.MaxTokenBytes = most
		if _, what := g.Embed(token, true); what != want {
			t.Errorf("%d bytes of at most %d: %s, want %s", len(again), most, what, want)
		}
	}
}

// atMost is a token that is as long as it can be, at most so many bytes.
func atMost(t testing.TB, length int) string {
	t.Helper()
	for n := length * 3 / 4; n > 0; n-- {
		if token := sign(t, `{@base,"x":"`+strings.Repeat("x", n)+`"}`); len(token) <= length {
			return token
		}
	}
	t.Fatal("no token is that short")
	return ""
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
	for path, message := range map[string]string{other: "is not the private key of JWT_PUBLIC_KEY_PATH", "/nowhere/at.all": "no such file or directory"} {
		_, err := Parse(Source{Environ: append(attacktest.Environ(), embedding, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+public, "JWT_PRIVATE_KEY_PATH="+path)})
		if err == nil || !strings.HasSuffix(err.Error(), message) {
			t.Errorf("got %v, want %s", err, message)
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
