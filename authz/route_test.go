package authz

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRoutes(t *testing.T) {
	tests := []struct{ request, want string }{
		{"GET /", "/"},
		{"HEAD /", "/"},
		{"GET /health", "/health"},
		{"GET /ready", "/ready"},
		{"GET /favicon.ico", "/favicon.ico"},
		{"GET /static/", "/static/*"},
		{"GET /static/js/app.js?v=1", "/static/*"},
		{"GET /static/a%20b%c3%a9.css", "/static/*"},
		{"GET /admin/login", "/admin/login"},
		{"POST /admin/login", "/admin/login"},
		{"POST /admin/logout", "/admin/logout"},
		{"GET /admin/forgot-password", "/admin/forgot-password"},
		{"POST /admin/reset-password/abc", "/admin/reset-password/*"},
		{"POST /auth/login", "/auth/login"},
		{"POST /auth/email/login", "/auth/email/login"},
		{"POST /auth/email/forgot-password", "/auth/email/forgot-password"},
		{"GET /auth/email/reset-password/abc", "/auth/email/reset-password/*"},
		{"GET /auth/sso/providers", "/auth/sso/providers"},
		{"GET /auth/sso/login/github", "/auth/sso/login/*"},
		{"GET /auth/sso/callback/github?code=x", "/auth/sso/callback/*"},
		{"POST /v1/auth/login", "/v1/auth/login"},
		{"POST /v1/auth/email/login", "/v1/auth/email/login"},
		{"POST /v1/auth/email/forgot-password", "/v1/auth/email/forgot-password"},
		{"POST /v1/auth/email/reset-password/abc", "/v1/auth/email/reset-password/*"},
		{"GET /v1/auth/sso/providers", "/v1/auth/sso/providers"},
		{"GET /v1/auth/sso/callback/github", "/v1/auth/sso/callback/*"},
		{"GET /oauth/callback", "/oauth/callback"},
		{"GET /.well-known/robots.txt", "/.well-known/robots.txt"},
		{"GET /.well-known/security.txt", "/.well-known/security.txt"},
		{"GET /.well-known/openid-configuration", "/.well-known/openid-configuration"},
		{"GET /.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server"},
		{"GET /.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"},
		{"OPTIONS /tools | Origin: x | Access-Control-Request-Method: GET", "preflight"},
		{"OPTIONS /mcp | Origin: | Access-Control-Request-Method: ", "preflight"},

		{"POST /", ""},
		{"PUT /health", ""},
		{"get /health", ""},
		{"GET /healthz", ""},
		{"GET /health/security", ""},
		{"GET /Health", ""},
		{"GET /static", ""},
		{"GET /staticx/a", ""},
		{"GET /static/mcp", ""},
		{"GET /static/x/mcp/", ""},
		{"GET /static/%6Dcp", ""},
		{"GET /static//a", ""},
		{"GET /static/./a", ""},
		{"GET /static/../a", ""},
		{"GET /static/%2e/a", ""},
		{"GET /static/a%2fb", ""},
		{"GET /static/a%5cb", ""},
		{"GET /static/a;b", ""},
		{"GET /static/a%3bb", ""},
		{"GET /static/%41", ""},
		{"GET /static/%00", ""},
		{"GET /admin/", ""},
		{"GET /admin", ""},
		{"GET /admin/login/", ""},
		{"GET /auth/login", ""},
		{"POST /auth/email/register", ""},
		{"POST /v1/auth/email/register", ""},
		{"POST /auth/sso/login/github", ""},
		{"GET /auth/sso/login", ""},
		{"GET /metrics/prometheus", ""},
		{"GET /oauth/status/1", ""},
		{"GET /.well-known/other", ""},
		{"GET /.well-known/oauth-protected-resource/servers/1/mcp", ""},
		{"POST /.well-known/robots.txt", ""},
		{"GET /gw/health", ""},
		{"GET /health | Connection: upgrade | Upgrade: websocket", ""},
		{"GET /health | Connection: upgrade | Upgrade: WebSocket", ""},
		{"OPTIONS /health", ""},
		{"OPTIONS /tools | Origin: x | Access-Control-Request-Method: GET | Upgrade: websocket", ""},
		{"OPTIONS /tools | Origin: x | Access-Control-Request-Method: GET | Upgrade: h2c", ""},
	}
	g := newGuard(t)
	for _, tt := range tests {
		t.Run(tt.request, func(t *testing.T) {
			d := g.Check(request(t, tt.request))
			outcome, route := Public, tt.want
			if tt.want == "" {
				outcome, route = Refused, "protected"
			}
			if d.Outcome != outcome || d.Route != route {
				t.Errorf("%s by %s, want %s by %s", d.Outcome, d.Route, outcome, route)
			}
		})
	}
}

