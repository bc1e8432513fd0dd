package metrics

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// webhookExposition is the webhook's /metrics.
func webhookExposition(t *testing.T, m *Webhook) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestTheWebhooksSeriesStartAtZero(t *testing.T) {
	m := NewWebhook(Build{"1", "2", "3"})
	text := webhookExposition(t, m)
	for _, line := range []string{
		`envgate_injections_total{result="injected"} 0`, `envgate_injections_total{result="skipped"} 0`,
		`envgate_injections_total{result="denied"} 0`, `envgate_injections_total{result="error"} 0`,
		`envgate_ready 0`, `envgate_build_info{goversion="3",revision="2",version="1"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, "\nenvgate_tls_certificate_expiry_timestamp_seconds") {
		t.Error("an expiry is known before there is a certificate")
	}
	for _, s := range m.Series() {
		if slices.Contains(s.Labels, "environment") {
			t.Errorf("%s has a label that scrapers set themselves", s.Name)
		}
	}
}

func TestTheWebhooksSeriesMove(t *testing.T) {
	m := NewWebhook(Build{"1", "2", "3"})
	m.Decided(Denied)
	m.Ready(true)
	m.CertificateExpiry(time.Unix(2000000000, 0))
	text := webhookExposition(t, m)
	for _, line := range []string{
		`envgate_injections_total{result="denied"} 1`, `envgate_ready 1`,
		`envgate_tls_certificate_expiry_timestamp_seconds{listener="webhook"} 2e+09`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	m.Ready(false)
	if !strings.Contains(webhookExposition(t, m), "\nenvgate_ready 0\n") {
		t.Error("still ready")
	}
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
