package proxy

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// problem is the body of every answer of envgate's own (RFC 9457).
type problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Reason authz.Reason `json:"reason,omitempty"`
	Kind   string       `json:"kind,omitempty"` // of an upstream error
}

// refusalBodies are the bodies of refusalBodies with their reason's own words, made once: a flood of them should cost little.
var refusalBodies = func() map[problem][]byte {
	bodies := map[problem][]byte{}
	for _, t := range authz.Reasons {
		p := problem{Title: http.StatusText(t.Status), Status: t.Status, Detail: t.Detail, Reason: t.Reason}
		bodies[p], _ = json.Marshal(p)
	}
	return bodies
}()

func (p problem) body() []byte {
	if body, ok := refusalBodies[p]; ok {
		return body
	}
	body, _ := json.Marshal(p) // strings and a number: can't fail
	return body
}

// methods is the Allow header of a 405 (RFC 9110, section 15.5.6).
const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// retryAfter is told to clients when no key is available yet, in seconds.
const retryAfter = "5"

// refuse answers instead of the upstream: with a problem body and a challenge, or, to a person, with the login page.
func (e *exchange) refuse() {
	d, h := &e.decision, e.w.Header()
	if d.LoginPage != "" {
		e.sendToLogin()
		return
	}
	for _, challenge := range challenges(d, e.rules.resource.of(e.r)) {
		h.Add("WWW-Authenticate", challenge)
	}
	switch d.Status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", methods)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", e.p.refusals.retryAfter)
	}
	e.problem(d.Status, problem{Title: http.StatusText(d.Status), Detail: d.Detail, Reason: d.Reason})
}

// challenges are the WWW-Authenticate lines (RFC 6750, section 3): no error where no token was sent.
func challenges(d *authz.Decision, metadata string) []string {
	if d.Status != http.StatusUnauthorized && d.Reason != authz.AmbiguousCredential {
		return nil
	}
	bearer := `Bearer realm="envgate"`
	switch {
	case d.Status == http.StatusBadRequest:
		bearer += `, error="invalid_request", error_description="` + d.Reason.Text().Description + `"`
	case d.Reason != authz.NoToken:
		bearer += `, error="invalid_token", error_description="` + d.Reason.Text().Description + `"`
	}
	if metadata != "" && d.Status == http.StatusUnauthorized { // RFC 9728, section 5.1
		bearer += `, resource_metadata="` + metadata + `"`
	}
	if d.Basic {
		return []string{bearer, `Basic realm="envgate"`}
	}
	return []string{bearer}
}

// problem answers with a problem body, which browsers of the configured origins may read.
func (e *exchange) problem(status int, p problem) {
	p.Status = status
	body := p.body()
	h := e.w.Header()
	e.allowOrigin(h)
	h["Content-Type"] = []string{"application/problem+json"}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	delete(h, "Date") // forwarding keeps net/http from setting it
	e.closeUnread(h)
	e.own(status)
	e.w.WriteHeader(status)
	_, _ = e.w.Write(body)
}

// sendToLogin sends a person to the login page, by a redirect, or for htmx by its own header.
func (e *exchange) sendToLogin() {
	h := e.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	e.allowOrigin(h)
	e.closeUnread(h)
	status := http.StatusSeeOther
	if authz.HTMX(e.r) {
		status = http.StatusOK
		h.Set("HX-Redirect", e.decision.LoginPage)
	} else {
		h.Set("Location", e.decision.LoginPage)
	}
	e.own(status)
	e.w.WriteHeader(status)
}

// closeUnread ends the connection behind an answer that doesn't wait for the request's body.
func (e *exchange) closeUnread(h http.Header) {
	if e.last() || e.sending(0) {
		h.Set("Connection", "close")
	}
}

// own counts an answer of envgate's own.
func (e *exchange) own(status int) {
	took := time.Since(e.started)
	e.answered(status, metrics.FromEnvgate, took)
	if e.sent.IsZero() { // the upstream's time is not ours
		e.p.metrics.Overhead(took)
	}
}

// allowOrigin lets browser code of a configured origin read the answer, as the gateway's own CORS settings would
// (Fetch standard, section 3.3). The match is exact.
func (e *exchange) allowOrigin(h http.Header) {
	c := e.rules.config
	if !c.CORS {
		return
	}
	h.Add("Vary", "Origin")
	origin := e.r.Header["Origin"]
	if len(origin) != 1 || !slices.Contains(c.AllowedOrigins, origin[0]) && !slices.Contains(c.AllowedOrigins, "*") {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin[0])
	if c.CORSCredentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
}
