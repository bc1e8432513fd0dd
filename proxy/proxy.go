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
	rules    atomic.Pointer[rules]
	cache    *authz.Cache
	metrics  *metrics.Metrics
	log      *decisionLog
	recent   recent
	upstream *upstream
	streams  *streams
	leases   *leases
	limits   *limits
	refusals *refusals
	warnings *warnings
	draining atomic.Bool
}

// New returns the handler for one configuration.
func New(c *authz.Config, m *metrics.Metrics, log *slog.Logger) *Proxy {
	p := &Proxy{
		metrics: m, log: newDecisionLog(log, m, c.AccessLog),
		streams: newStreams(m), warnings: newWarnings(c, m, log),
	}
	p.leases = newLeases(c, m, p.rules.Load)
	p.limits, p.refusals = newLimits(c, m), newRefusals(c, m)
	p.upstream = newUpstream(c, p.config, log, m)
	p.cache = authz.NewCache(c.VerdictCacheBytes)
	m.Cache(p.cache.Stats)
	p.rules.Store(p.newRules(c))
	return p
}

// rules are what one request is judged and changed by. A reload replaces them at once; requests under way keep theirs.
type rules struct {
	config   *authz.Config
	guard    *authz.Guard
	headers  headerRules
	resource resource
	read     time.Time // when the configuration was
}

func (p *Proxy) newRules(c *authz.Config) *rules {
	return &rules{c, authz.NewCached(c, p.cache), newHeaderRules(c), newResource(c), time.Now().UTC()}
}

// config is the configuration in force.
func (p *Proxy) config() *authz.Config { return p.rules.Load().config }

// ServeHTTP checks, counts, logs, then refuses or forwards.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := &exchange{p: p, rules: p.rules.Load(), w: w, r: r, started: time.Now()}
	p.metrics.InFlight(1)
	defer p.metrics.InFlight(-1)
	done := false
	if r.ContentLength != 0 {
		e.body = watchBody(e)
		defer func() { e.body.end(!done) }()
	}

	defer p.limits.leave()
	over := p.limits.enter(r, &e.decision)
	described := !over && e.rules.resource.serves(r)
	if described {
		e.decision = authz.Decision{Outcome: authz.Public, Reason: authz.None, Route: e.rules.resource.path}
	} else if !over {
		e.decision = e.rules.guard.Check(r)
		p.refusals.limit(e)
	}
	p.metrics.Decided(e.decision, time.Since(e.started))
	p.log.decision(r, &e.decision)
	p.remember(r, &e.decision)
	p.warnings.observe(r, &e.decision)
	defer p.log.access(e)
	if !upgrades(r) { // h2c and the like: served as plain HTTP
		delete(r.Header, "Upgrade")
	}
	switch {
	case described:
		e.describe()
	case e.decision.Outcome == authz.Refused:
		e.refuse()
	default:
		e.forward()
	}
	done = true
}

// upgrades tells whether a request opens a WebSocket (RFC 6455, section 4.1): a GET without a body. HTTP/1.0 has no upgrades
// (RFC 9110, section 7.8).
func upgrades(r *http.Request) bool {
	return authz.WebSocket(r.Header) && authz.NamedInConnection(r.Header, "Upgrade") && r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) && r.ContentLength == 0
}

// sending tells whether the client is still sending its body: net/http would wait for up to 256 KiB of it before it answers,
// unless the connection ends behind the answer. A short one is waited for here, for a moment, so that it doesn't.
func (e *exchange) sending(within time.Duration) bool {
	return e.r.ProtoMajor == 1 && e.body != nil && !e.body.isRead(within)
}

// last tells whether the answer must be the last on its connection: while draining, and behind a chunked request. One with
// both Content-Length and Transfer-Encoding has to be (RFC 9112, section 6.1), or what is behind it could have been
// smuggled past a proxy in front; net/http hides the Content-Length, so every chunked request is. In HTTP/1.0 it hides and
// ignores the Transfer-Encoding, so every request is the last.
func (e *exchange) last() bool {
	return e.p.draining.Load() || e.r.ProtoMajor == 1 && (len(e.r.TransferEncoding) > 0 || e.r.ProtoMinor == 0)
}
