package authz

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file models how a ContextForge gateway reads credentials (Starlette's cookie_parser, http.cookies._unquote,
// FastAPI's scheme split, parse_qsl). It shares no code with the guard, so that a mistake there does not repeat here.

// forwarded is the request as the upstream would see it after a decision.
func forwarded(r *http.Request, c *Config, d Decision) *http.Request {
	out := r.Clone(r.Context())
	set := func(name string, values []string) {
		if out.Header.Del(name); len(values) > 0 {
			out.Header[name] = values
		}
	}
	if c.AuthHeader != "Authorization" {
		set("Authorization", d.Forward.Authorization)
	}
	set(c.AuthHeader, d.Forward.AuthHeader)
	set("Cookie", d.Forward.Cookie)
	out.Header.Del("Connection") // hop-by-hop
	out.URL.RawQuery = d.Forward.RawQuery
	return out
}

// gatewayReads lists every credential that some release of the gateway would honour: for cookies and query parameters
// not just the one that wins but all of that name, as what wins differs. Legacy releases read Authorization whatever the
// configured auth header is.
func gatewayReads(r *http.Request, authHeader, root string) (found []string) {
	for _, name := range slices.Compact([]string{"Authorization", authHeader}) {
		if values := r.Header[name]; len(values) > 0 {
			if scheme, token, ok := strings.Cut(values[0], " "); ok && strings.ToLower(scheme) == "bearer" && strip(token) != "" {
				found = append(found, strip(token))
			}
			if bare, ok := strings.CutPrefix(values[0], "Bearer "); ok && strings.Contains(bare, "Bearer ") { // 0.9.0's request log and user context
				found = append(found, strings.ReplaceAll(bare, "Bearer ", ""))
			}
		}
	}
	for _, line := range r.Header["Cookie"] {
		for chunk := range strings.SplitSeq(line, ";") {
			name, value, ok := strings.Cut(chunk, "=")
			if name = strip(name); ok && (name == "jwt_token" || name == "access_token") {
				found = append(found, unquote(strip(value)))
			}
		}
	}
	path := strings.TrimPrefix(r.URL.Path, root)
	if path == "/ws" {
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			name, value, _ := strings.Cut(pair, "=")
			if unquotePlus(name) == "token" {
				found = append(found, unquotePlus(value))
			}
		}
	}
	return found
}

var latin1Spaces = []rune{'\t', '\n', '\v', '\f', '\r', 0x1c, 0x1d, 0x1e, 0x1f, ' ', 0x85, 0xa0}

// strip is str.strip() of text decoded as Latin-1.
func strip(s string) string {
	var text []rune
	for i := range len(s) {
		text = append(text, rune(s[i]))
	}
	for len(text) > 0 && slices.Contains(latin1Spaces, text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && slices.Contains(latin1Spaces, text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	b := make([]byte, len(text))
	for i, c := range text {
		b[i] = byte(c)
	}
	return string(b)
}

var escaped = regexp.MustCompile(`(?s)\\(?:[0-3][0-7][0-7]|.)`)

// unquote is http.cookies._unquote.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return escaped.ReplaceAllStringFunc(s[1:len(s)-1], func(e string) string {
		if len(e) == 4 {
			n, _ := strconv.ParseUint(e[1:], 8, 8)
			return string([]byte{byte(n)})
		}
		return e[1:]
	})
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// unquotePlus is urllib.parse.unquote_plus, for ASCII.
func unquotePlus(s string) string {
	return percent.ReplaceAllStringFunc(strings.ReplaceAll(s, "+", " "), func(e string) string {
		c, err := url.PathUnescape(e)
		if err != nil {
			return e
		}
		return c
	})
}

// The model itself, on what was measured at the real gateway.
func TestGatewayModel(t *testing.T) {
	tests := []struct{ request, want string }{
		{"GET / | Authorization: bearer a", "a"},
		{"GET / | Authorization: Bearer  a", "a"},
		{"GET / | Authorization: Bearer a | Authorization: Bearer b", "a"},
		{"GET / | Authorization: Bearer aBearer b", "aBearer b ab"},
		{"GET / | Authorization: Token a", ""},
		{"GET / | Cookie: jwt_token=a; access_token=b", "a b"},
		{`GET / | Cookie: jwt_token="a\056b\"c"`, `a.b"c`},
		{"GET / | Cookie: junk;jwt_token =a; \xa0jwt_token\x85=\xa0b", "a b"},
		{"GET / | Cookie: JWT_TOKEN=a", ""},
		{"GET /ws?token=a&%74oken=b%2Ec&TOKEN=d&token", "a b.c "},
		{"GET /x?token=a", ""},
		{"GET /gw/ws?token=a", "a"},
		{"GET / | X-Mcp-Auth: Bearer b | Authorization: Bearer a", "a b"},
	}
	for _, tt := range tests {
		if got := strings.Join(gatewayReads(request(t, tt.request), "X-Mcp-Auth", "/gw"), " "); got != tt.want {
			t.Errorf("%q: reads %q, want %q", tt.request, got, tt.want)
		}
	}
}
