package proxy

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// gateway stands for one that knows a single secret until it restarts.
type gateway struct {
	address string
	server  *http.Server
}

func (g *gateway) start(t *testing.T, secret string) {
	t.Helper()
	address := g.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	g.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := jwt.Parse(bearer, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
			w.WriteHeader(http.StatusForbidden) // so that it isn't taken for envgate's
		}
	})}
	server := g.server
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

func signed(t *testing.T, secret string) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": "mcpgateway", "aud": "mcpgateway-api", "env": "production", "exp": time.Now().Add(time.Hour).Unix()}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A secret file changes before the gateway restarts: tokens of the former and of the current secret work before and after,
// signed as the gateway knows them.
func TestASecretFileChangesBeforeTheGatewayRestarts(t *testing.T) {
	first, second, third := strings.Repeat("first-", 8), strings.Repeat("second", 8), strings.Repeat("third-", 8)
	g := &gateway{}
	g.start(t, first)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, first+"\n")
	s, _ := startReloading(t, "http://"+g.address, "JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE="+file)
	code := func(secret string) int { res, _ := s.get("/tools", bearer(signed(t, secret))); return res.StatusCode }
	expect := func(when string, codes ...int) {
		t.Helper()
		for i, secret := range []string{first, second, third} {
			if got := code(secret); got != codes[i] {
				t.Errorf("%s: the token under secret %d: %d, want %d", when, i+1, got, codes[i])
			}
		}
	}
	reloaded := func(n string) func() bool {
		return func() bool { return s.value(`envgate_reloads_total{result="success"}`) == n }
	}
	expect("at first", 200, 401, 401)

	write(t, file, second+"\n")
	eventually(t, "a reload", reloaded("1"))
	expect("after the change", 200, 200, 401)

	_ = g.server.Close()
	g.start(t, second)
	eventually(t, "the restart noticed", func() bool { return strings.Contains(s.logs.String(), "the gateway has restarted") })
	expect("after the gateway's restart", 200, 200, 401)
	if s.value("envgate_tokens_verified_by_additional_key_total") == "0" {
		t.Error("tokens of the former secret are not counted")
	}

	write(t, file, third+"\n")
	eventually(t, "another reload", reloaded("2"))
	expect("after the next change", 401, 200, 200)
}

// With an additional secret set, the procedure is its owner's: a former value is not kept.
func TestAnAdditionalSecretKeepsFormerOnesOut(t *testing.T) {
	first, second, additional := strings.Repeat("first-", 8), strings.Repeat("second", 8), strings.Repeat("other-", 8)
	g := &gateway{}
	g.start(t, second)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, first)
	s, _ := startReloading(t, "http://"+g.address, "JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE="+file, "ENVGATE_ADDITIONAL_SECRET_KEY="+additional)
	write(t, file, second)
	eventually(t, "a reload", func() bool { return s.value(`envgate_reloads_total{result="success"}`) == "1" })
	for secret, want := range map[string]int{first: 401, second: 200, additional: 200} {
		if res, _ := s.get("/tools", bearer(signed(t, secret))); res.StatusCode != want {
			t.Errorf("%s: %d, want %d", secret, res.StatusCode, want)
		}
	}
}
