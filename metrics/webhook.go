package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of an admission, as envgate_injections_total counts them.
const (
	Injected = "injected" // a sidecar was added
	Skipped  = "skipped"  // not a gateway, or it has its sidecar already: allowed as it is
	Denied   = "denied"   // a gateway in front of which no sidecar can stand as things are set
	Failed   = "error"    // a mistake inside, or a question that isn't one: denied as well
)

// Webhook holds every series of the admission webhook. Its methods are safe for concurrent use.
type Webhook struct {
	table
	injections *prometheus.CounterVec
	expiry     *prometheus.GaugeVec
	ready      prometheus.Gauge
}

// NewWebhook makes the webhook's registry, with every series that can be known beforehand at 0.
func NewWebhook(b Build) *Webhook {
	w := &Webhook{table: newTable()}
	w.injections = w.counters("envgate_injections_total", "Pods that the webhook was asked about, by result: injected, skipped (no gateway), denied (with what to set) or error.", "result")
	w.expiry = w.gauges("envgate_tls_certificate_expiry_timestamp_seconds", "When the certificate in use expires; absent until there is one.", "listener")
	w.ready = w.gauge("envgate_ready", "1 while the webhook is ready.")
	w.build(b)
	for _, result := range []string{Injected, Skipped, Denied, Failed} {
		w.injections.WithLabelValues(result)
	}
	return w
}

// Decided counts one admission; result is one of the four above.
func (w *Webhook) Decided(result string) { w.injections.WithLabelValues(result).Inc() }

// CertificateExpiry says when the served certificate expires.
func (w *Webhook) CertificateExpiry(at time.Time) {
	w.expiry.WithLabelValues("webhook").Set(float64(at.Unix()))
}

// Ready says whether the webhook is ready.
func (w *Webhook) Ready(yes bool) {
	if yes {
		w.ready.Set(1)
	} else {
		w.ready.Set(0)
	}
}