// Routes hold with and without APP_ROOT_PATH.
func TestRootPath(t *testing.T) {
	tests := []struct {
		request string
		want    string
	}{
		{"GET /health", "public"},
		{"GET /gw/health", "public"},
		{"GET /gw/", "public"},
		{"GET /gw", "public"},
		{"GET /gw/static/a", "public"},
		{"GET /gwx/health", "no_token"},
		{"GET /gw/gw/health", "no_token"},
		{"GET /gw//health", "no_token"},
		{"GET /gw/static/mcp", "no_token"},
		{"GET /gw%2fhealth", "no_token"},
		{"GET /%67w/health", "no_token"},
		{"GET /gw/ws?token={foreign} | Authorization: Bearer {good}", "environment"},
		{"GET /%67w/ws?token={foreign} | Authorization: Bearer {good}", "environment"},
		{"GET /ws?token={foreign} | Authorization: Bearer {good}", "environment"},
		{"GET /gw/x/ws?token={foreign} | Authorization: Bearer {good}", "accepted"},
	}
	g := newGuard(t, "APP_ROOT_PATH=/gw")
	for _, tt := range tests {
		if d := g.Check(request(t, tt.request)); said(d) != tt.want {
			t.Errorf("%s: %s, want %s", tt.request, said(d), tt.want)
		}
	}
}

// In a policy, protected wins over public, whatever the order and the kind of route.
func TestProtectedWins(t *testing.T) {
	tests := []struct{ request, want string }{
		{"GET /open/a", "public"},
		{"HEAD /open/a", "public"},
		{"GET /open/closed", "no_token"},
		{"GET /open/closed/", "public"},
		{"GET /open/vault/a", "no_token"},
		{"GET /open/vault", "public"},
		{"GET /open/a.key", "no_token"},
		{"GET /open/a.keys", "public"},
		{"POST /open/a", "no_token"},
		{"GET /elsewhere", "no_token"},
	}
	g := newGuard(t, "ENVGATE_POLICY=testdata/policies/with-basic.yaml")
	rooted := newGuard(t, "ENVGATE_POLICY=testdata/policies/with-basic.yaml", "APP_ROOT_PATH=/gw")
	for _, tt := range tests {
		if d := g.Check(request(t, tt.request)); said(d) != tt.want {
			t.Errorf("%s: %s, want %s", tt.request, said(d), tt.want)
		}
		below := strings.Replace(tt.request, " /", " /gw/", 1)
		if d := rooted.Check(request(t, below)); said(d) != tt.want {
			t.Errorf("%s: %s, want %s", below, said(d), tt.want)
		}
	}
}

// A path is forwarded only if Go sends the very bytes that were judged.
func TestUnsendablePaths(t *testing.T) {
	tests := []struct{ request, want string }{
		{"GET /a%2fb|c", "bad_path"},
		{"GET /a|b", "bad_path"},
		{"GET /a%7Cb", "no_token"},
		{"GET /\xe9", "bad_path"},
		{"GET /%c3%a9", "no_token"},
		{"GET /a\\b", "bad_path"},
		{"GET /a\"b", "bad_path"},
		{"GET /a#b", "bad_path"},
		{"GET /a^b", "bad_path"},
		{"GET /[x]/:y@z,(1)!*'$&+=~", "no_token"},
		{"GET /a?|\\\"#^", "no_token"},
		{"GET http://other.example.com/health", "public"},
		{"GET http://other.example.com/tools", "no_token"},
		{"GET http://other.example.com/a|b", "bad_path"},
		{"GET http://other.example.com", "public"},
		{"GET http://other.example.com?x=/tools", "public"},
		{"GET foo:bar", "bad_path"},
		{"GET foo:bar://x", "bad_path"},
		{"GET foo:bar://x?token=1", "bad_path"},
		{"GET foo:bar://x/health", "bad_path"},
		{"OPTIONS *", "no_token"},
	}
	g := newGuard(t)
	for _, tt := range tests {
		if d := g.Check(request(t, tt.request)); said(d) != tt.want {
			t.Errorf("%s: %s, want %s", tt.request, said(d), tt.want)
		}
	}
}

