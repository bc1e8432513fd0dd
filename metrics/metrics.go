// Package metrics counts what was decided and done. It holds a private registry; every series is made in one place for
// each program (the sidecar's here, the webhook's in webhook.go), and labels are chosen from closed lists or from the
// configuration: nothing that a client sends is ever a label.
package metrics

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"envgate/authz"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics holds every series. Its methods are safe for concurrent use.
type Metrics struct {
	table
	config  *authz.Config
	further issuers

	decisions         *prometheus.CounterVec
	removed           *prometheus.CounterVec
	crossEnvironment  *prometheus.CounterVec
	verified          *prometheus.CounterVec
	withoutEnv        *prometheus.CounterVec
	lastExpiry        prometheus.Gauge
	warnings          *prometheus.GaugeVec
	requests          *prometheus.CounterVec
	duration          *prometheus.HistogramVec
	overhead          prometheus.Histogram
	verification      prometheus.Histogram
	upstreamErrors    *prometheus.CounterVec
	clientCanceled    prometheus.Counter
	inFlight          atomic.Int64
	streamsOpen       *prometheus.GaugeVec
	streamDuration    *prometheus.HistogramVec
	streamsEnded      *prometheus.CounterVec
	keys              *prometheus.GaugeVec
	fetchFailures     *prometheus.CounterVec
	fetchSuccess      *prometheus.GaugeVec
	reloads           *prometheus.CounterVec
	reloadSuccessful  prometheus.Gauge
	reloadSuccess     prometheus.Gauge
	additionalKey     prometheus.Counter
	baseKey           prometheus.Counter
	fingerprint       *prometheus.GaugeVec
	certificateExpiry *prometheus.GaugeVec
	embedded          *prometheus.CounterVec
	translated        *prometheus.CounterVec
	ready             prometheus.Gauge
	denied            *prometheus.GaugeVec
	limited           *prometheus.CounterVec
	suppressed        prometheus.Counter
	cache             func() authz.CacheStats

	decided  *memo[decision, prometheus.Counter]
	answered *memo[answer, prometheus.Counter]
	timed    *memo[answer, prometheus.Observer]

	latestExpiry      float64
	latestExpiryMutex sync.Mutex
}

// Build is what envgate_build_info says.
type Build struct{ Version, Revision, GoVersion string }

// overheadBuckets start at 10 µs: one request costs envgate a few dozen.
var overheadBuckets = []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 50e-3, 250e-3, 1}

