package authz

import (
	"strings"
	"testing"

	"envgate/authz/issuertest"
)

// What is decided at run time is said beforehand: every setting, route, token source and warning is in the report.
func TestReportIsComplete(t *testing.T) {
	c := newGuard(t, "AUTH_HEADER_NAME=X-Mcp-Auth", "ENVGATE_POLICY=testdata/policies/with-basic.yaml", "ENVGATE_MODE=report", "ENVGATE_ADDITIONAL_SECRET_KEY="+otherSecret).Config()
	r := NewReport(c, RuntimeWarning(UpstreamExposed, "0.0.0.0:4444"))
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	want := []string{"header X-Mcp-Auth", "header Authorization", "cookie jwt_token", "cookie access_token", "query parameter token on /ws", "a lone Basic header on /docs", "upstream_exposed: ", "report_mode: ", "[secret]"}
	for _, s := range Settings {
		want = append(want, "\n"+s.Name+" ")
	}
	for _, route := range c.Policy.Routes {
		want = append(want, "\n"+route.String()+" ")
	}
	for _, s := range want {
		if !strings.Contains("\n"+text.String(), s) {
			t.Errorf("%q is not in the report", s)
		}
	}
	hides(t, []string{text.String(), asJSON(r)})
}

func TestReportSaysHowManyAreDenied(t *testing.T) {
	for list, want := range map[string]string{"": "", "ENVGATE_DENY_LIST=": "", denying(t, "jti a\nsub b before 1\njti c\n"): "Revoked by the deny-list: 2 jtis, 1 subjects\n"} {
		r := NewReport(newGuard(t, list).Config())
		var text strings.Builder
		if err := r.Text(&text); err != nil {
			t.Fatal(err)
		}
		if (r.Denied == nil) != (want == "") || !strings.Contains(text.String(), want) {
			t.Errorf("%q: %v", want, r.Denied)
		}
	}
}

// What is embedded, translated and trusted is in the report, too.
func TestReportSaysWhatIsSignedAgain(t *testing.T) {
	c := newGuard(t, append(translating, "ENVGATE_ACCEPT_BASE_KEY=true")...).Config()
	var text strings.Builder
	if err := NewReport(c).Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"  cookie jwt_token of any answer\n", "  POST /auth/login at /access_token\n", "  POST /tokens/* at /access_token\n",
		"Translation: derived keys are signed with the base secret for the gateway, and its tokens with the derived key for clients; tokens under the base secret are accepted, too, which separates nothing yet\n",
	} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("%q is not in the report:\n%s", s, text.String())
		}
	}
}

// So is who else is trusted, where their keys come from and how, and what clients are told of the resource; without the key
// that an address may hold.
func TestReportSaysWhoElseIsTrusted(t *testing.T) {
	i := issuertest.New(t, "ES256")
	policy := writeFile(t, []byte(`
issuers:
  - {issuer: https://one.example.com, audiences: [gateway], algorithms: [RS256], jwks_url: "https://one.example.com/keys?api_key=hush-hush&hush-hush", ca_file: `+i.CAFile+`, insecure_http: true, refresh: 5m, cooldown: 10s}
  - {issuer: https://two.example.com, audiences: [gateway], algorithms: [ES256], discovery_url: https://two.example.com/.well-known/openid-configuration}
  - {issuer: https://three.example.com, audiences: [gateway], algorithms: [ES256], public_keys: [`+publicFile(t, "P-256")+`]}
protected_resource: {path: /mcp, authorization_servers: [https://one.example.com], scopes_supported: [tools]}
`))
	r := NewReport(newGuard(t, "ENVGATE_POLICY="+policy, "ENVGATE_PUBLIC_URL=https://gateway.example.org").Config())
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"  no cookie and no query parameter: the policy has no tokens, and a gateway that reads some there gets them unjudged\n",
		"ignore     https://one.example.com/keys?api_key=[secret]&[secret], every 5m0s, for unknown keys 10s apart, ca_file " + PrintablePath(i.CAFile) + ", http allowed: whoever can answer in its place can sign tokens\n",
		"ignore     https://two.example.com/.well-known/openid-configuration, every 10m0s, for unknown keys 30s apart\n", "ignore     from /",
		"\nChallenges at /mcp and below name https://gateway.example.org/.well-known/oauth-protected-resource/mcp, served by envgate to anybody\n  authorization server https://one.example.com\n  scope tools\n",
	} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("%q is not in the report:\n%s", s, text.String())
		}
	}
	for _, s := range []string{`"refresh":"5m0s","cooldown":"10s"`, `"refresh":"10m0s","cooldown":"30s"`, `"insecure_http":true`, `"ca_file":`, `"protected_resource":{"path":"/mcp","address":"https://gateway.example.org/.well-known/oauth-protected-resource/mcp","served_by":"envgate","authorization_servers":["https://one.example.com"],"scopes_supported":["tools"]}`} {
		if !strings.Contains(asJSON(r), s) {
			t.Errorf("%q is not in %s", s, asJSON(r))
		}
	}
	if strings.Contains(text.String()+asJSON(r), "hush-hush") {
		t.Error("the key in an address is shown")
	}
}
