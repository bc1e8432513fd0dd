package authz

import (
	"strings"
	"testing"
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

// What is embedded, translated and trusted is in the report, too.
func TestReportSaysWhatIsSignedAgain(t *testing.T) {
	c := newGuard(t, append(translating, "ENVGATE_ACCEPT_BASE_KEY=true")...).Config()
	c.Policy.Issuers = []TrustedIssuer{{Issuer: "https://login.example.com", Audiences: []string{"gateway"}, Algorithms: []string{"RS256"}, JWKSURL: "https://login.example.com/keys", Environment: "ignore"}}
	var text strings.Builder
	if err := NewReport(c).Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		"  cookie jwt_token of any answer\n", "  POST /auth/login at /access_token\n", "  POST /tokens/* at /access_token\n", "https://login.example.com  gateway    RS256       ignore     https://login.example.com/keys\n",
		"Translation: derived keys are signed with the base secret for the gateway, and its tokens with the derived key for clients; tokens under the base secret are accepted, too, which separates nothing yet\n",
	} {
		if !strings.Contains(text.String(), s) {
			t.Errorf("%q is not in the report:\n%s", s, text.String())
		}
	}
}
