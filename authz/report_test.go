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
