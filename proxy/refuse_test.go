package proxy

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/authz"

	"github.com/golang-jwt/jwt/v5"
)

// forged keeps header and claims of a good token and changes its signature.
func forged(t testing.TB) string {
	good := token(t, nil)
	return good[:strings.LastIndexByte(good, '.')] + "." + strings.Repeat("A", 43)
}

func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// TestEveryReasonIsReachedByARealRequest also looks at status, detail and challenge as a client reads them, and at the
// counter. Nothing refused arrives upstream.
func TestEveryReasonIsReachedByARealRequest(t *testing.T) {
	const invalid = "Invalid authentication credentials"
	denied := filepath.Join(t.TempDir(), "denied")
	write(t, denied, "jti test-id\n")
	seen := map[authz.Reason]bool{}
	for _, row := range []struct {
		reason   authz.Reason
		status   int
		detail   string
		settings []string
		method   string
		target   string
		lines    []string
	}{
		{"method_not_allowed", 405, "Method not allowed", nil, "TRACE", "/tools", nil},
		{"bad_path", 400, "Bad request path", nil, "GET", "/a%2fb|c", nil},
		{"no_token", 401, "Authorization token required", nil, "GET", "/tools", nil},
		{"ambiguous_credential", 400, invalid, nil, "GET", "/tools", []string{bearer(token(t, nil)), bearer(token(t, nil))}},
		{"ambiguous_credential", 401, invalid, nil, "GET", "/tools", []string{`Cookie: jwt_token="` + token(t, nil) + `"`}},
		{"unsupported_scheme", 401, invalid, nil, "GET", "/tools", []string{"Authorization: Basic dXNlcjpwYXNz"}},
		{"too_large", 401, invalid, []string{"ENVGATE_MAX_TOKEN_BYTES=512"}, "GET", "/tools", []string{bearer(strings.Repeat("a", 513))}},
		{"malformed", 401, invalid, nil, "GET", "/tools", []string{bearer("not-a-token")}},
		{"algorithm", 401, invalid, nil, "GET", "/tools", []string{bearer(segment(`{"alg":"none"}`) + "." + segment(`{}`) + ".")}},
		{"signature", 401, invalid, nil, "GET", "/tools", []string{bearer(forged(t))}},
		{"issuer", 401, invalid, nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"iss": "other"}))}},
		{"audience", 401, invalid, nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"aud": "other"}))}},
		{"revoked", 401, "Token has been revoked", []string{"ENVGATE_DENY_LIST=" + denied}, "GET", "/tools", []string{bearer(token(t, nil))}},
		{"limited", 431, "Too many header lines", []string{"ENVGATE_MAX_HEADERS=16"}, "GET", "/tools", slices.Repeat([]string{"X: y"}, 17)},
		{"no_expiry", 401, "Token is missing required expiration claim. Set REQUIRE_TOKEN_EXPIRATION=false to allow.", nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"exp": nil}))}},
		{"expired", 401, "Token has expired", nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"exp": 1}))}},
		{"not_yet_valid", 401, invalid, nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}))}},
		{"no_jti", 401, "Token is missing required JTI claim. Set REQUIRE_JTI=false to allow.", []string{"REQUIRE_JTI=true"}, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"jti": nil}))}},
		{"environment", 401, "Token environment mismatch: token is for 'staging', server is 'production'", nil, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"env": "staging"}))}},
		{"no_environment", 401, "Token carries no environment", []string{"ENVGATE_MISSING_ENVIRONMENT=deny"}, "GET", "/tools", []string{bearer(token(t, jwt.MapClaims{"env": nil}))}},
	} {
		t.Run(string(row.reason), func(t *testing.T) {
			seen[row.reason] = true
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL, row.settings...)
			res, body := s.send(row.method, row.target, "", row.lines...)
			p := decodeProblem(t, body)
			if res.StatusCode != row.status || p.Status != row.status || p.Reason != row.reason || p.Detail != row.detail || p.Title == "" {
				t.Errorf("status %d, body %s", res.StatusCode, body)
			}
			if res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", res.Header)
			}
			challenge := res.Header.Get("WWW-Authenticate")
			switch {
			case row.reason == "no_token" && challenge != `Bearer realm="envgate"`,
				row.status == 401 && row.reason != "no_token" && !strings.HasPrefix(challenge, `Bearer realm="envgate", error="invalid_token", error_description="`):
				t.Errorf("challenge %q", challenge)
			}
			if got := s.value(`envgate_decisions_total{decision="refused",reason="` + string(row.reason) + `"}`); got != "1" {
				t.Errorf("counted %q", got)
			}
			if n := len(u.requests()); n != 0 {
				t.Errorf("the upstream saw %d requests", n)
			}
		})
	}
	for _, r := range authz.Reasons {
		if !seen[r.Reason] && r.Reason != authz.KeysUnavailable && r.Reason != authz.UnknownKey { // of fetched key sets
			t.Errorf("no row reaches %s", r.Reason)
		}
	}
}

