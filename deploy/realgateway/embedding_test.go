//go:build realgateway

package realgateway

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// claimed is a token's env claim, "" where it has none, read without a key.
func claimed(t *testing.T, token string) string {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	env, _ := parsed.Claims.(jwt.MapClaims)["env"].(string)
	return env
}

// session is the value of the token cookie that an answer sets.
func (a answer) session(t *testing.T) string {
	t.Helper()
	for _, line := range a.header["Set-Cookie"] {
		if value, ok := strings.CutPrefix(line, "jwt_token="); ok {
			value, _, _ = strings.Cut(value, ";")
			return value
		}
	}
	t.Fatalf("no session cookie in %v", a.header)
	return ""
}

// keysOf are the names in a JSON answer.
func keysOf(a answer) string {
	var m map[string]any
	_ = json.Unmarshal([]byte(a.body), &m)
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

const form = "Content-Type: application/x-www-form-urlencoded"

// A gateway's tokens get this environment's name, work, and are refused at the sidecar of another environment that shares
// the secret: logins, the Admin UI's cookie, API tokens from creation to revocation. What a newer gateway embeds by itself
// stays as it is.
func TestTheGatewaysTokensGetTheirEnvironment(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		production := startSidecar(t, g, "EMBED_ENVIRONMENT_IN_TOKENS=true")
		elsewhere := startSidecar(t, g, "EMBED_ENVIRONMENT_IN_TOKENS=true", "ENVGATE_ENVIRONMENT=staging")
		walkThroughTokens(t, g, production, elsewhere)
		t.Run("a session of before, without env, gets no better one", func(t *testing.T) {
			unbound := login(t, g.url)
			if claimed(t, unbound) != "" {
				return // a release that embeds by itself has none
			}
			if fresh := send(t, production.url, "GET", g.root+"/admin/", "", cookie(unbound), "Accept: text/html").is(t, "admin page", 200).session(t); claimed(t, fresh) != "" {
				t.Error("the cookie is bound")
			}
			if _, token := apiToken(t, production.url, unbound, "unbound "+g.name, ""); claimed(t, token) != "" {
				t.Error("the API token is bound")
			}
		})
		if n := production.metrics(t)[`envgate_tokens_embedded_total{result="unreadable"}`]; n != 0 {
			t.Errorf("%v answers could not be read", n)
		}
	})
}

// The same with keys translated before a gateway that knows only the base secret: now a token of another environment is one
// of another key.
func TestKeysAreTranslatedForTheGateway(t *testing.T) {
	eachInstallation(t, []*installation{legacyInstallation, legacyPrefixed, currentPrefixed}, func(t *testing.T, g *gateway) {
		settings := []string{"EMBED_ENVIRONMENT_IN_TOKENS=true", "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue", "ENVGATE_ACCEPT_BASE_KEY=false"}
		production := startSidecar(t, g, settings...)
		elsewhere := startSidecar(t, g, append(settings, "ENVGATE_ENVIRONMENT=staging")...)
		walkThroughTokens(t, g, production, elsewhere)
		base := login(t, g.url)
		send(t, production.url, "GET", g.root+"/tools", "", bearer(base)).is(t, "a token under the base secret", 401)
		migrating := startSidecar(t, g, settings[:3]...)
		send(t, migrating.url, "GET", g.root+"/tools", "", bearer(base)).is(t, "the same while migrating", 200)
		m := production.metrics(t)
		if m[`envgate_translated_tokens_total{direction="inbound"}`] == 0 || m[`envgate_translated_tokens_total{direction="outbound"}`] == 0 {
			t.Error("nothing was translated")
		}
	})
}

// walkThroughTokens takes every kind of token from its making to its end.
func walkThroughTokens(t *testing.T, g *gateway, production, elsewhere *sidecar) {
	works := func(t *testing.T, token string) {
		t.Helper()
		if env := claimed(t, token); env != "production" {
			t.Errorf("env is %q", env)
		}
		send(t, production.url, "GET", g.root+"/tools", "", bearer(token)).is(t, "here", 200) // 1.0.7 takes no cookie there
		for _, credential := range []string{bearer(token), cookie(token)} {
			send(t, elsewhere.url, "GET", g.root+"/tools", "", credential).is(t, "elsewhere", 401)
		}
	}
	var session string
	for _, path := range []string{"/auth/login", "/auth/email/login"} {
		t.Run(path, func(t *testing.T) {
			a := send(t, production.url, "POST", g.root+path, loginBody, "Accept-Encoding: gzip, br").is(t, "login", 200)
			session = a.text(t, "access_token")
			works(t, session)
			if got, want := keysOf(a), keysOf(send(t, g.url, "POST", g.root+path, loginBody).is(t, "directly", 200)); got != want {
				t.Errorf("fields %s, directly %s", got, want)
			}
		})
	}
	t.Run("the Admin UI's cookie", func(t *testing.T) {
		a := send(t, production.url, "POST", g.root+"/admin/login", "email="+strings.ReplaceAll(adminEmail, "@", "%40")+"&password="+adminPassword, form).is(t, "login", 303)
		first := a.session(t)
		works(t, first)
		fresh := send(t, production.url, "GET", g.root+"/admin/", "", cookie(first), "Accept: text/html").is(t, "the page", 200).session(t)
		works(t, fresh)
	})
	t.Run("an API token", func(t *testing.T) {
		id, token := apiToken(t, production.url, session, "bound "+production.url, "")
		works(t, token)
		send(t, production.url, "GET", "/tokens/"+id, "", bearer(session)).is(t, "its record", 200)
		if list := send(t, production.url, "GET", "/tokens", "", bearer(session)).is(t, "the list", 200); !strings.Contains(list.body, id) {
			t.Error("the list doesn't have it")
		}
		revoked := 401
		if g.release == legacy {
			revoked = 200 // revocation is broken there, with and without the sidecar
		}
		send(t, production.url, "DELETE", "/tokens/"+id, "", bearer(session)).is(t, "revocation", 204)
		send(t, production.url, "GET", "/tools", "", bearer(token)).is(t, "revoked", revoked)
	})
	t.Run("a browser, from login to logout", func(t *testing.T) {
		page := visit(t, g, production.url)
		if page.heading != "Gateway Administration" || page.tools != 200 || claimed(t, page.cookie) != "production" {
			t.Errorf("heading %q, tools %d, cookie of %q", page.heading, page.tools, claimed(t, page.cookie))
		}
		if !page.loggedOut {
			t.Error("the session is still there after logging out")
		}
	})
}
