//go:build realgateway

package realgateway

import "testing"

// apiToken makes an API token through base and returns its id and the token.
func apiToken(t *testing.T, base, session, name, scope string) (string, string) {
	t.Helper()
	a := send(t, base, "POST", "/tokens", `{"name":"`+name+`","expires_in_days":1,"scope":{`+scope+`}}`, bearer(session)).is(t, "POST /tokens", 201)
	return a.text(t, "token.id"), a.text(t, "access_token")
}

// An API token is made, used and revoked through the sidecar as without it. That a revoked one still works is 0.9.0's
// own fault, and the same on both ways.
func TestAPITokens(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		session := login(t, g.sidecar.url)
		revoked := 401
		if g.release == legacy {
			revoked = 200
		}
		for _, way := range []struct{ name, url string }{{"without the sidecar", g.url}, {"with the sidecar", g.sidecar.url}} {
			t.Run(way.name, func(t *testing.T) {
				id, token := apiToken(t, way.url, session, "life "+way.name, "")
				send(t, way.url, "GET", "/tools", "", bearer(token)).is(t, "new token", 200)
				send(t, way.url, "GET", "/tokens/"+id, "", bearer(session)).is(t, "its record", 200)
				send(t, way.url, "DELETE", "/tokens/"+id, "", bearer(session)).is(t, "revocation", 204)
				send(t, way.url, "GET", "/tools", "", bearer(token)).is(t, "revoked token", revoked)
			})
		}
	})
}
