package authz

import (
	"encoding/base64"
	"strings"
	"testing"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
)

var translating = []string{embedding, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue"}

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

// Inspection says with which key a token verifies, and what the gateway gets; minting signs as tokens are issued.
func TestTranslationIsExplained(t *testing.T) {
	derived := DeriveKey(NewSecret([]byte(secret)), "production").bytes
	for _, row := range []struct {
		settings string
		key      []byte
		want     string
	}{
		{"ENVGATE_TRANSLATE_KEYS=issue", derived, "signature ok verified by the derived key … The gateway gets: the same claims, signed with the base secret Decision: accepted"},
		{"ENVGATE_TRANSLATE_KEYS=issue", []byte(secret), "signature ok verified by the base secret, which ENVGATE_ACCEPT_BASE_KEY still accepts … The gateway gets: the same token Decision: accepted"},
		{"ENVGATE_TRANSLATE_KEYS=issue ENVGATE_ACCEPT_BASE_KEY=false", []byte(secret), "signature failed the signature does not verify: signed with the base secret, which is not accepted: ENVGATE_ACCEPT_BASE_KEY is false … Decision: refused"},
	} {
		g := newGuard(t, append(append([]string{}, translating...), strings.Fields(row.settings)...)...)
		var b strings.Builder
		if err := g.Inspect(sign(t, `{@base,"env":"production"}`, signing{key: row.key})).Text(&b); err != nil {
			t.Fatal(err)
		}
		first, last, _ := strings.Cut(row.want, " … ")
		if flat := strings.Join(strings.Fields(b.String()), " "); !strings.Contains(flat, first) || !strings.Contains(flat, last) {
			t.Errorf("want %q in\n%s", row.want, b.String())
		}
	}
	for mode, key := range map[string][]byte{"issue": derived, "accept": []byte(secret)} {
		c := newGuard(t, append(append([]string{}, translating...), "ENVGATE_TRANSLATE_KEYS="+mode)...).Config()
		token, err := c.Mint(mintOptions())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return key, nil }, jwt.WithoutClaimsValidation()); err != nil {
			t.Errorf("minted under %s: %v", mode, err)
		}
	}
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
