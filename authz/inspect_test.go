package authz

import (
	"strings"
	"testing"
)

// An inspection says what the guard would decide, and never shows the token.
func TestInspectAgreesWithCheck(t *testing.T) {
	p := newPool(t)
	for _, settings := range [][]string{
		nil, {"ENVGATE_MODE=report"}, {"ENVGATE_ENVIRONMENT_RULE=report", "ENVGATE_MISSING_ENVIRONMENT=deny"}, {"ENVGATE_ENVIRONMENT_RULE=off"}, {"REQUIRE_JTI=true", "REQUIRE_TOKEN_EXPIRATION=false"},
	} {
		g := newGuard(t, settings...)
		for _, token := range p.tokens {
			if token == "" {
				continue // no candidate at all
			}
			in := g.Inspect(token)
			d := g.Check(request(t, "GET /tools | Authorization: Bearer "+token))
			if in.Decision != d.Outcome || in.Reason != d.Reason || d.Outcome == Refused && in.Detail != d.Detail {
				t.Errorf("%v %.40s: %s %s %q, but the guard says %s %s %q", settings, token, in.Decision, in.Reason, in.Detail, d.Outcome, d.Reason, d.Detail)
			}
			failed := ""
			for _, c := range in.Checks {
				if c.Result == "failed" && failed == "" {
					failed = string(c.Name)
				}
			}
			if in.Decision == Refused && failed != string(in.Reason) {
				t.Errorf("%v: refused for %s, but the first failed check is %q", settings, in.Reason, failed)
			}
			var text strings.Builder
			if err := in.Text(&text); err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(text.String(), "Decision: "+in.Line()+"\n") {
				t.Errorf("the last line is not the decision: %q", text.String())
			}
			hides(t, []string{text.String(), asJSON(in)}, token)
		}
	}
}

func TestInspectExplains(t *testing.T) {
	tests := []struct{ name, setting, claims, key, want string }{
		{"an accepted token", "", `{@base,"env":"production"}`, secret, "Decision: accepted"},
		{"a foreign one", "", `{@base,"env":"staging"}`, secret, `environment failed env is "staging", this environment is "production"`},
		{"an env-less one", "", `{@base}`, secret, `environment ok env is absent, this environment is "production"`},
		{"no env, denied", "ENVGATE_MISSING_ENVIRONMENT=deny", `{@base}`, secret, "no_environment failed env is absent"},
		{"no env, allowed", "", `{@base}`, secret, "no_environment off env is absent"},
		{"another key", "", `{@base}`, otherSecret, "signature failed the signature does not verify: no configured key verifies it"},
		{"another key: no claim counts", "", `{@base}`, otherSecret, "issuer not reached"},
		{"another key: claims are shown", "", `{@base}`, otherSecret, "sub a@example.com"},
		{"the secret itself", "DERIVE_KEY_PER_ENVIRONMENT=true", `{@base}`, secret, "signed with the secret itself, but DERIVE_KEY_PER_ENVIRONMENT expects the derived key"},
		{"the additional key", "ENVGATE_ADDITIONAL_SECRET_KEY=" + otherSecret, `{@base}`, otherSecret, "verified by the additional key"},
		{"the additional key: for the gateway", "ENVGATE_ADDITIONAL_SECRET_KEY=" + otherSecret, `{@base}`, otherSecret, "The gateway gets: the same claims, signed with the secret that it knows Decision: accepted"},
		{"an accepted token: for the gateway", "", `{@base}`, secret, "The gateway gets: the same token Decision: accepted"},
		{"a foreign one in report mode goes on", "ENVGATE_MODE=report", `{@base,"env":"staging"}`, secret, "The gateway gets: the same token Decision: reported"},
		{"expired", "", `{@names,"exp":@past}`, secret, "expired failed exp is 2030-06-01T11:00:00Z"},
		{"no expiry", "", `{@names}`, secret, "no_expiry failed exp is absent"},
		{"another issuer", "", `{"iss":"x","aud":"mcpgateway-api","exp":@future}`, secret, `issuer failed iss is "x", expected "mcpgateway"`},
		{"another audience", "", `{"iss":"mcpgateway","aud":["x","y"],"exp":@future}`, secret, `audience failed aud is "x y", expected "mcpgateway-api"`},
		{"issuer check off", "JWT_ISSUER_VERIFICATION=false", `{@base}`, secret, `issuer off iss is "mcpgateway", expected "mcpgateway"`},
		{"not yet valid", "", `{@base,"nbf":@future}`, secret, "not_yet_valid failed nbf is 2030-06-01T13:00:00Z, iat is 2030-06-01T11:59:00Z"},
		{"no id", "REQUIRE_JTI=1", `{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future}`, secret, "no_jti failed jti is absent"},
		{"the rule reports", "ENVGATE_ENVIRONMENT_RULE=report", `{@base,"env":"x"}`, secret, `environment reported env is "x", this environment is "production"`},
		{"other claims by name", "", `{@base,"zeta":1,"a\u001bb":2}`, secret, "others a?b, zeta"},
		{"a time that no calendar has", "", `{@names,"exp":1e300}`, secret, "exp is 1e+300"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			settings := strings.Fields(tt.setting)
			var text strings.Builder
			if err := newGuard(t, settings...).Inspect(sign(t, tt.claims, signing{key: []byte(tt.key)})).Text(&text); err != nil {
				t.Fatal(err)
			}
			if flat := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(flat, tt.want) {
				t.Errorf("want %q in\n%s", tt.want, text.String())
			}
		})
	}
}
