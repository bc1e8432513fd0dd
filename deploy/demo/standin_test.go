package demo

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const standInSecret = "the-secret-of-the-stand-in-0123456789"

// signed is a token that release 0.9.0 accepts, with the given claims changed; a nil one is left out.
func signed(t *testing.T, secret string, changes jwt.MapClaims) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"iss": "mcpgateway", "aud": "mcpgateway-api", "sub": "admin@example.com", "jti": "1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// The rows are what release 0.9.0 answers on /tools.
func TestTheStandInAcceptsWhatALegacyGatewayAccepts(t *testing.T) {
	server := httptest.NewServer((&standIn{[]byte(standInSecret), "mcpgateway", "mcpgateway-api"}).handler())
	defer server.Close()
	good := signed(t, standInSecret, nil)
	later := time.Now().Add(time.Hour).Unix()
	claims := func(c jwt.MapClaims) []string {
		return []string{"Authorization: Bearer " + signed(t, standInSecret, c)}
	}
	for _, row := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"a good header", []string{"Authorization: Bearer " + good}, 200},
		{"another case of Bearer", []string{"Authorization: bEARER " + good}, 200},
		{"nothing", nil, 401},
		{"two blanks", []string{"Authorization: Bearer  " + good}, 401},
		{"another scheme", []string{"Authorization: Token " + good}, 401},
		{"two headers, the first good", []string{"Authorization: Bearer " + good, "Authorization: Bearer x"}, 200},
		{"two headers, the last good", []string{"Authorization: Bearer x", "Authorization: Bearer " + good}, 401},
		{"jwt_token", []string{"Cookie: jwt_token=" + good}, 200},
		{"access_token", []string{"Cookie: access_token=" + good}, 200},
		{"a bad jwt_token before access_token", []string{"Cookie: jwt_token=x; access_token=" + good}, 401},
		{"jwt_token before a bad access_token", []string{"Cookie: jwt_token=" + good + "; access_token=x"}, 200},
		{"two cookies, the last good", []string{"Cookie: jwt_token=x; jwt_token=" + good}, 200},
		{"two cookies, the first good", []string{"Cookie: jwt_token=" + good + "; jwt_token=x"}, 401},
		{"a quoted cookie", []string{`Cookie: jwt_token="` + good + `"`}, 200},
		{"Bearer alone beside a cookie", []string{"Authorization: Bearer", "Cookie: jwt_token=" + good}, 200},
		{"Basic beside a cookie", []string{"Authorization: Basic eDp5", "Cookie: jwt_token=" + good}, 200},
		{"a bad header beside a cookie", []string{"Authorization: Bearer x", "Cookie: jwt_token=" + good}, 401},
		{"a foreign env", claims(jwt.MapClaims{"env": "elsewhere"}), 200},
		{"an env that is a number", claims(jwt.MapClaims{"env": 7}), 200},
		{"a list of audiences", claims(jwt.MapClaims{"aud": []string{"other", "mcpgateway-api"}}), 200},
		{"no exp", claims(jwt.MapClaims{"exp": nil}), 200},
		{"no jti", claims(jwt.MapClaims{"jti": nil}), 200},
		{"another issuer", claims(jwt.MapClaims{"iss": "other"}), 401},
		{"no issuer", claims(jwt.MapClaims{"iss": nil}), 401},
		{"another audience", claims(jwt.MapClaims{"aud": "other"}), 401},
		{"no audience", claims(jwt.MapClaims{"aud": nil}), 401},
		{"expired", claims(jwt.MapClaims{"exp": 1}), 401},
		{"a future nbf", claims(jwt.MapClaims{"nbf": later}), 401},
		{"a future iat", claims(jwt.MapClaims{"iat": later}), 401},
		{"another key", []string{"Authorization: Bearer " + signed(t, "another key", nil)}, 401},
		{"alg none", []string{"Authorization: Bearer " + withoutAlgorithm(good)}, 401},
		{"a flipped bit", []string{"Authorization: Bearer " + flipped(good)}, 401},
	} {
		r, _ := http.NewRequest(http.MethodGet, server.URL+"/tools", nil)
		for _, h := range row.headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != row.want {
			t.Errorf("%s: %d, want %d", row.name, res.StatusCode, row.want)
		}
	}
}

func TestTheStandInSaysThatItIsOne(t *testing.T) {
	handler := (&standIn{[]byte(standInSecret), "mcpgateway", "mcpgateway-api"}).handler()
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/health", 200}, {"GET", "/admin/login", 200}, {"POST", "/auth/login", 200}, {"GET", "/tools", 401}, {"GET", "/sse", 401}, {"GET", "/ws", 401},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(row.method, row.path, nil))
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != row.status || body["stand_in_gateway"] == "" || w.Header().Get("Server") != standInName {
			t.Errorf("%s: %d %v %v", row.path, w.Code, w.Header(), err)
		}
	}
}
