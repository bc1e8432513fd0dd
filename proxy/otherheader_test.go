package proxy

import (
	"strings"
	"testing"
	"time"

	"envgate/authz"

	"github.com/golang-jwt/jwt/v5"
)

// TestAuthorizationBesideAnotherAuthHeader: a legacy gateway ignores AUTH_HEADER_NAME and reads Authorization.
func TestAuthorizationBesideAnotherAuthHeader(t *testing.T) {
	good, foreign := token(t, nil), token(t, jwt.MapClaims{"env": "staging"})
	const other = "additional-secret-0123456789abcdefghijkl"
	rotated, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "mcpgateway", "aud": "mcpgateway-api", "exp": 4e9, "env": "production"}).SignedString([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		target string
		lines  []string
		status int
		want   string // Authorization as the upstream saw it; "*" for any other token
	}{
		{"an opaque token is the upstream's", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Bearer opaque"}, 200, "Bearer opaque"},
		{"Basic is the upstream's", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Basic dTpw"}, 200, "Basic dTpw"},
		{"a good token passes", "/tools", []string{"X-Gw-Auth: Bearer " + good, bearer(good)}, 200, "Bearer " + good},
		{"a foreign one refuses", "/tools", []string{"X-Gw-Auth: Bearer " + good, bearer(foreign)}, 401, ""},
		{"a good token goes on without what was trimmed", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: bearer  " + good + "\xa0"}, 200, "Bearer " + good},
		{"a foreign one behind the scheme twice refuses", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Bearer Bearer " + foreign}, 401, ""},
		{"a foreign one with the scheme inside refuses", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Bearer " + foreign[:9] + "Bearer " + foreign[9:]}, 401, ""},
		{"an opaque one behind the scheme twice is the upstream's", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Bearer Bearer opaque"}, 200, "Bearer Bearer opaque"},
		{"a good one admits nothing", "/tools", []string{bearer(good)}, 401, ""},
		{"a foreign one is removed on a public route", "/health", []string{bearer(foreign)}, 200, ""},
		{"named in Connection it goes on as judged", "/tools", []string{"X-Gw-Auth: Bearer " + good, "Authorization: Basic dTpw", "Connection: Authorization"}, 200, "Basic dTpw"},
		{"one under the additional key is signed again", "/tools", []string{"X-Gw-Auth: Bearer " + good, bearer(rotated)}, 200, "*"},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL, "AUTH_HEADER_NAME=X-Gw-Auth", "ENVGATE_ADDITIONAL_SECRET_KEY="+other)
			res, body := s.get(row.target, row.lines...)
			if res.StatusCode != row.status {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			if row.status != 200 {
				if len(u.requests()) != 0 {
					t.Error("the upstream saw it")
				}
				return
			}
			got := u.last(t).header.Get("Authorization")
			if row.want == "*" {
				if !strings.HasPrefix(got, "Bearer "+rotated[:strings.LastIndexByte(rotated, '.')]) || strings.HasSuffix(got, rotated) {
					t.Error("not signed again")
				}
			} else if got != row.want {
				t.Error("another Authorization arrived")
			}
		})
	}
}

// Where keys are translated, the gateway finds a token good in Authorization that no client may use: one under a secret as
// the gateway knows it, be it the additional one. It must not get there unjudged.
func TestAuthorizationUnderAKeyOfTheGatewayAlone(t *testing.T) {
	const other = "additional-secret-0123456789abcdefghijkl"
	under := func(key []byte) string {
		s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "mcpgateway", "aud": "mcpgateway-api", "exp": 4e9, "env": "production"}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	derived, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + testSecret, "ENVGATE_ENVIRONMENT=production", "DERIVE_KEY_PER_ENVIRONMENT=true"}})
	if err != nil {
		t.Fatal(err)
	}
	good, err := derived.Mint(authz.MintOptions{Kind: authz.KindSession, Subject: "a@example.com", Environment: "production", IssuedAt: time.Now(), Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "AUTH_HEADER_NAME=X-Gw-Auth", "ENVGATE_ADDITIONAL_SECRET_KEY="+other, embedding,
		"DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue", "ENVGATE_ACCEPT_BASE_KEY=false")
	if res, body := s.get("/tools", "X-Gw-Auth: Bearer "+good); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	for _, secret := range []string{testSecret, other} {
		if res, _ := s.get("/tools", "X-Gw-Auth: Bearer "+good, bearer(under([]byte(secret)))); res.StatusCode != 401 {
			t.Errorf("%d", res.StatusCode)
		}
	}
}
