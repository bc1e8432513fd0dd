package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"envgate/authz"
)

// Decided counts one request's decision and all the tokens that were judged for it. took is the time to judge them.
func (m *Metrics) Decided(d authz.Decision, took time.Duration) {
	m.decided.get(decision{d.Outcome, d.Reason}).Inc()
	for _, reason := range d.Removed {
		m.removed.WithLabelValues(string(reason)).Inc()
	}
	if n := len(d.Tokens); n > 0 {
		m.verification.Observe(took.Seconds() / float64(n))
	}
	for i := range d.Tokens {
		m.token(d, &d.Tokens[i])
	}
}

func (m *Metrics) token(d authz.Decision, v *authz.Verdict) {
	if !v.Verified {
		return
	}
	m.verified.WithLabelValues(label(v.Issuer)).Inc()
	if v.Additional {
		m.additionalKey.Inc()
	}
	if v.BaseKey {
		m.baseKey.Inc()
	}
	if v.Translated && d.Outcome != authz.Refused && v.Reason == authz.None {
		m.Translated(true)
	}
	if v.Unbound {
		m.withoutEnv.WithLabelValues(label(v.Issuer)).Inc()
		m.unboundUntil(v.Expiry)
	}
	if v.Foreign && m.config.Rule != authz.RuleOff {
		m.crossEnvironment.WithLabelValues(m.config.KnownEnvironment(v.Environment), m.config.Environment, CrossDecision(m.config, d, v)).Inc()
	}
}

// CrossDecision says what became of a foreign token: refused with its request, reported, or removed from it.
func CrossDecision(c *authz.Config, d authz.Decision, v *authz.Verdict) string {
	switch {
	case d.Outcome == authz.Refused:
		return "refused"
	case c.Mode == authz.ModeReport || v.Reason == authz.None:
		return "reported"
	}
	return "removed"
}

// unboundUntil moves the largest expiry seen among tokens without env.
func (m *Metrics) unboundUntil(expiry time.Time) {
	if expiry.IsZero() {
		return
	}
	seconds := float64(expiry.Unix())
	m.latestExpiryMutex.Lock()
	defer m.latestExpiryMutex.Unlock()
	if seconds <= m.latestExpiry {
		return
	}
	first := m.latestExpiry == 0
	m.latestExpiry = seconds
	m.lastExpiry.Set(seconds)
	if first {
		m.registry.MustRegister(m.lastExpiry)
	}
}

// Warn raises or clears a configuration warning.
func (m *Metrics) Warn(check string, active bool) {
	value := 0.0
	if active {
		value = 1
	}
	m.warnings.WithLabelValues(check).Set(value)
}

// Answered counts an answer as the client saw it. took is the time to the response headers; 0 keeps it out of the
// duration (streams).
func (m *Metrics) Answered(method string, code int, source string, took time.Duration) {
	if code < 100 || code > 599 {
		code = 0 // other
	}
	a := answer{MethodLabel(method), code, source}
	m.answered.get(a).Inc()
	if took > 0 {
		m.timed.get(a).Observe(took.Seconds())
	}
}

// Overhead observes the time that envgate added to one request.
func (m *Metrics) Overhead(d time.Duration) { m.overhead.Observe(d.Seconds()) }

// UpstreamError counts a request that the upstream did not answer; kind is one of UpstreamErrorKinds.
func (m *Metrics) UpstreamError(kind string) { m.upstreamErrors.WithLabelValues(kind).Inc() }

// ClientCanceled counts a request that its client gave up.
func (m *Metrics) ClientCanceled() { m.clientCanceled.Inc() }

// InFlight moves the number of requests being served.
func (m *Metrics) InFlight(by int64) { m.inFlight.Add(by) }

// StreamOpened counts a stream in; the returned function counts it out.
func (m *Metrics) StreamOpened(kind string) (closed func()) {
	started := time.Now()
	m.streamsOpen.WithLabelValues(kind).Inc()
	return func() {
		m.streamsOpen.WithLabelValues(kind).Dec()
		m.streamDuration.WithLabelValues(kind).Observe(time.Since(started).Seconds())
	}
}

// Keys sets the number of usable keys of an issuer.
func (m *Metrics) Keys(issuer string, n int) { m.keys.WithLabelValues(label(issuer)).Set(float64(n)) }

// CertificateExpiry says when the certificate of a listener, traffic or admin, expires.
func (m *Metrics) CertificateExpiry(listener string, at time.Time) {
	m.certificateExpiry.WithLabelValues(listener).Set(float64(at.Unix()))
}

// Fingerprints shows those of the keys in force.
func (m *Metrics) Fingerprints(all []authz.Fingerprint) {
	m.fingerprint.Reset()
	for _, f := range all {
		m.fingerprint.WithLabelValues(f.Slot, f.Text).Set(1)
	}
}

// Embedded counts what became of a token that the gateway handed out.
func (m *Metrics) Embedded(what authz.Embedding) { m.embedded.WithLabelValues(string(what)).Inc() }

// Translated counts a token that was signed anew: for the gateway, or for a client.
func (m *Metrics) Translated(forGateway bool) {
	direction := outbound
	if forGateway {
		direction = inbound
	}
	m.translated.WithLabelValues(direction).Inc()
}

// Reloaded counts a reload.
func (m *Metrics) Reloaded(successful bool) {
	if !successful {
		m.reloads.WithLabelValues("failure").Inc()
		m.reloadSuccessful.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.reloadSuccessful.Set(1)
	m.reloadSuccess.SetToCurrentTime()
}

// Cache says where the counts of the verdict cache are kept. It is called before anything is served.
func (m *Metrics) Cache(stats func() authz.CacheStats) { m.cache = stats }

// Ready says whether the sidecar is ready.
func (m *Metrics) Ready(yes bool) {
	if yes {
		m.ready.Set(1)
	} else {
		m.ready.Set(0)
	}
}

// Suppressed counts n log lines that were left out.
func (m *Metrics) Suppressed(n int) { m.suppressed.Add(float64(n)) }

// MethodLabel is the method, or other: a client can make methods up. What it returns is no part of the request's own bytes,
// which whoever keeps the label would keep, too.
func MethodLabel(method string) string {
	if i := slices.Index(methods, method); i >= 0 {
		return methods[i]
	}
	return "other"
}

var methods = []string{
	http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete,
	http.MethodOptions, http.MethodConnect, http.MethodTrace,
}

func codeLabel(code int) string {
	if code < 100 || code > 599 {
		return "other"
	}
	return strconv.Itoa(code)
}

func codeClass(code int) string {
	if code < 100 || code > 599 {
		return "other"
	}
	return strconv.Itoa(code/100) + "xx"
}