// New makes the registry for one configuration, with every series that can be known beforehand at 0.
func New(c *authz.Config, b Build) *Metrics {
	m := &Metrics{table: newTable(), config: c.Settings(), cache: func() authz.CacheStats { return authz.CacheStats{} }}
	m.decisions = m.counters("envgate_decisions_total", "Requests by decision; reason is none when accepted or public.", "decision", "reason")
	m.removed = m.counters("envgate_credentials_removed_total", "Failing credentials taken off a request that went on, by reason.", "reason")
	m.crossEnvironment = m.counters("envgate_cross_environment_tokens_total", "Tokens with a good signature that belong to another environment. A name that is not configured as known is other.", "token_environment", "server_environment", "decision")
	m.verified = m.counters("envgate_tokens_verified_total", "Tokens whose signature verified, whatever the decision.", "issuer")
	m.withoutEnv = m.counters("envgate_tokens_without_environment_total", "Tokens whose signature verified and that carry no env claim. ENVGATE_MISSING_ENVIRONMENT=deny is safe when this stays flat for the longest lifetime in use.", "issuer")
	m.lastExpiry = m.lateGauge("envgate_token_without_environment_last_expiry_timestamp_seconds", "Largest exp seen among tokens without env; absent until one is seen.")
	m.warnings = m.gauges("envgate_configuration_warnings", "1 while a configuration warning is active, 0 while its check passes.", "check")
	m.requests = m.counters("envgate_http_requests_total", "Requests as the client saw them; source tells envgate's own answers from the upstream's.", "code", "method", "source")
	m.duration = m.histograms("envgate_http_request_duration_seconds", "Time from the request's arrival to the response headers. Streams are not in it.", prometheus.DefBuckets, "code_class", "source")
	m.overhead = m.histogram("envgate_overhead_seconds", "Time that envgate adds to a request: judging it, and preparing what is sent on and back.", overheadBuckets)
	m.verification = m.histogram("envgate_verification_duration_seconds", "Time to judge one request's tokens, divided by their number.", overheadBuckets)
	m.upstreamErrors = m.counters("envgate_upstream_errors_total", "Requests that the upstream did not answer, or whose answer it broke off (reset), by kind.", "kind")
	m.clientCanceled = m.counter("envgate_client_canceled_total", "Requests that the client gave up before the upstream answered.")
	m.gauged("envgate_requests_in_flight", "Requests being served, streams among them.", func() float64 { return float64(m.inFlight.Load()) })
	m.streamsOpen = m.gauges("envgate_streams_open", "Open streams by kind.", "kind")
	m.streamDuration = m.histograms("envgate_stream_duration_seconds", "How long streams stayed open, by kind.", []float64{1, 10, 60, 300, 900, 3600, 14400, 86400}, "kind")
	m.streamsEnded = m.counters("envgate_streams_ended_total", "Streams that ended with their token, by kind and cause: expiry, or refused, when a reload or an issuer's keys would refuse it. 0 unless ENVGATE_STREAMS_END_AT_EXPIRY is on.", "kind", "cause")
	m.keys = m.gauges("envgate_keys", "Usable keys by issuer.", "issuer")
	m.fetchFailures = m.counters("envgate_key_fetch_failures_total", "Failed fetches of a further issuer's keys, by issuer.", "issuer")
	m.fetchSuccess = m.gauges("envgate_key_fetch_success_timestamp_seconds", "When a further issuer's keys were last fetched; absent until they are.", "issuer")
	m.reloads = m.counters("envgate_reloads_total", "Reloads of the configuration's files, by result.", "result")
	m.reloadSuccessful = m.gauge("envgate_last_reload_successful", "1 if the last reload, or the start, was successful.")
	m.reloadSuccess = m.gauge("envgate_last_reload_success_timestamp_seconds", "When the configuration was last read successfully.")
	m.additionalKey = m.counter("envgate_tokens_verified_by_additional_key_total", "Tokens that only the additional key verified. When flat, the rotation is over.")
	m.baseKey = m.counter("envgate_tokens_verified_by_base_key_total", "Tokens under the base secret that were accepted while keys are translated. When flat, ENVGATE_ACCEPT_BASE_KEY=false is safe.")
	m.fingerprint = m.gauges("envgate_key_fingerprint", "Fingerprint of each key of the gateway, before derivation; always 1. Two environments with the same one share a key.", "slot", "fingerprint")
	m.certificateExpiry = m.gauges("envgate_tls_certificate_expiry_timestamp_seconds", "When the served certificate expires; absent without TLS.", "listener")
	m.embedded = m.counters("envgate_tokens_embedded_total", "Tokens that the gateway handed out, and answers that can't be read, by what became of them.", "result")
	m.translated = m.counters("envgate_translated_tokens_total", "Tokens signed anew: inbound as the gateway knows them, outbound under the derived key.", "direction")
	m.counted("envgate_verdict_cache_hits_total", "Tokens that were accepted by memory of having been accepted before.", func() uint64 { return m.cache().Hits })
	m.counted("envgate_verdict_cache_misses_total", "Tokens that were judged anew; refused ones always are.", func() uint64 { return m.cache().Misses })
	m.counted("envgate_verdict_cache_evictions_total", "Remembered tokens that made room for others. Growing: ENVGATE_VERDICT_CACHE_BYTES is too small for the tokens in use.", func() uint64 { return m.cache().Evictions })
	m.limited = m.counters("envgate_limited_total", "What was over a limit, by limit: connections that were closed, requests that were refused, bodies that were cut off.", "limit")
	m.denied = m.gauges("envgate_deny_list_entries", "Entries of the deny-list in force, by kind.", "kind")
	m.ready = m.gauge("envgate_ready", "1 while the sidecar is ready.")
	m.suppressed = m.counter("envgate_log_lines_suppressed_total", "Log lines left out to bound the log's volume, or lost because standard error took none.")
	m.build(b)
	m.gauges("envgate_config_info", "Configuration in force; always 1.", "server_environment", "mode", "environment_rule", "issuer", "audience", "algorithm").
		WithLabelValues(c.Environment, string(c.Mode), string(c.Rule), label(c.Issuer), label(c.Audience), c.Algorithm).Set(1)
	m.decided = newMemo(func(d decision) prometheus.Counter {
		return m.decisions.WithLabelValues(string(d.outcome), string(d.reason))
	})
	m.answered = newMemo(func(a answer) prometheus.Counter {
		return m.requests.WithLabelValues(codeLabel(a.code), a.method, a.source)
	})
	m.timed = newMemo(func(a answer) prometheus.Observer { return m.duration.WithLabelValues(codeClass(a.code), a.source) })
	m.preset()
	m.Denied(c.DenyList().Size())
	return m
}

