package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/authz"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func newMetrics(t *testing.T, settings ...string) *Metrics {
	t.Helper()
	environ := append([]string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef", "ENVGATE_ENVIRONMENT=production"}, settings...)
	c, err := authz.Parse(authz.Source{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	return New(c, Build{"1", "2", "3"})
}

// exposition is /metrics as a scraper with the given Accept header sees it.
func exposition(t *testing.T, m *Metrics, accept string) string {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	m.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	b, _ := io.ReadAll(w.Body)
	return string(b)
}

func value(t *testing.T, m *Metrics, series string) string {
	t.Helper()
	for line := range strings.SplitSeq(exposition(t, m, "text/plain"), "\n") {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return v
		}
	}
	return "absent"
}

func TestNamesFollowThePrometheusConventions(t *testing.T) {
	m := newMetrics(t)
	m.Decided(authz.Decision{Outcome: authz.Accepted, Reason: authz.None, Tokens: []authz.Verdict{{Verified: true, Unbound: true, Expiry: time.Now()}}}, time.Millisecond)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "envgate_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestEveryKnownSeriesStartsAtZero(t *testing.T) {
	m := newMetrics(t)
	text := exposition(t, m, "text/plain")
	for _, s := range m.Series() {
		present := strings.Contains(text, "\n"+s.Name+"{") || strings.Contains(text, "\n"+s.Name+" ") || strings.Contains(text, "\n"+s.Name+"_bucket")
		late := strings.HasSuffix(s.Name, "_last_expiry_timestamp_seconds") || strings.Contains(s.Name, "_key_fetch_") || s.Name == "envgate_key_fingerprint" || s.Name == "envgate_tls_certificate_expiry_timestamp_seconds" // of issuers that a policy trusts
		if present == late {
			t.Errorf("%s present: %v", s.Name, present)
		}
		if slices.Contains(s.Labels, "environment") {
			t.Errorf("%s has a label that scrapers set themselves", s.Name)
		}
	}
	for _, reason := range authz.Reasons {
		if got := value(t, m, fmt.Sprintf(`envgate_decisions_total{decision="refused",reason="%s"}`, reason.Reason)); got != "0" {
			t.Errorf("refused %s is %s", reason.Reason, got)
		}
	}
	for _, check := range authz.Checks {
		if got := value(t, m, fmt.Sprintf(`envgate_configuration_warnings{check="%s"}`, check)); got != "0" {
			t.Errorf("warning %s is %s", check, got)
		}
	}
	for _, series := range []string{
		`envgate_cross_environment_tokens_total{decision="refused",server_environment="production",token_environment="staging"}`,
		`envgate_cross_environment_tokens_total{decision="removed",server_environment="production",token_environment="other"}`,
		`envgate_credentials_removed_total{reason="environment"}`, `envgate_upstream_errors_total{kind="connect"}`,
		`envgate_streams_open{kind="websocket"}`, `envgate_tokens_verified_total{issuer="mcpgateway"}`, `envgate_overhead_seconds_count`,
		`envgate_http_requests_total{code="401",method="GET",source="envgate"}`, `envgate_ready`,
	} {
		if got := value(t, m, series); got != "0" {
			t.Errorf("%s is %s", series, got)
		}
	}
	if strings.Contains(text, `token_environment="production"`) {
		t.Error("a token of this environment can't be foreign")
	}
}

func TestOpenMetricsHasNoCreatedSeries(t *testing.T) {
	m := newMetrics(t)
	text := exposition(t, m, "application/openmetrics-text; version=1.0.0")
	if !strings.HasSuffix(text, "# EOF\n") || strings.Contains(text, "_created") {
		t.Error("not OpenMetrics, or with _created series")
	}
}

func TestHistogramsAreNativeAndClassic(t *testing.T) {
	m := newMetrics(t)
	m.Overhead(time.Millisecond)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "envgate_overhead_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if len(h.GetBucket()) == 0 || h.GetBucket()[0].GetUpperBound() != 10e-6 || len(h.GetPositiveSpan()) == 0 {
			t.Errorf("classic %d buckets, native %d spans", len(h.GetBucket()), len(h.GetPositiveSpan()))
		}
	}
}

