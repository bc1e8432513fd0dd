//go:build realgateway

package realgateway

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
)

// source makes the choices of one generated request: the same seed and number make the same request.
type source = *rand.Rand

func pick[T any](r source, of ...T) T { return of[r.IntN(len(of))] }

// chance is true in n of a hundred cases.
func chance(r source, n int) bool { return r.IntN(100) < n }

// target is a place in the gateway that a generated request goes to.
type target struct {
	method, path string
	body         string
	public       bool // without a token, too, behind the sidecar
}

const formBody = "email=nobody%40example.com&password=x"

// targets has one of each way in which the gateways look for tokens, more often the ones that clients use.
var targets = []target{
	{"GET", "/tools", "", false}, {"GET", "/tools", "", false}, {"GET", "/servers", "", false}, {"GET", "/tokens", "", false},
	{"POST", "/rpc", toolsList, false}, {"POST", "/rpc", toolsList, false}, {"POST", "/rpc/", toolsList, false},
	{"POST", "/mcp/", toolsList, false}, {"POST", "/mcp", toolsList, false}, {"POST", "/static/mcp", toolsList, false}, {"POST", "/mcp//", toolsList, false},
	{"GET", "/admin/", "", false}, {"GET", "/admin", "", false}, {"GET", "/admin/tools", "", false},
	{"GET", "/docs", "", false}, {"GET", "/openapi.json", "", false}, {"GET", "/docsx", "", false}, {"GET", "/version", "", false}, {"GET", "/version", "", false},
	{"GET", "/metrics", "", false}, {"GET", "/auth/email/me", "", false}, {"HEAD", "/tools", "", false}, {"OPTIONS", "/tools", "", false},
	{"GET", "/sse", "", false}, {"GET", "/nowhere", "", false}, {"DELETE", "/tools/nothing", "", false}, {"PUT", "/tools/nothing", "{}", false},
	{"GET", "/%74ools", "", false}, {"GET", "/tools/", "", false}, {"GET", "//tools", "", false}, {"GET", "/tools?token=x&jwt_token=y", "", false},
	{"GET", "/v1/tools", "", false}, {"GET", "/health/security", "", false}, {"GET", "/oauth/status/x", "", false},
	{"GET", "/ws", "", false}, {"GET", "/ws", "", false}, {"GET", "/ws", "", false}, {"GET", "/%77s", "", false}, {"GET", "/reverse-proxy/ws", "", false},
	{"GET", "/health", "", true}, {"GET", "/ready", "", true}, {"GET", "/", "", true}, {"GET", "/static/admin.js", "", true},
	{"GET", "/admin/login", "", true}, {"POST", "/admin/login", formBody, true}, {"POST", "/auth/login", "{}", true},
	{"GET", "/.well-known/robots.txt", "", true}, {"GET", "/auth/sso/providers", "", true}, {"POST", "/admin/logout", "", true},
	{"GET", "/tools|x", "", false}, {"GET", "/to\"ols", "", false}, {"GET", "/x%2ftools", "", false}, {"TRACE", "/tools", "", false},
}

// generator makes requests for one way of reading tokens.
type generator struct {
	good, odd, bad []sample
	authHeader     string
	host           string
}

// token is the text of a credential: acceptable in every second case.
func (g *generator) token(r source) string {
	of := g.good
	switch n := r.IntN(100); {
	case n < 52:
	case n < 82:
		of = g.bad
	default:
		of = g.odd
	}
	if s := pick(r, of...); chance(r, 8) {
		return s.altered(r)
	} else {
		return s.text
	}
}

// space is what some parser trims.
func (g *generator) space(r source) string {
	if chance(r, 10) { // control characters, which Python trims as well
		return pick(r, "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f")
	}
	return pick(r, " ", "  ", "\t", " \t", "\xa0", "\x85", "\xe2\x80\x89", "\xc2\xa0")
}

// authorization is the value of an auth header.
func (g *generator) authorization(r source) string {
	t := g.token(r)
	if chance(r, 65) {
		return "Bearer " + t
	}
	switch r.IntN(16) {
	case 0:
		return pick(r, "bearer ", "BEARER ", "bEaReR ") + t
	case 1:
		return "Bearer" + g.space(r) + t
	case 2:
		return "Bearer " + g.space(r) + t
	case 3:
		return "Bearer " + t + g.space(r)
	case 4:
		return g.space(r) + "Bearer " + t
	case 5:
		return "Bearer " + pick(r, "Bearer ", "bearer ", "Bearer  ", "Bearer Bearer ") + t
	case 6:
		return "Bearer " + t + ", Bearer " + g.token(r)
	case 7:
		return pick(r, "", "Bearer", "Bearer ", "bearer", "Bearer \xa0", "\xa0")
	case 8:
		return pick(r, "Basic ", "basic ", "Token ", "JWT ", "Bearer: ", "Bearer=", "Bearer\\ ", "Bearer,", "DPoP ") + t
	case 9:
		return "Basic YmFzaWN1c2VyOkJhc2ljLVBhc3N3MHJkIXg="
	case 10:
		return t
	case 11:
		return "Bearer \"" + t + "\""
	case 12:
		return "Bearer " + t + " " + g.token(r)
	case 13:
		return "Bearer " + url.QueryEscape(t) + pick(r, "", "%20", "%00")
	case 14:
		return "Bearer " + pick(r, "null", "undefined", "x", "a.b.c", "..", "eyJ", "{}", "\xff")
	}
	cut := r.IntN(len(t))
	return "Bearer " + t[:cut] + pick(r, "Bearer ", "bearer ", " ", "\t") + t[cut:]
}