// decision and answer are the labels that every request has.
type decision struct {
	outcome authz.Outcome
	reason  authz.Reason
}

type answer struct {
	method string // a label
	code   int    // 0: other
	source string
}

// directions of a translated token.
const (
	inbound  = "inbound"
	outbound = "outbound"
)

// sources of an answer.
const (
	FromEnvgate  = "envgate"
	FromUpstream = "upstream"
)

// Kinds of upstream errors and of streams.
var (
	UpstreamErrorKinds = []string{"connect", "timeout", "reset"}
	StreamKinds        = []string{"sse", "websocket"}
)

func (m *Metrics) preset() {
	c := m.config
	m.decisions.WithLabelValues(string(authz.Accepted), string(authz.None))
	m.decisions.WithLabelValues(string(authz.Public), string(authz.None))
	for _, t := range authz.Reasons {
		m.decisions.WithLabelValues(string(authz.Refused), string(t.Reason))
		switch t.Reason {
		case authz.MethodNotAllowed, authz.BadPath, authz.Limited: // refused in every mode, and no credential's fault
			continue
		}
		m.decisions.WithLabelValues(string(authz.Reported), string(t.Reason))
		if t.Reason != authz.NoToken {
			m.removed.WithLabelValues(string(t.Reason))
		}
	}
	for _, name := range append([]string{authz.OtherEnvironment}, c.KnownEnvironments...) {
		if name == c.Environment {
			continue
		}
		for _, decision := range []string{"refused", "reported", "removed"} {
			m.crossEnvironment.WithLabelValues(name, c.Environment, decision)
		}
	}
	issuer := label(c.Issuer)
	m.verified.WithLabelValues(issuer)
	m.withoutEnv.WithLabelValues(issuer)
	m.keys.WithLabelValues(issuer)
	m.Issuers(c)
	for _, what := range authz.Embeddings {
		m.embedded.WithLabelValues(string(what))
	}
	for _, direction := range []string{inbound, outbound} {
		m.translated.WithLabelValues(direction)
	}
	for _, result := range []string{"success", "failure"} {
		m.reloads.WithLabelValues(result)
	}
	for _, limit := range limits {
		m.limited.WithLabelValues(limit)
	}
	m.reloadSuccessful.Set(1)
	m.reloadSuccess.SetToCurrentTime()
	for _, check := range authz.Checks {
		m.warnings.WithLabelValues(check)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		m.requests.WithLabelValues("200", method, FromUpstream)
		m.requests.WithLabelValues("401", method, FromEnvgate)
		m.requests.WithLabelValues("502", method, FromEnvgate)
	}
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx"} {
		m.duration.WithLabelValues(class, FromEnvgate)
		m.duration.WithLabelValues(class, FromUpstream)
	}
	for _, kind := range UpstreamErrorKinds {
		m.upstreamErrors.WithLabelValues(kind)
	}
	for _, kind := range StreamKinds {
		m.streamsOpen.WithLabelValues(kind)
		m.streamDuration.WithLabelValues(kind)
		for _, cause := range endings {
			m.streamsEnded.WithLabelValues(kind, cause)
		}
	}
}

// label makes operator's text fit for a label value.
func label(s string) string { return strings.ToValidUTF8(s, "?") }