func TestBrowsersAreSentToTheLoginPage(t *testing.T) {
	html := "Accept: text/html,application/xhtml+xml"
	for _, row := range []struct {
		name     string
		settings []string
		method   string
		target   string
		lines    []string
		status   int
		location string
		hx       string
	}{
		{"a browser", nil, "GET", "/admin/", []string{html}, 303, "/admin/login", ""},
		{"a browser's form", nil, "POST", "/admin/tools", []string{html}, 303, "/admin/login", ""},
		{"a browser with a foreign cookie", nil, "GET", "/admin/", []string{html, "Cookie: jwt_token=" + token(t, jwt.MapClaims{"env": "staging"})}, 303, "/admin/login", ""},
		{"htmx", nil, "GET", "/admin/x", []string{"HX-Request: true"}, 200, "", "/admin/login"},
		{"below a root path", []string{"APP_ROOT_PATH=/gw"}, "GET", "/gw/admin/", []string{html}, 303, "/gw/admin/login", ""},
		{"not on /mcp", nil, "POST", "/mcp", []string{html}, 401, "", ""},
		{"not on /servers/x/mcp/", nil, "GET", "/servers/x/mcp/", []string{html}, 401, "", ""},
		{"not an API client", nil, "GET", "/admin/", []string{"Accept: */*"}, 401, "", ""},
		{"not a 400", nil, "GET", "/admin/", []string{html, "Authorization: a", "Authorization: b"}, 400, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL, row.settings...)
			res, _ := s.send(row.method, row.target, "", row.lines...)
			if res.StatusCode != row.status || res.Header.Get("Location") != row.location || res.Header.Get("HX-Redirect") != row.hx || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %v", res.StatusCode, res.Header)
			}
			if len(u.requests()) != 0 {
				t.Error("the upstream saw it")
			}
			if !strings.Contains(s.adminGet("/metrics"), `envgate_decisions_total{decision="refused"`) {
				t.Error("not counted as refused")
			}
		})
	}
}

func TestOriginsThatMayReadARefusal(t *testing.T) {
	for _, row := range []struct {
		name        string
		settings    []string
		origin      string
		allow, cred string
	}{
		{"a listed origin", []string{"ALLOWED_ORIGINS=https://app.example.com,https://b.example.com"}, "https://app.example.com", "https://app.example.com", "true"},
		{"a JSON list", []string{`ALLOWED_ORIGINS=["https://app.example.com"]`}, "https://app.example.com", "https://app.example.com", "true"},
		{"without credentials", []string{"ALLOWED_ORIGINS=https://app.example.com", "CORS_ALLOW_CREDENTIALS=false"}, "https://app.example.com", "https://app.example.com", ""},
		{"another origin", []string{"ALLOWED_ORIGINS=https://app.example.com"}, "https://evil.example.com", "", ""},
		{"a suffix is no match", []string{"ALLOWED_ORIGINS=https://app.example.com"}, "https://app.example.com.evil.com", "", ""},
		{"switched off", []string{"ALLOWED_ORIGINS=https://app.example.com", "CORS_ENABLED=false"}, "https://app.example.com", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startSidecar(t, newRecorder(t, nil).URL, row.settings...)
			res, _ := s.get("/tools", "Origin: "+row.origin)
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != row.allow {
				t.Errorf("allow origin %q", got)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); got != row.cred {
				t.Errorf("allow credentials %q", got)
			}
			if off := row.name == "switched off"; (res.Header.Get("Vary") == "Origin") == off {
				t.Errorf("vary %q", res.Header.Get("Vary"))
			}
		})
	}
}

