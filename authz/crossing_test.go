package authz

import (
	"strings"
	"testing"
	"time"

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
		now, environment := time.Now(), ""
		if from.Embed {
			environment = from.Environment
		}
		issuers := []*Config{from}
		if from.AdditionalSecret.IsSet() { // as its gateway was before the rotation
			before, err := Parse(Source{Environ: append(mine, "JWT_SECRET_KEY="+string(from.AdditionalSecret.bytes), "ENVGATE_ADDITIONAL_SECRET_KEY=")})
			if err != nil {
				t.Fatal(err)
			}
			issuers = append(issuers, before)
		}
		x := from.Cross(to, false)
		for i, issuer := range issuers {
			token, err := issuer.Mint(MintOptions{Kind: KindSession, Subject: "a@b.c", Environment: environment, IssuedAt: now, Expiry: now.Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			if v := New(to).v.verify(token); v.Reason == None && !x.Works {
				t.Fatalf("token %d is accepted, though %s", i, x.Why)
			}
		}
		if unread := from.Cross(to, true); unread.Known && unread.Works != x.Works {
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
