// Package proxy acts on decisions: it refuses, or forwards to the one upstream byte for byte, and counts what it did.
// It has the listeners of the sidecar and their lifecycle; what is decided, it asks authz.
package proxy

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// Proxy is the traffic handler.
type Proxy struct {
	config   *authz.Config
	guard    *authz.Guard
	metrics  *metrics.Metrics
	log      *decisionLog
	upstream *upstream
	headers  headerRules
	streams  *streams
	warnings *warnings
	draining atomic.Bool
}

// New returns the handler for one configuration.
func New(c *authz.Config, m *metrics.Metrics, log *slog.Logger) *Proxy {
	return &Proxy{
		config: c, guard: authz.New(c), metrics: m,
		log: newDecisionLog(log, m, c.AccessLog), upstream: newUpstream(c, log, m), headers: newHeaderRules(c),
		streams: newStreams(m), warnings: newWarnings(c, m, log),
	}
}

// ServeHTTP checks, counts, logs, then refuses or forwards.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := &exchange{p: p, w: w, r: r, started: time.Now()}
	p.metrics.InFlight(1)
	defer p.metrics.InFlight(-1)

	e.decision = p.guard.Check(r)
	p.metrics.Decided(e.decision, time.Since(e.started))
	p.log.decision(r, &e.decision)
	p.warnings.observe(r, &e.decision)
	// A request with both Content-Length and Transfer-Encoding must be the last on its connection (RFC 9112, section 6.1),
	// or what is behind it could have been smuggled past a proxy in front. net/http hides the Content-Length from us, so
	// every chunked request is the last.
	if last := p.draining.Load() || len(r.TransferEncoding) > 0 && r.ProtoMajor == 1; last && !authz.WebSocket(r.Header) {
		w.Header().Set("Connection", "close")
	}
	if e.decision.Outcome == authz.Refused {
		e.refuse()
	} else {
		e.forward()
	}
	p.log.access(e)
}