func TestBasicIsOfferedOnlyWhereAllowed(t *testing.T) {
	u := newRecorder(t, nil)
	policy := writeFile(t, "policy.yaml", "basic: [/docs]\ntokens: {cookies: [jwt_token]}\n")
	s := startSidecar(t, u.URL, "ENVGATE_POLICY="+policy)
	res, _ := s.get("/docs", "Accept: text/html")
	if got := res.Header["Www-Authenticate"]; res.StatusCode != 401 || len(got) != 2 || got[1] != `Basic realm="envgate"` {
		t.Errorf("%d %q", res.StatusCode, got)
	}
	if res, _ := s.get("/docs", "Authorization: Basic dTpw"); res.StatusCode != 200 || u.last(t).header.Get("Authorization") != "Basic dTpw" {
		t.Errorf("a lone Basic header: %d", res.StatusCode)
	}
	if res, _ := s.get("/tools", "Authorization: Basic dTpw"); res.StatusCode != 401 {
		t.Errorf("elsewhere: %d", res.StatusCode)
	}
	stale := "Cookie: jwt_token=" + forged(t)
	if res, _ := s.get("/docs", "Authorization: Basic dTpw", stale); res.StatusCode != 200 || u.last(t).header.Get("Cookie") != "" {
		t.Errorf("beside a stale cookie: %d", res.StatusCode)
	}
	good := token(t, nil)
	if res, _ := s.get("/docs", "Authorization: Basic dTpw", "Cookie: jwt_token="+good); res.StatusCode != 200 {
		t.Errorf("beside a good cookie: %d", res.StatusCode)
	} else if h := u.last(t).header; h.Get("Authorization") != "" || h.Get("Cookie") != "jwt_token="+good {
		t.Errorf("beside a good cookie the upstream saw Authorization %q", h.Get("Authorization"))
	}
}

// The document that the gateway serves is the one that challenges name, and nobody needs a token to read it; what lies beside
// it stays protected, for a legacy gateway takes any path that ends in /mcp for its MCP endpoint.
func TestProtectedResourceMetadataOfTheGateway(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("the gateway's")) })
	policy := writeFile(t, "policy.yaml", "protected_resource: {path: /mcp, served_by_gateway: true}\nroutes: []\ntokens: {cookies: [jwt_token]}\n")
	s := startSidecar(t, u.URL, "ENVGATE_PUBLIC_URL=https://gateway.example.org", "ENVGATE_POLICY="+policy, "APP_ROOT_PATH=/gw")
	res, _ := s.get("/gw/mcp")
	_, named, _ := strings.Cut(res.Header.Get("WWW-Authenticate"), `resource_metadata="https://gateway.example.org`)
	const path = "/.well-known/oauth-protected-resource/gw/mcp"
	if named != path+`"` {
		t.Fatalf("the challenge names %q", named)
	}
	for _, row := range []struct {
		name, method, path string
		headers            []string
		status, forwarded  int
	}{
		{"read", "GET", path, nil, 200, 1},
		{"its head", "HEAD", path, nil, 200, 1},
		{"before a browser reads it", "OPTIONS", path, []string{"Origin: https://inspector.example.com", "Access-Control-Request-Method: GET"}, 200, 1},
		{"with a bad token", "GET", path, []string{bearer("x"), "Cookie: jwt_token=x"}, 200, 1},
		{"written to", "POST", path, nil, 401, 0},
		{"below the root path", "GET", "/gw" + path, nil, 401, 0},
		{"with a slash", "GET", path + "/", nil, 401, 0},
		{"another resource", "GET", "/.well-known/oauth-protected-resource/mcp", nil, 401, 0},
		{"a longer path", "GET", path + "/mcp", nil, 401, 0},
		{"another spelling", "GET", "/.well-known/oauth-protected-resource/gw/%6dcp", nil, 401, 0},
		{"an upgrade", "GET", path, []string{"Connection: Upgrade", "Upgrade: websocket"}, 401, 0},
	} {
		before := len(u.requests())
		res, _ := s.send(row.method, row.path, "", row.headers...)
		forwarded := u.requests()[before:]
		if res.StatusCode != row.status || len(forwarded) != row.forwarded {
			t.Errorf("%s: %d, %d requests at the gateway", row.name, res.StatusCode, len(forwarded))
		}
		for _, seen := range forwarded {
			if strings.Contains(fmt.Sprint(seen), "Authorization") || strings.Contains(fmt.Sprint(seen), "jwt_token") {
				t.Errorf("%s: a failing credential reached the gateway: %v", row.name, seen)
			}
		}
	}
	protecting := writeFile(t, "protecting.yaml", "protected_resource: {path: /mcp, served_by_gateway: true}\nroutes: [{prefix: /.well-known/, access: protected}]\n")
	closed := startSidecar(t, u.URL, "ENVGATE_PUBLIC_URL=https://gateway.example.org", "ENVGATE_POLICY="+protecting)
	if res, _ := closed.get("/.well-known/oauth-protected-resource/mcp"); res.StatusCode != 401 {
		t.Errorf("a route that protects it: %d", res.StatusCode)
	}
}

