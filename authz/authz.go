// Package authz decides whether a request may reach the gateway. It is pure: it opens no listener, moves no counter,
// writes no log line. Check answers one question about one request, and its Decision says what the proxy has to do.
//
// # What is judged
//
// Every credential that the gateway would read is a candidate: the bearer token of the auth header, token cookies in
// the raw Cookie lines, the query token of a WebSocket path. A candidate that is not accepted never reaches the
// gateway: either the request is refused, or, where another credential carries it or none is needed, the candidate is
// taken off. What the gateway could read differently from us is treated as not accepted.
//
// # How a token is judged
//
// In the order of Reasons, the first failure being the reason: size, syntax, algorithm, signature, issuer, audience,
// revocation, expiry, not-before, id, and last the environment. Nothing of a token counts before its signature verified. The
// algorithm and the keys come from the configuration, never from the token.
//
// # The environment rule
//
// A token whose env claim names another environment is foreign and refused, by exact comparison. A token without env
// passes unless the configuration says deny: legacy gateways can't issue it.
//
// # What fails closed
//
// A path that is not listed as public, or not written canonically, is protected. A protected path needs an accepted
// token. There is no rule by header or query, and no regular expression.
package authz

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Guard judges requests under one configuration. It is safe for concurrent use and never changes.
type Guard struct {
	c      *Config
	v      verifier
	routes *routes
}

// New returns the guard of a parsed configuration.
func New(c *Config) *Guard {
	return &Guard{c: c, v: verifier{c: c, now: time.Now}, routes: newRoutes(c.Policy, c.RootPath)}
}

// NewCached returns the guard of a parsed configuration that remembers accepted tokens in a cache, which it empties. A nil
// cache remembers nothing.
func NewCached(c *Config, cache *Cache) *Guard {
	g := New(c)
	if cache != nil {
		g.v.cache, g.v.generation = cache, cache.empty()
	}
	return g
}

// Config returns the configuration that the guard was made from.
func (g *Guard) Config() *Config { return g.c }

// Check judges a request as it came from the client. It neither changes it nor reads its body.
func (g *Guard) Check(r *http.Request) Decision {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace || !isToken(r.Method) { // over HTTP/2 net/http lets anything be a method
		return g.reject(MethodNotAllowed)
	}
	raw, unchanged := rawPath(r)
	if !unchanged || !sendableHost(r.Host) {
		return g.reject(BadPath)
	}
	d := Decision{Outcome: Accepted, Reason: None, Route: "protected"}
	open := g.open(r, raw, &d)
	found := g.find(r)
	found.judge(g, &d)
	g.decide(r, open, &found, &d)
	if d.Outcome != Refused {
		found.forward(g, r, &d)
		d.Bound = found.bound(g, &d)
	}
	return d
}

// reject refuses for something that no mode lets through.
func (g *Guard) reject(reason Reason) Decision {
	return Decision{Outcome: Refused, Reason: reason, Status: reason.Text().Status, Detail: reason.Text().Detail, Route: "protected"}
}

// open tells whether the request needs no credential: a public route or a CORS preflight. An upgrade never is.
func (g *Guard) open(r *http.Request, raw string, d *Decision) bool {
	if IsPreflight(r) {
		d.Route = "preflight"
		return true
	}
	if WebSocket(r.Header) {
		return false
	}
	decoded := r.URL.Path
	if decoded == "" { // absolute-form without a path means / (RFC 9112, section 3.2.1)
		decoded = "/"
	}
	route, public := g.routes.public(r.Method, decoded, raw)
	if public {
		d.Route = route
	}
	return public
}

// IsPreflight recognises a CORS preflight (Fetch standard, section 4.8), which browsers send without credentials.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions &&
		len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1 && len(r.Header["Upgrade"]) == 0 &&
		!NamedInConnection(r.Header, "Origin") && !NamedInConnection(r.Header, "Access-Control-Request-Method")
}

// WebSocket tells whether the Upgrade header asks for exactly websocket: the only upgrade that is ever forwarded.
func WebSocket(h http.Header) bool {
	v := h["Upgrade"]
	return len(v) == 1 && isToken(v[0]) && strings.EqualFold(v[0], "websocket") // a token is ASCII: no other letter folds to k or s
}

// decide turns the verdicts into outcome and reason.
func (g *Guard) decide(r *http.Request, open bool, f *candidates, d *Decision) {
	switch f.scheme {
	case schemeAmbiguous:
		if len(r.Header[g.c.AuthHeader]) > 0 { // else it is only named in Connection: there is nothing to take off
			f.failed = append(f.failed, AmbiguousCredential)
		}
	case schemeOther, schemeBasic:
		f.failed = append(f.failed, UnsupportedScheme)
	}
	if open {
		d.Outcome = Public
		return
	}
	reason, detail, status := None, "", 0
	cookie := f.lastCookie()
	switch {
	case f.scheme == schemeAmbiguous:
		reason, status = AmbiguousCredential, http.StatusBadRequest
	case f.failing != None:
		reason, detail = f.failing, f.failDetail
	case f.scheme == schemeBearer || f.accepted:
		reason = None
	case f.scheme == schemeBasic && g.basic(r.URL.Path) && !WebSocket(r.Header):
		d.Outcome, f.basic = Public, true
		f.failed = slices.DeleteFunc(f.failed, func(r Reason) bool { return r == UnsupportedScheme })
		return
	case cookie.Reason != "":
		reason, detail = cookie.Reason, cookie.Detail
	case f.scheme == schemeOther || f.scheme == schemeBasic:
		reason = UnsupportedScheme
	default:
		reason = NoToken
	}
	if reason == None {
		if f.reported != None {
			d.Outcome, d.Reason = Reported, f.reported
		}
		return
	}
	d.Outcome, d.Reason, d.Status, d.Detail = Refused, reason, status, detail
	if g.c.Mode == ModeReport {
		d.Outcome = Reported
	}
	if status == 0 {
		d.Status = reason.Text().Status
	}
	if detail == "" {
		d.Detail = reason.Text().Detail
	}
	d.Basic = g.basic(r.URL.Path)
	d.LoginPage = g.loginPage(r, d)
}

func (g *Guard) basic(path string) bool {
	return slices.ContainsFunc(withoutRoot(path, g.c.RootPath), func(p string) bool { return slices.Contains(g.c.Policy.Basic, p) })
}

// loginPage says where a person is sent instead of reading a refusal.
func (g *Guard) loginPage(r *http.Request, d *Decision) string {
	page := g.c.Policy.LoginPage
	if page == "" || d.Status != http.StatusUnauthorized || d.Basic || strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/mcp") {
		return ""
	}
	if !HTMX(r) && !strings.Contains(strings.ToLower(strings.Join(r.Header["Accept"], ",")), "text/html") {
		return ""
	}
	return g.c.RootPath + page
}

// HTMX tells whether the request was made by htmx, which follows HX-Redirect and no redirect.
func HTMX(r *http.Request) bool { return r.Header.Get("Hx-Request") == "true" }