// A request that did not come from a server has no RequestURI: its path is judged as it would be sent.
func TestRequestsWithoutRequestURI(t *testing.T) {
	g := newGuard(t)
	for path, want := range map[string]string{"/health": "public", "/health/../tools": "no_token"} {
		r := request(t, "GET "+path)
		r.RequestURI = ""
		if d := g.Check(r); said(d) != want {
			t.Errorf("%s: %s, want %s", path, said(d), want)
		}
	}
}

func TestPreflight(t *testing.T) {
	tests := []struct {
		name, request string
		want          bool
	}{
		{"as browsers send it", "OPTIONS /x | Origin: https://a.example | Access-Control-Request-Method: POST", true},
		{"another method", "GET /x | Origin: https://a.example | Access-Control-Request-Method: POST", false},
		{"a lower-case method", "options /x | Origin: https://a.example | Access-Control-Request-Method: POST", false},
		{"no origin", "OPTIONS /x | Access-Control-Request-Method: POST", false},
		{"no requested method", "OPTIONS /x | Origin: https://a.example", false},
		{"two origins", "OPTIONS /x | Origin: a | Origin: b | Access-Control-Request-Method: POST", false},
		{"two requested methods", "OPTIONS /x | Origin: a | Access-Control-Request-Method: GET | Access-Control-Request-Method: GET", false},
		{"origin named in Connection", "OPTIONS /x | Connection: Origin | Origin: a | Access-Control-Request-Method: GET", false},
		{"method named in Connection", "OPTIONS /x | Connection: close | Connection: x, access-control-request-method | Origin: a | Access-Control-Request-Method: GET", false},
		{"an upgrade", "OPTIONS /x | Upgrade: websocket | Origin: a | Access-Control-Request-Method: GET", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := IsPreflight(request(t, tt.request)); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestWebSocket(t *testing.T) {
	for line, want := range map[string]bool{
		"GET / | Upgrade: websocket": true, "GET / | Upgrade: WEBSOCKET ": true,
		"GET /": false, "GET / | Upgrade: h2c": false, "GET / | Upgrade: websocket, h2c": false, "GET / | Upgrade: websocket/13": false,
		"GET / | Upgrade: websocket | Upgrade: websocket": false, "GET / | Upgrade: ": false,
	} {
		if got := WebSocket(request(t, line).Header); got != want {
			t.Errorf("%s: %t", line, got)
		}
	}
}

func TestHostsThatGoWouldChange(t *testing.T) {
	g := newGuard(t)
	for _, row := range []struct {
		host string
		ok   bool
	}{
		{"gateway.example.com", true}, {"gateway.example.com:4444", true}, {"127.0.0.1:4444", true}, {"[::1]:4444", true}, {"[fe80::1]", true}, {"a_b-c~d", true},
		{"a%20b", true}, {"A.B", true}, {"", true},
		{"[fe80::1%25eth0]:4444", false}, {"%5b[", false}, {"h/admin", false}, {`h"x`, false}, {"h x", false}, {"h?x", false}, {"h#x", false}, {`h\x`, false}, {"<h>", false}, {"h\tx", false},
		{"h\x00", false}, {"http://evil", false}, {"h\u00e4", false}, {"\xe4", false}, {"h|x", false}, {"h^x", false}, {"h`x", false}, {"{h}", false}, {"user@h", false},
	} {
		r := request(t, "GET /health")
		r.Host = row.host
		if d := g.Check(r); (d.Reason == BadPath) == row.ok {
			t.Errorf("%q: %s", row.host, d.Reason)
		}
	}
}

// Whatever host is let through, net/http writes it as it is.
func TestHostsGoOnUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`[ -~\x80-\xff\x00-\x1f]{1,12}|\[?[0-9a-f:%]{1,12}\]?(:[0-9]{1,3})?`).Draw(t, "host")
		if !sendableHost(host) {
			return
		}
		var out bytes.Buffer
		r := &http.Request{Method: "GET", Host: host, URL: &url.URL{Path: "/"}}
		if err := r.Write(&out); err != nil || !strings.Contains(out.String(), "\r\nHost: "+host+"\r\n") {
			t.Errorf("%q goes on as %q, %v", host, out.String(), err)
		}
	})
}
