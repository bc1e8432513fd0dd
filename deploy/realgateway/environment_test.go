//go:build realgateway

package realgateway

import (
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const mismatch = "Token environment mismatch: token is for 'staging', server is 'production'"

// The product's point: one shared secret makes a staging token work in production, and the sidecar stops it.
func TestForeignEnvironment(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		own := login(t, g.url)
		foreign := staging(t, own)

		t.Run("a staging token, directly", func(t *testing.T) {
			want := 401
			if g.accepts {
				want = 200
			}
			send(t, g.url, "GET", "/tools", "", bearer(foreign)).is(t, "tools", want)
		})
		t.Run("a staging token is refused and counted", func(t *testing.T) {
			g.sidecar.counts(t, func() {
				a := send(t, g.sidecar.url, "GET", "/tools", "", bearer(foreign)).is(t, "tools", 401)
				if got := a.header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("content type %q", got)
				}
				if got := a.header.Get("Cache-Control"); got != "no-store" {
					t.Errorf("cache control %q", got)
				}
				if got := a.text(t, "reason"); got != "environment" {
					t.Errorf("reason %q", got)
				}
				if got := a.text(t, "detail"); got != mismatch {
					t.Errorf("detail %q", got)
				}
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="envgate", error="invalid_token", error_description="`) {
					t.Errorf("challenge %q", got)
				}
			}, foreignRefused, refused("environment"))
		})
		t.Run("a staging session in the cookie is refused and counted", func(t *testing.T) {
			g.sidecar.counts(t, func() {
				send(t, g.sidecar.url, "GET", "/tools", "", cookie(foreign)).is(t, "tools", 401)
			}, foreignRefused, refused("environment"))
		})
		t.Run("a staging token reaches neither MCP nor a WebSocket", func(t *testing.T) {
			send(t, g.sidecar.url, "POST", "/mcp/", toolsList, acceptMCP, bearer(foreign)).is(t, "mcp", 401)
			send(t, g.sidecar.url, "GET", "/sse", "", bearer(foreign)).is(t, "sse", 401)
			if status := dial(t, g.sidecar.url+"/ws", bearer(foreign)); status != 401 {
				t.Errorf("ws: %d, want 401", status)
			}
		})
		t.Run("a token without env and one of production pass", func(t *testing.T) {
			send(t, g.sidecar.url, "GET", "/tools", "", bearer(own)).is(t, "as issued", 200)
			if g.release == legacy || g.accepts {
				send(t, g.sidecar.url, "GET", "/tools", "", bearer(resign(t, own, jwt.MapClaims{"env": nil}))).is(t, "null", 200)
			}
			send(t, g.sidecar.url, "GET", "/tools", "", bearer(resign(t, own, jwt.MapClaims{"env": "production"}))).is(t, "production", 200)
		})
		t.Run("an unknown environment is counted as other", func(t *testing.T) {
			g.sidecar.counts(t, func() {
				send(t, g.sidecar.url, "GET", "/tools", "", bearer(resign(t, own, jwt.MapClaims{"env": "qa-7"}))).is(t, "tools", 401)
			}, strings.Replace(foreignRefused, "staging", "other", 1))
		})
	})
}

// Report mode is the first step of a roll-out: it changes nothing for anybody, and counts.
func TestReportMode(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		report := startSidecar(t, g, "ENVGATE_MODE=report")
		defer report.stop()
		foreign := staging(t, login(t, g.url))
		report.counts(t, func() {
			direct := send(t, g.url, "GET", "/tools", "", bearer(foreign))
			send(t, report.url, "GET", "/tools", "", bearer(foreign)).is(t, "as without the sidecar", direct.status)
		}, foreignReported, `envgate_decisions_total{decision="reported",reason="environment"}`)
		if g.accepts {
			send(t, report.url, "GET", "/tools", "", bearer(foreign)).is(t, "staging token in report mode", 200)
		}
	})
}

// Once the gateway's tokens name their environment, those that don't can be refused.
func TestMissingEnvironment(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		strict := startSidecar(t, g, "ENVGATE_MISSING_ENVIRONMENT=deny")
		defer strict.stop()
		own := login(t, g.url)
		unnamed, named := resign(t, own, jwt.MapClaims{"env": nil}), resign(t, own, jwt.MapClaims{"env": "production"})
		strict.counts(t, func() {
			a := send(t, strict.url, "GET", "/tools", "", bearer(unnamed)).is(t, "token without env", 401)
			if got := a.text(t, "reason"); got != "no_environment" {
				t.Errorf("reason %q", got)
			}
		}, refused("no_environment"), `envgate_tokens_without_environment_total{issuer="mcpgateway"}`)
		send(t, strict.url, "GET", "/tools", "", bearer(named)).is(t, "token of production", 200)
	})
}