// cookieName is the name of a cookie, mostly one that carries a token.
func (g *generator) cookieName(r source) string {
	name := pick(r, "jwt_token", "jwt_token", "access_token")
	if chance(r, 75) {
		return name
	}
	switch r.IntN(8) {
	case 0:
		return g.space(r) + name
	case 1:
		return name + g.space(r)
	case 2:
		return pick(r, "JWT_TOKEN", "Jwt_Token", "Access_Token")
	case 3:
		return pick(r, "$", "__Host-", "\"", "\xe9", "\\") + name
	case 4:
		return strings.ReplaceAll(name, "_", pick(r, "-", "%5F", "\\137", ".", "\xa0"))
	case 5:
		return pick(r, "session", "mcpgateway_csrf_token", "theme", "", "token", "jwt_token2")
	case 6:
		return "\"" + name + "\""
	}
	return g.space(r) + name + g.space(r)
}

// cookieValue is a token as a cookie's value.
func (g *generator) cookieValue(r source) string {
	t := g.token(r)
	if chance(r, 70) {
		return t
	}
	switch r.IntN(12) {
	case 0:
		return `"` + t + `"`
	case 1:
		return `"` + strings.ReplaceAll(t, ".", `\056`) + `"`
	case 2: // any character may be escaped
		at := r.IntN(len(t))
		return fmt.Sprintf(`"%s\%03o%s"`, t[:at], t[at], t[at+1:])
	case 3:
		return `"` + strings.Replace(t, ".", `\.`, 1) + `"`
	case 4:
		return url.QueryEscape(strings.ReplaceAll(t, ".", " "))
	case 5:
		return strings.ReplaceAll(t, ".", "%2E")
	case 6:
		return g.space(r) + t + g.space(r)
	case 7:
		return pick(r, `"`+t, t+`"`, `""`+t+`""`, `"`+t+` "`, `" `+t+`"`, `'`+t+`'`)
	case 8:
		return pick(r, "", " ", `""`, "x", "deleted", "null", `"\"`, "\xa0")
	case 9:
		return "Bearer " + t
	case 10:
		return t + pick(r, ",", "=", "==", "&x=y", "|", " x", "\x85")
	}
	return `"` + t[:len(t)/2] + `"` + t[len(t)/2:]
}

// cookie is a Cookie line of one to four pairs.
func (g *generator) cookie(r source) string {
	pairs := make([]string, 1+r.IntN(2)+r.IntN(2)+r.IntN(2))
	for i := range pairs {
		switch n := r.IntN(20); {
		case n == 0:
			pairs[i] = pick(r, "junk", "=", "=jwt_token", "", " ", "\xa0", "jwt_token", `a="b`, "Path=/")
		case n <= 3:
			pairs[i] = pick(r, "theme=dark", "_ga=GA1.2.3", "session=x", "sso_session_id=1")
		default:
			pairs[i] = g.cookieName(r) + "=" + g.cookieValue(r)
		}
	}
	if chance(r, 1) { // many of them
		for range 14 {
			pairs = append(pairs, "jwt_token="+g.token(r))
		}
	}
	if chance(r, 4) { // emptied, by a script of some page
		pairs = append(pairs, "jwt_token=")
	}
	return strings.Join(pairs, pick(r, "; ", "; ", "; ", ";", " ;", ";;", ";\t", ", "))
}

// query is a query with or without a token.
func (g *generator) query(r source) string {
	parts := make([]string, r.IntN(4))
	for i := range parts {
		t := g.token(r)
		if chance(r, 25) {
			t = pick(r, "", "%20"+url.QueryEscape(t), url.QueryEscape(t), strings.ReplaceAll(t, ".", "%2E"), strings.ReplaceAll(t, ".", "%2e")+"%", t+"+", "+"+t, t+";token="+g.token(r))
		}
		name := pick(r, "token", "token", "token", "token", "token", "%74oken", "t%6Fken", "Token", "token[]", "access_token", "jwt_token", "+token", "token%20", "x")
		parts[i] = escapeForTarget(name + pick(r, "=", "=", "=", "=", "=", "=", "%3D", "") + t)
	}
	return strings.Join(parts, pick(r, "&", "&", "&", "&&", ";"))
}

// escapeForTarget writes what no server lets stand in a request line as an escape.
func escapeForTarget(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
