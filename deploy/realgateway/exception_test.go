//go:build realgateway

package realgateway

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// exception is a documented case in which envgate refuses a request, or takes a token off, that the gateway alone would
// have honoured an acceptable token of. Whether it holds is read off the request, not off envgate's answer.
type exception struct {
	name    string
	rule    string   // of decisions.md and securing.md, in short
	reasons []string // that envgate may answer with; none: any
	status  int      // of the refusal; 0: any
	holds   func(q request, g *generator, token string) bool
}

// refusals are for requests that envgate answers itself.
var refusals = []exception{
	{"not HTTP", "what net/http can't read is answered 400", []string{""}, 400, func(q request, _ *generator, _ string) bool { return q.brokenFraming() }},
	{"trailers that are not HTTP", "what net/http can't read is answered 400, and it reads 4 KiB of trailers", []string{"-"}, 400, func(q request, _ *generator, _ string) bool {
		return len(q.trailer) > 4000 || hasControl(strings.ReplaceAll(q.trailer, "\r\n", ""))
	}},
	{"method", "CONNECT and TRACE are refused", []string{"method_not_allowed"}, 405, func(q request, _ *generator, _ string) bool { return q.method == "TRACE" }},
	{"path", "a path that Go can't send on unchanged is refused", []string{"bad_path"}, 400, func(q request, _ *generator, _ string) bool {
		path, _ := q.path()
		return strings.ContainsAny(path, `"|^`+"`"+`<>{}\`)
	}},
	{"auth header twice", "the auth header may come once", []string{"ambiguous_credential"}, 400, func(q request, g *generator, _ string) bool { return len(q.values(g.authHeader)) > 1 }},
	{"auth header in Connection", "nor may it be named in Connection", []string{"ambiguous_credential"}, 400, func(q request, g *generator, _ string) bool { return q.inConnection(g.authHeader) }},
	{"failing bearer", "an auth header with a Bearer token decides", nil, 401, func(q request, g *generator, _ string) bool { return q.hasFailingBearer(g) }},
	{"failing query token", "a query token must be accepted too", nil, 401, func(q request, _ *generator, _ string) bool {
		return slices.ContainsFunc(q.queryTokens(), func(token string) bool { return !isAcceptable(token) })
	}},
	{"failing Authorization", "a Bearer in Authorization that verifies under the gateway's key is judged too, where another header is the auth header", nil, 401,
		func(q request, g *generator, _ string) bool { return q.hasFailingAuthorization(g) }},
	{"Authorization alone", "where another header is the auth header, Authorization is no candidate", nil, 401, func(q request, g *generator, _ string) bool {
		return g.authHeader != "Authorization" && !q.hasAcceptable(g)
	}},
	{"quoted cookie alone", "a quoted or escaped token cookie fails, and is no credential", nil, 401, func(q request, g *generator, _ string) bool {
		return !q.hasAcceptable(g) && slices.ContainsFunc(q.cookies(), func(c pair) bool { return !plain.MatchString(c.value) })
	}},
	trailer,
}

// removals are for requests that go on without a token that the gateway alone would have honoured.
var removals = []exception{
	{"auth header on a public route", "every credential that isn't accepted is taken off, and the request is anonymous", nil, 0, func(q request, g *generator, _ string) bool {
		return q.isPublic() && (len(q.values(g.authHeader)) > 1 || q.inConnection(g.authHeader) || q.hasFailingBearer(g) || q.hasFailingAuthorization(g))
	}},
	{"quoted cookie taken off", "a quoted or escaped token cookie fails, and is taken off", nil, 0, func(q request, _ *generator, token string) bool {
		return slices.ContainsFunc(q.cookies(), func(c pair) bool { return !plain.MatchString(c.value) }) &&
			!slices.ContainsFunc(q.cookies(), func(c pair) bool { return c.value == token })
	}},
	{"failing cookie taken off", "failing cookies are taken off, and what remains decides", nil, 0, func(q request, _ *generator, _ string) bool {
		return slices.ContainsFunc(q.cookies(), func(c pair) bool { return !isAcceptable(c.value) })
	}},
	trailer,
}

// trailer is the one that may explain both: uvicorn with httptools, as 1.0.7 runs, adds trailers to the headers.
var trailer = exception{"trailer", "no credential arrives behind the body", nil, 0, func(q request, _ *generator, token string) bool {
	return q.trailer != "" && (strings.Contains(q.trailer, token) || !strings.Contains(strings.Join(q.headers, "\n"), token))
}}

func (e exception) note() string { return "exception: " + e.name + ": " + e.rule }

// explains tells whether an exception is the reason of envgate's answer.
func (e exception) explains(q request, g *generator, w wired, token string) bool {
	reasonFits := len(e.reasons) == 0 || w.login || w.reason == "-" || slices.Contains(e.reasons, w.reason)
	statusFits := e.status == 0 || e.status == w.status || e.status == 401 && w.login
	return reasonFits && statusFits && e.holds(q, g, token)
}

func (q request) hasFailingBearer(g *generator) bool {
	return slices.ContainsFunc(q.values(g.authHeader), fails)
}

// hasFailingAuthorization is the same of Authorization, where another header is the auth header.
func (q request) hasFailingAuthorization(g *generator) bool {
	return g.authHeader != "Authorization" && slices.ContainsFunc(q.values("Authorization"), fails)
}

// fails tells whether the value of an auth header carries a token that isn't acceptable.
func fails(value string) bool {
	token, is := bearerOf(value)
	return is && !isAcceptable(token)
}

// bearerOf reads the token of an auth header, as documented: the scheme in any case, up to the first space, and text.
func bearerOf(value string) (string, bool) {
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.Trim(token, " ")
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}

type pair struct{ name, value string }

var (
	plain       = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
	pythonSpace = "\t\n\v\f\r\x1c\x1d\x1e\x1f "
)

// trimmed is what Python's strip leaves of Latin-1 text.
func trimmed(s string) string {
	for s != "" && (strings.IndexByte(pythonSpace, s[0]) >= 0 || s[0] == 0x85 || s[0] == 0xa0) {
		s = s[1:]
	}
	for s != "" && (strings.IndexByte(pythonSpace, s[len(s)-1]) >= 0 || s[len(s)-1] == 0x85 || s[len(s)-1] == 0xa0) {
		s = s[:len(s)-1]
	}
	return s
}

func (c pair) carries() bool { return c.name == "jwt_token" || c.name == "access_token" }

// cookiesOf reads Cookie lines as Starlette does, but for unquoting.
func cookiesOf(lines []string) (pairs []pair) {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if name, value, ok := strings.Cut(part, "="); ok {
				pairs = append(pairs, pair{trimmed(name), trimmed(value)})
			}
		}
	}
	return pairs
}

// cookies lists the token cookies.
func (q request) cookies() []pair {
	return slices.DeleteFunc(cookiesOf(q.values("Cookie")), func(c pair) bool { return !c.carries() })
}

// hasAcceptable tells whether some credential, where envgate reads one, is acceptable.
func (q request) hasAcceptable(g *generator) bool {
	return slices.ContainsFunc(q.candidates(g.authHeader), isAcceptable)
}

// candidates lists the credentials where envgate reads any, the auth header being one of the given.
func (q request) candidates(authHeaders ...string) []string {
	tokens := q.queryTokens()
	for _, c := range q.cookies() {
		tokens = append(tokens, c.value)
	}
	for _, name := range authHeaders {
		for _, value := range q.values(name) {
			if token, is := bearerOf(value); is {
				tokens = append(tokens, token)
			}
		}
	}
	return tokens
}

// mayBe tells whether a request gives envgate cause to refuse it for a reason: some candidate fails so, or the request
// itself does.
func (q request) mayBe(reason string) bool {
	switch reason {
	case "", "-", "no_token", "unsupported_scheme", "ambiguous_credential", "bad_path", "method_not_allowed":
		return true // each checked by its own tests
	}
	return slices.ContainsFunc(q.candidates("Authorization", "X-Gateway-Token"), func(token string) bool {
		return judged(token, time.Now()) == reason || judged(trimmed(token), time.Now()) == reason
	})
}

// queryTokens lists the tokens in the query, where a gateway reads any.
func (q request) queryTokens() (tokens []string) {
	path, query := q.path()
	if decoded, err := url.PathUnescape(path); err != nil || decoded != "/ws" {
		return nil
	}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if unescaped(name) == "token" {
			tokens = append(tokens, unescaped(value))
		}
	}
	return tokens
}

var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func unescaped(s string) string {
	return escape.ReplaceAllStringFunc(strings.ReplaceAll(s, "+", " "), func(e string) string {
		c, _ := url.PathUnescape(e)
		return c
	})
}

// inConnection tells whether the client calls a header hop-by-hop.
func (q request) inConnection(name string) bool {
	return slices.ContainsFunc(q.values("Connection"), func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), func(option string) bool { return strings.EqualFold(strings.Trim(option, " \t"), name) })
	})
}

func hasControl(s string) bool {
	return slices.ContainsFunc([]byte(s), func(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// fieldName is that of RFC 9110, section 5.1.
var fieldName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// brokenFraming tells whether a request has what no header may have (RFC 9112, sections 2.2, 3.2 and 5): control
// characters, odd names, lines without a colon, none or two Host lines, one that is no host.
func (q request) brokenFraming() bool {
	hosts := 0
	if at := q.headers[0]; at[0] == ' ' || at[0] == '\t' { // folded onto another line
		return true
	}
	for _, line := range q.fields() {
		name, value, ok := strings.Cut(line, ":")
		if !ok || !fieldName.MatchString(name) || hasControl(value) {
			return true
		}
		if strings.EqualFold(name, "Host") {
			if hosts++; strings.Contains(strings.TrimLeft(value, " \t"), " ") {
				return true
			}
		}
	}
	return hosts != 1
}

// isPublic tells whether envgate lets a request through without a token.
func (q request) isPublic() bool {
	preflight := q.method == "OPTIONS" && len(q.values("Origin")) == 1 && len(q.values("Access-Control-Request-Method")) == 1 && len(q.values("Upgrade")) == 0
	return q.public && !q.upgrades() || preflight
}