// MCP clients find where to get a token (RFC 9728): by the challenge, and by the document that it names. The address comes
// from the configuration, whatever the request's Host says.
func TestProtectedResourceMetadata(t *testing.T) {
	u := newRecorder(t, nil)
	policy := func(text string) string {
		return "ENVGATE_POLICY=" + writeFile(t, "policy.yaml", "protected_resource: "+text+"\n")
	}
	served := `{path: /mcp, authorization_servers: ["https://login.example.com"], scopes_supported: [tools]}`
	public := "ENVGATE_PUBLIC_URL=https://gateway.example.org"
	s := startSidecar(t, u.URL, public, policy(served))
	res, _ := s.get("/mcp") // whose Host is another
	if got, want := res.Header.Get("WWW-Authenticate"), `Bearer realm="envgate", resource_metadata="https://gateway.example.org/.well-known/oauth-protected-resource/mcp"`; res.StatusCode != 401 || got != want {
		t.Errorf("%d %s, want %s", res.StatusCode, got, want)
	}
	if res, _ := s.get("/mcp", bearer("x")); !strings.HasSuffix(res.Header.Get("WWW-Authenticate"), `resource_metadata="https://gateway.example.org/.well-known/oauth-protected-resource/mcp"`) {
		t.Errorf("with a bad token: %v", res.Header)
	}
	const path = "/.well-known/oauth-protected-resource/mcp"
	res, body := s.get(path, "Origin: https://inspector.example.com")
	want := `{"resource":"https://gateway.example.org/mcp","authorization_servers":["https://login.example.com"],"scopes_supported":["tools"],"bearer_methods_supported":["header"]}`
	if res.StatusCode != 200 || body != want || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	if res, body := s.send("HEAD", path, ""); res.StatusCode != 200 || body != "" || res.ContentLength != int64(len(want)) {
		t.Errorf("HEAD: %d %q %d", res.StatusCode, body, res.ContentLength)
	}
	if res, _ := s.send("OPTIONS", path, "", "Origin: https://inspector.example.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: mcp-protocol-version"); res.StatusCode != 204 {
		t.Errorf("preflight: %d", res.StatusCode)
	}
	for _, other := range []string{"/.well-known/oauth-protected-resource", path + "/x", "/.well-known/oauth-protected-resource/%6dcp", "//.well-known/oauth-protected-resource/mcp"} {
		if res, _ := s.get(other); res.StatusCode != 401 {
			t.Errorf("%s: %d", other, res.StatusCode)
		}
	}
	if res, _ := s.send("POST", path, "{}"); res.StatusCode != 401 {
		t.Errorf("POST: %d", res.StatusCode)
	}
	if n := len(u.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
	below := startSidecar(t, u.URL, public, policy(served), "APP_ROOT_PATH=/gw")
	if res, body := below.get("/.well-known/oauth-protected-resource/gw/mcp"); res.StatusCode != 200 || !strings.Contains(body, `"resource":"https://gateway.example.org/gw/mcp"`) {
		t.Errorf("below /gw: %d %s", res.StatusCode, body)
	}
	if without, _ := startSidecar(t, u.URL).get("/tools"); strings.Contains(without.Header.Get("WWW-Authenticate"), "resource_metadata") {
		t.Errorf("without the section: %v", without.Header)
	}
	whole := startSidecar(t, u.URL, public, policy("{authorization_servers: [https://a]}"))
	for _, row := range []struct {
		name  string
		at    *sidecar
		path  string
		named string // the path of the resource that the challenge names; - for none
	}{
		{"the resource", s, "/mcp", "/mcp"},
		{"with a query", s, "/mcp?x=/y", "/mcp"},
		{"with a slash", s, "/mcp/", "/mcp"},
		{"below it", s, "/mcp/a/b", "/mcp"},
		{"another path", s, "/tools", "-"},
		{"another one's end", s, "/servers/1/mcp", "-"},
		{"a longer segment", s, "/mcpx", "-"},
		{"another spelling", s, "/%6dcp", "-"},
		{"below the root path", below, "/gw/mcp", "/gw/mcp"},
		{"below the root path, which an ingress took off", below, "/mcp/a", "/gw/mcp"},
		{"the root path itself", below, "/gw", "-"},
		{"anything of the whole origin", whole, "/servers/1/mcp", ""},
		{"its start", whole, "/", ""},
	} {
		res, _ := row.at.get(row.path)
		_, named, ok := strings.Cut(res.Header.Get("WWW-Authenticate"), `resource_metadata="https://gateway.example.org/.well-known/oauth-protected-resource`)
		if !ok {
			named = `-"`
		}
		if res.StatusCode != 401 || named != row.named+`"` {
			t.Errorf("%s: %d, %v", row.name, res.StatusCode, res.Header)
		}
	}
	for _, row := range []struct{ name, settings, section, message string }{
		{"without the address", "", served, "protected_resource: needs ENVGATE_PUBLIC_URL, the address that clients know"},
		{"a bad address", "ENVGATE_PUBLIC_URL=https://x:99999", served, `ENVGATE_PUBLIC_URL (--public-url): "https://x:99999": want a DNS name or an IP address, and a port from 1 to 65535 or none, such as https://gateway.example.com:8443`},
		{"an address over http", "ENVGATE_PUBLIC_URL=http://x", served, `protected_resource: ENVGATE_PUBLIC_URL: "http://x": want https, or http on loopback to try it`},
		{"over http on loopback", "ENVGATE_PUBLIC_URL=http://127.0.0.1:4445", served, ""},
		{"a root path with a quote", public + `|APP_ROOT_PATH=/g"w`, served, `protected_resource: APP_ROOT_PATH: "/g?w": want a path without what a URL escapes`},
		{"a relative path", public, "{path: mcp, authorization_servers: [https://a]}", `protected_resource: path: "mcp": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"a quote in the path", public, `{path: '/m"cp', authorization_servers: [https://a]}`, `protected_resource: path: "/m?cp": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"a space in the path", public, "{path: '/m cp', authorization_servers: [https://a]}", `protected_resource: path: "/m cp": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"a query in the path", public, "{path: '/mcp?x', authorization_servers: [https://a]}", `protected_resource: path: "/mcp?x": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"a fragment in the path", public, "{path: '/mcp#y', authorization_servers: [https://a]}", `protected_resource: path: "/mcp#y": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"an umlaut in the path", public, "{path: /ü, authorization_servers: [https://a]}", `protected_resource: path: "/??": want a canonical path that starts with /, without what a URL escapes, or none`},
		{"all that a path may hold", public, "{path: \"/A-z.0_~!$&'()*+,=:@/\", authorization_servers: [https://a]}", ""},
		{"no server", public, "{path: /mcp}", "protected_resource: authorization_servers: missing: want the issuers at which clients get tokens"},
		{"a server over http", public, "{authorization_servers: [http://login.example.com]}", `protected_resource: authorization_servers: "http://login.example.com": want an https address without user, query and fragment`},
		{"a server with a password", public, "{authorization_servers: ['https://user:password@login.example.com']}", `protected_resource: authorization_servers: "https://[secret]@login.example.com": want an https address without user, query and fragment`},
		{"a server with an empty query", public, "{authorization_servers: ['https://login.example.com?']}", `protected_resource: authorization_servers: "https://login.example.com?": want an https address without user, query and fragment`},
		{"a server with an empty fragment", public, "{authorization_servers: ['https://login.example.com#']}", `protected_resource: authorization_servers: "https://login.example.com#": want an https address without user, query and fragment`},
		{"a server on no port", public, "{authorization_servers: ['https://login.example.com:0']}", `protected_resource: authorization_servers: "https://login.example.com:0": want an https address without user, query and fragment`},
		{"two scopes in one", public, "{authorization_servers: [https://a], scopes_supported: ['a b']}", `protected_resource: scopes_supported: "a b": want single scopes, of printable ASCII without space, " and \`},
		{"an empty scope", public, "{authorization_servers: [https://a], scopes_supported: ['']}", `protected_resource: scopes_supported: "": want single scopes, of printable ASCII without space, " and \`},
		{"a scope of other letters", public, "{authorization_servers: [https://a], scopes_supported: [ü]}", `protected_resource: scopes_supported: "??": want single scopes, of printable ASCII without space, " and \`},
		{"all that a scope may hold", public, "{authorization_servers: [https://a], scopes_supported: ['!#[]~', 'tools:read']}", ""},
		{"servers beside the gateway's document", public, "{served_by_gateway: true, authorization_servers: [https://a]}", "protected_resource: served_by_gateway: true, but authorization_servers or scopes_supported is set: what they are is in the gateway's own document: want one of the two"},
		{"scopes beside the gateway's document", public, "{served_by_gateway: true, scopes_supported: [a]}", "protected_resource: served_by_gateway: true, but authorization_servers or scopes_supported is set: what they are is in the gateway's own document: want one of the two"},
	} {
		_, err := authz.Parse(authz.Source{Environ: append(strings.Split(row.settings, "|"), "JWT_SECRET_KEY="+testSecret, policy(row.section))})
		if row.message == "" && err != nil || row.message != "" && (err == nil || !strings.HasSuffix(err.Error(), row.message) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: got %v, want %s", row.name, err, row.message)
		}
	}
}
