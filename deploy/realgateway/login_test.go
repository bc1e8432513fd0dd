//go:build realgateway

package realgateway

import "testing"

func TestLogin(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		for _, path := range []string{g.root + "/auth/login", g.root + "/auth/email/login"} {
			t.Run(path+" hands out a token that works", func(t *testing.T) {
				token := send(t, g.sidecar.url, "POST", path, loginBody).is(t, "login", 200).text(t, "access_token")
				send(t, g.sidecar.url, "GET", g.root+"/tools", "").is(t, "tools without the token", 401)
				send(t, g.sidecar.url, "GET", g.root+"/tools", "", bearer(token)).is(t, "tools with the token", 200)
			})
			t.Run(path+" with a wrong password is answered as without the sidecar", func(t *testing.T) {
				wrong := `{"email":"` + adminEmail + `","password":"wrong"}`
				direct := send(t, g.url, "POST", path, wrong)
				send(t, g.sidecar.url, "POST", path, wrong).is(t, "wrong password", direct.status)
			})
		}
		t.Run("a stale or foreign cookie doesn't lock out of the login page", func(t *testing.T) {
			foreign := staging(t, login(t, g.url))
			g.sidecar.counts(t, func() {
				send(t, g.sidecar.url, "GET", g.root+"/admin/login", "", cookie(foreign)).is(t, "login page", 200)
			}, removed("environment"), foreignRemoved)
		})
	})
}

// Public routes answer as without the sidecar: status, headers and body.
func TestPublicRoutes(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		for _, path := range []string{
			"/", "/health", "/ready", "/favicon.ico", "/admin/login", "/.well-known/robots.txt", "/.well-known/security.txt",
			"/static/contextforge-logo.png", "/static/favicon.ico", "/static/admin.css", "/static/none", "/oauth/callback",
		} {
			t.Run("GET "+path, func(t *testing.T) {
				if a := sameBehind(t, g, g.root+path); a.status == 401 {
					t.Error("not public")
				}
			})
		}
		t.Run("HEAD /static/contextforge-logo.png", func(t *testing.T) {
			send(t, g.sidecar.url, "HEAD", "/static/contextforge-logo.png", "").is(t, "behind", send(t, g.url, "HEAD", "/static/contextforge-logo.png", "").status)
		})
		t.Run("a CORS preflight", func(t *testing.T) {
			preflight := []string{"Origin: http://localhost:3000", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"}
			direct := send(t, g.url, "OPTIONS", "/tools", "", preflight...)
			behind := send(t, g.sidecar.url, "OPTIONS", "/tools", "", preflight...).is(t, "behind", direct.status)
			if name := "Access-Control-Allow-Origin"; behind.header.Get(name) != direct.header.Get(name) {
				t.Errorf("%s %q, want %q", name, behind.header.Get(name), direct.header.Get(name))
			}
		})
	})
}

// The Admin UI of the gateway sends odd auth headers beside its cookie.
func TestAdminHeaders(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		session := cookie(login(t, g.sidecar.url))
		for _, odd := range []string{"Authorization:", "Authorization: Bearer ", "Authorization: Basic junk", "Authorization: Basic", "HX-Request: true"} {
			for _, path := range []string{g.root + "/admin/", g.root + "/admin/tools", g.root + "/tools"} {
				t.Run(odd+" on "+path, func(t *testing.T) {
					send(t, g.url, "GET", path, "", session, odd, "Accept: text/html").is(t, "direct", 200)
					send(t, g.sidecar.url, "GET", path, "", session, odd, "Accept: text/html").is(t, "behind", 200)
				})
			}
		}
		t.Run("without a session a page goes to the login page, as without the sidecar", func(t *testing.T) {
			a := send(t, g.sidecar.url, "GET", g.root+"/admin/", "", "Accept: text/html").is(t, "page", 303)
			if at := a.header.Get("Location"); at != g.root+"/admin/login" {
				t.Errorf("location %q", at)
			}
			a = send(t, g.sidecar.url, "GET", g.root+"/admin/", "", "Accept: text/html", "HX-Request: true").is(t, "part of a page", 200)
			if at := a.header.Get("HX-Redirect"); at != g.root+"/admin/login" {
				t.Errorf("HX-Redirect %q", at)
			}
		})
	})
}