func TestNoForeignTextIsALabel(t *testing.T) {
	m := newMetrics(t)
	before := testutil.CollectAndCount(m.crossEnvironment) + testutil.CollectAndCount(m.decisions)
	for i := range 5000 {
		name := fmt.Sprintf("made-up-%d", i)
		m.Decided(authz.Decision{Outcome: authz.Refused, Reason: authz.Environment, Tokens: []authz.Verdict{{Verified: true, Foreign: true, Environment: name, Issuer: "mcpgateway", Reason: authz.Environment}}}, time.Microsecond)
		m.Answered("M"+name, 1000+i, FromUpstream, time.Second)
	}
	if after := testutil.CollectAndCount(m.crossEnvironment) + testutil.CollectAndCount(m.decisions); after != before {
		t.Errorf("%d series, before %d", after, before)
	}
	if got := value(t, m, `envgate_cross_environment_tokens_total{decision="refused",server_environment="production",token_environment="other"}`); got != "5000" {
		t.Errorf("other is %s", got)
	}
	if got := value(t, m, `envgate_http_requests_total{code="other",method="other",source="upstream"}`); got != "5000" {
		t.Errorf("other code and method is %s", got)
	}
}

func TestWhatBecameOfAForeignToken(t *testing.T) {
	foreign := authz.Verdict{Verified: true, Foreign: true, Environment: "staging", Reason: authz.Environment}
	passed := foreign
	passed.Reason, passed.Reported = authz.None, authz.Environment
	for _, row := range []struct {
		name     string
		settings []string
		outcome  authz.Outcome
		token    authz.Verdict
		want     string
	}{
		{"refused with its request", nil, authz.Refused, foreign, "refused"},
		{"taken off a request that went on", nil, authz.Accepted, foreign, "removed"},
		{"taken off a public request", nil, authz.Public, foreign, "removed"},
		{"reported by the mode", []string{"ENVGATE_MODE=report"}, authz.Reported, foreign, "reported"},
		{"left on a public request by the mode", []string{"ENVGATE_MODE=report"}, authz.Public, foreign, "reported"},
		{"reported by the rule", []string{"ENVGATE_ENVIRONMENT_RULE=report"}, authz.Reported, passed, "reported"},
		{"not counted with the rule off", []string{"ENVGATE_ENVIRONMENT_RULE=off"}, authz.Accepted, passed, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMetrics(t, row.settings...)
			m.Decided(authz.Decision{Outcome: row.outcome, Reason: authz.None, Tokens: []authz.Verdict{row.token}}, time.Microsecond)
			for _, decision := range []string{"refused", "reported", "removed"} {
				want := "0"
				if decision == row.want {
					want = "1"
				}
				if got := value(t, m, `envgate_cross_environment_tokens_total{decision="`+decision+`",server_environment="production",token_environment="staging"}`); got != want {
					t.Errorf("%s is %s", decision, got)
				}
			}
		})
	}
}

func TestTheLargestExpiryWithoutEnvironmentIsKept(t *testing.T) {
	m := newMetrics(t)
	series := "envgate_token_without_environment_last_expiry_timestamp_seconds"
	if got := value(t, m, series); got != "absent" {
		t.Errorf("before any token: %s", got)
	}
	for _, expiry := range []int64{2e9, 3e9, 1e9} {
		m.Decided(authz.Decision{Outcome: authz.Accepted, Reason: authz.None, Tokens: []authz.Verdict{{Verified: true, Unbound: true, Expiry: time.Unix(expiry, 0), Issuer: "mcpgateway"}}}, time.Microsecond)
	}
	if got := value(t, m, series); got != "3e+09" {
		t.Errorf("got %s", got)
	}
	if got := value(t, m, `envgate_tokens_without_environment_total{issuer="mcpgateway"}`); got != "3" {
		t.Errorf("counted %s", got)
	}
}

func TestLabelsFromTheConfigurationAreMadeValid(t *testing.T) {
	m := newMetrics(t, "JWT_ISSUER=iss\xffuer", "JWT_AUDIENCE=a\"b\nc")
	if text := exposition(t, m, "text/plain"); !strings.Contains(text, `issuer="iss?uer"`) || !bytes.Contains([]byte(text), []byte(`audience="a\"b\nc"`)) {
		t.Error("labels were lost")
	}
}
