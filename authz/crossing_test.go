package authz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

// What the settings say of two environments is what becomes of a token: one that a guard accepts is never said to be kept
// out, whether it is under the current or the additional key.
func TestCrossingsAreWhatGuardsDo(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	truth := []string{"true", "false"}
	separated, worked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, from ...string) string { return name + "=" + rapid.SampledFrom(from).Draw(t, name) }
		draw := func() []string {
			return []string{
				pick("ENVGATE_ENVIRONMENT", "staging", "production"), pick("JWT_SECRET_KEY", a, b), pick("ENVGATE_ADDITIONAL_SECRET_KEY", "", a, b), pick("JWT_ISSUER", "x", "x", "y"),
				pick("JWT_AUDIENCE", "x", "x", "y"), pick("JWT_ALGORITHM", "HS256", "HS256", "HS384"), pick("DERIVE_KEY_PER_ENVIRONMENT", truth...), pick("EMBED_ENVIRONMENT_IN_TOKENS", truth...),
				pick("ENVGATE_ENVIRONMENT_RULE", "enforce", "enforce", "report", "off"), pick("ENVGATE_MISSING_ENVIRONMENT", "allow", "deny"), pick("JWT_ISSUER_VERIFICATION", truth...),
				pick("JWT_AUDIENCE_VERIFICATION", truth...), pick("ENVGATE_TRANSLATE_KEYS", "off", "accept", "issue"), pick("ENVGATE_ACCEPT_BASE_KEY", truth...),
			}
		}
		mine := draw()
		from, err := Parse(Source{Environ: mine})
		to, err2 := Parse(Source{Environ: draw()})
		if err != nil || err2 != nil {
			return // no sidecar starts so
		}
		now, environments := time.Now(), []string{""} // those of a gateway that embeds are from before it did
		if from.Embed {
			environments = append(environments, from.Environment)
		}
		issuers := []*Config{from}
		if from.AdditionalSecret.IsSet() { // as its gateway was before the rotation
			before, err := Parse(Source{Environ: append(mine, "JWT_SECRET_KEY="+string(from.AdditionalSecret.bytes), "ENVGATE_ADDITIONAL_SECRET_KEY=")})
			if err != nil {
				t.Fatal(err)
			}
			issuers = append(issuers, before)
		}
		x := from.Cross(to, KeysKnown, KeysKnown)
		accepted := false
		for i, issuer := range issuers {
			for _, environment := range environments {
				token, err := issuer.Mint(MintOptions{Kind: KindSession, Subject: "a@b.c", Environment: environment, IssuedAt: now, Expiry: now.Add(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				v := New(to).v.verify(token)
				accepted = accepted || v.Reason == None
				if v.Reason == None && !x.Works {
					t.Fatalf("token %d with env %q is accepted, though %s", i, environment, x.Why)
				}
			}
		}
		if x.Works && !accepted && from.Environment != to.Environment { // else nothing tells them apart, once tokens carry env
			t.Fatalf("no token is accepted, in spite of: %s", x.Why)
		}
		if unread := from.Cross(to, KeysUnread, KeysKnown); unread.Known && unread.Works != x.Works {
			t.Fatalf("with a key unread: %+v, else %+v", unread, x)
		}
		if x.Works {
			worked++
		} else {
			separated++
		}
	})
	if separated == 0 || worked == 0 {
		t.Errorf("%d separated, %d not: the property was hardly tried", separated, worked)
	}
}

// So it is with tokens of an issuer that both policies trust: one crosses if it is good for both, and not meant for the other.
func TestCrossingsOfFurtherIssuersAreWhatGuardsDo(t *testing.T) {
	keys := []*ecdsa.PrivateKey{testKeys()["P-256"].(*ecdsa.PrivateKey)}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, other)
	var policies []string
	for _, key := range keys {
		file := writeFile(t, attacktest.PublicPEM(key.Public()))
		for _, audiences := range []string{"[x]", "[y]", "[x, y]"} {
			for _, environment := range []string{"ignore", "check"} {
				policies = append(policies, writeFile(t, []byte("issuers: [{issuer: idp, audiences: "+audiences+", algorithms: [ES256], public_keys: ["+file+"], environment: "+environment+"}]\n")))
			}
		}
	}
	var tokens []string
	var environments []string // of each token
	for _, key := range keys {
		for _, audience := range []string{"x", "y"} {
			for _, environment := range []string{"", "staging", "production", "test"} {
				claims := jwt.MapClaims{"iss": "idp", "aud": audience, "exp": time.Now().Add(time.Hour).Unix()}
				if environment != "" {
					claims["env"] = environment
				}
				token, err := jwt.NewWithClaims(jwt.SigningMethodES256, claims).SignedString(key)
				if err != nil {
					t.Fatal(err)
				}
				tokens, environments = append(tokens, token), append(environments, environment)
			}
		}
	}
	separated, worked := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, from ...string) string { return name + "=" + rapid.SampledFrom(from).Draw(t, name) }
		draw := func() *Config {
			c, err := Parse(Source{Environ: []string{
				"JWT_SECRET_KEY=" + secret, pick("ENVGATE_ENVIRONMENT", "staging", "production"), pick("ENVGATE_ENVIRONMENT_RULE", "enforce", "enforce", "report", "off"),
				pick("ENVGATE_MISSING_ENVIRONMENT", "allow", "deny"), pick("ENVGATE_POLICY", policies...),
			}})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		from, to := draw(), draw()
		crosses := false
		for i, token := range tokens {
			meant := environments[i] == to.Environment && from.Environment != to.Environment
			crosses = crosses || !meant && New(from).v.verify(token).Reason == None && New(to).v.verify(token).Reason == None
		}
		if x := from.CrossIssuers(to); x.Works != crosses || x.Works && !x.Known {
			t.Fatalf("crosses: %v, %+v", crosses, x)
		}
		if crosses {
			worked++
		} else {
			separated++
		}
	})
	if separated == 0 || worked == 0 {
		t.Errorf("%d separated, %d not: the property was hardly tried", separated, worked)
	}
}
