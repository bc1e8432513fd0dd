//go:build realgateway

package realgateway

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What 0.9.0 leaves open to anybody is closed behind the sidecar.
func TestOpenWithoutToken(t *testing.T) {
	g := legacyInstallation.start(t)
	for _, row := range []struct {
		name, method, path, body, header string
		direct                           int
	}{
		{"MCP below a double slash", "POST", "/mcp//", toolsList, acceptMCP, 200},
		{"MCP with anything behind it", "POST", "/mcp/x", toolsList, acceptMCP, 200},
		{"the gateway's metrics", "GET", "/metrics/prometheus", "", "Accept: */*", 200},
		{"the OAuth status, which looks the gateway up", "GET", "/oauth/status/x", "", "Accept: */*", 404},
		{"registration, which hands out a token", "POST", "/auth/email/register", registration(), "Accept: */*", 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			send(t, g.url, row.method, row.path, row.body, row.header).is(t, "direct", row.direct)
			g.sidecar.counts(t, func() {
				a := send(t, g.sidecar.url, row.method, row.path, row.body, row.header).is(t, "behind", 401)
				if got := a.text(t, "reason"); got != "no_token" {
					t.Errorf("reason %q", got)
				}
			}, refused("no_token"))
		})
	}
	t.Run("the reverse proxy's WebSocket", func(t *testing.T) {
		if status := dial(t, g.url+"/reverse-proxy/ws"); status != 101 {
			t.Errorf("direct: %d, want 101", status)
		}
		if status := dial(t, g.sidecar.url+"/reverse-proxy/ws"); status != 401 {
			t.Errorf("behind: %d, want 401", status)
		}
	})
}

func registration() string {
	return fmt.Sprintf(`{"email":"new-%d@example.com","password":"N3w-Passw0rd!x","full_name":"New"}`, time.Now().UnixNano())
}

// 0.9.0 serves MCP at every path that ends in /mcp, below what looks public too.
func TestMCPBelowPublicPrefix(t *testing.T) {
	g := legacyInstallation.start(t)
	foreign := staging(t, login(t, g.url))
	for _, path := range []string{"/static/mcp", "/auth/sso/login/mcp", "/.well-known/x/mcp", "/x%2fmcp"} {
		t.Run(path, func(t *testing.T) {
			send(t, g.url, "POST", path, toolsList, acceptMCP, bearer(foreign)).is(t, "direct", 200)
			send(t, g.sidecar.url, "POST", path, toolsList, acceptMCP, bearer(foreign)).is(t, "staging token behind", 401)
			send(t, g.sidecar.url, "POST", path, toolsList, acceptMCP).is(t, "no token behind", 401)
		})
	}
	t.Run("a GET below /static/ that ends in /mcp isn't public", func(t *testing.T) {
		a := send(t, g.sidecar.url, "GET", "/static/mcp", "", acceptMCP).is(t, "behind", 401)
		if got := a.text(t, "reason"); got != "no_token" { // the gateway's own 401 has none
			t.Errorf("reason %q", got)
		}
	})
}

// Both releases believe the leftmost X-Forwarded-For, so that a client picks the address that its token is tied to.
func TestSpoofedAddress(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		_, tied := apiToken(t, g.url, login(t, g.url), "tied", `"ip_restrictions":["10.9.8.7/32"]`)
		send(t, g.url, "GET", "/tools", "", bearer(tied)).is(t, "direct, from elsewhere", 403)
		for _, spoof := range []string{"X-Forwarded-For: 10.9.8.7", "X-Forwarded-For: 10.9.8.7, 127.0.0.1", "X-Real-IP: 10.9.8.7"} {
			t.Run(spoof, func(t *testing.T) {
				if g.release == legacy || spoof[2] == 'F' {
					send(t, g.url, "GET", "/tools", "", bearer(tied), spoof).is(t, "direct", 200)
				}
				send(t, g.sidecar.url, "GET", "/tools", "", bearer(tied), spoof).is(t, "behind", 403)
			})
		}
		t.Run("a trusted proxy's word counts", func(t *testing.T) {
			trusting := startSidecar(t, g, "ENVGATE_TRUSTED_PROXIES=private")
			defer trusting.stop()
			send(t, trusting.url, "GET", "/tools", "", bearer(tied), "X-Forwarded-For: 10.9.8.7").is(t, "behind", 200)
		})
	})
}

// A browser sends cookies of other environments on the same host by itself, and on some paths the gateway believes the
// cookie before the header.
func TestForeignCookieBesideHeader(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		own := login(t, g.url)
		foreign := staging(t, own)
		expired := resign(t, own, jwt.MapClaims{"env": "staging", "iat": 1, "exp": 2})
		for _, row := range []struct{ method, path, body string }{{"GET", "/version", ""}, {"POST", "/rpc", toolsList}} {
			ask := func(base string, headers ...string) answer {
				return send(t, base, row.method, row.path, row.body, headers...)
			}
			if g.release == legacy {
				t.Run("directly the cookie decides on "+row.path, func(t *testing.T) {
					ask(g.url, bearer("junk"), cookie(foreign)).is(t, "junk header, foreign cookie", 200)
					ask(g.url, bearer(own), cookie(expired)).is(t, "good header, expired cookie", 401)
				})
			}
			t.Run("behind the sidecar the header decides on "+row.path, func(t *testing.T) {
				ask(g.sidecar.url, bearer("junk"), cookie(foreign)).is(t, "junk header, foreign cookie", 401)
				g.sidecar.counts(t, func() {
					ask(g.sidecar.url, bearer(own), cookie(foreign)).is(t, "good header, foreign cookie", 200)
				}, removed("environment"), foreignRemoved)
				g.sidecar.counts(t, func() {
					ask(g.sidecar.url, bearer(own), cookie(expired)).is(t, "good header, expired cookie", 200)
				}, removed("expired"), foreignRemoved)
			})
		}
	})
}

// On /ws 0.9.0 believes a token in the query before the one in the header.
func TestForeignTokenInQuery(t *testing.T) {
	g := legacyInstallation.start(t)
	own := login(t, g.url)
	foreign := staging(t, own)
	if status := dial(t, g.url+"/ws?token="+foreign, bearer(own)); status != 101 {
		t.Errorf("direct: %d, want 101", status)
	}
	if status := dial(t, g.url+"/ws?token=junk", bearer(own)); status == 101 {
		t.Error("direct: the header wins over the query")
	}
	for _, query := range []string{"?token=", "?x=1&token=", "?token=" + own + "&token=", "?%74oken="} {
		g.sidecar.counts(t, func() {
			if status := dial(t, g.sidecar.url+"/ws"+query+foreign, bearer(own)); status != 401 {
				t.Errorf("behind, %.12s: %d, want 401", query, status)
			}
		}, refused("environment"), foreignRefused)
	}
	if status := dial(t, g.sidecar.url+"/ws?token="+own, bearer(own)); status != 101 {
		t.Errorf("behind, good tokens in both: %d, want 101", status)
	}
}
