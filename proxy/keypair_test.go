package proxy

import (
	"path/filepath"
	"strings"
	"testing"

	"envgate/authz/issuertest"
)

// A key pair that envgate signs with is replaced file by file. Until both fit, the former pair stays in force.
func TestAKeyPairIsReplacedFileByFile(t *testing.T) {
	for _, row := range []struct {
		name        string
		publicFirst bool
	}{{"the public key first", true}, {"the private key first", false}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			u := newRecorder(t, nil)
			i, folder := issuertest.New(t, "ES256"), t.TempDir()
			public, private := filepath.Join(folder, "public.pem"), filepath.Join(folder, "private.pem")
			write(t, public, string(i.PublicPEM(t)))
			write(t, private, string(i.PrivatePEM(t)))
			s, _ := startReloading(t, u.URL, "JWT_SECRET_KEY=", "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+public, "JWT_PRIVATE_KEY_PATH="+private, "EMBED_ENVIRONMENT_IN_TOKENS=true")
			own := map[string]any{"iss": "mcpgateway", "aud": "mcpgateway-api", "env": "production", "jti": "1"}
			code := func(token string) int { res, _ := s.get("/tools", bearer(token)); return res.StatusCode }
			former := i.Sign(t, own)
			i.Rotate(t, "ES256")
			current := i.Sign(t, own)
			steps := []func(){
				func() { write(t, public, string(i.PublicPEM(t))) },
				func() { write(t, private, string(i.PrivatePEM(t))) },
			}
			if !row.publicFirst {
				steps[0], steps[1] = steps[1], steps[0]
			}
			steps[0]()
			eventually(t, "a reload that fails", func() bool { return s.value("envgate_last_reload_successful") == "0" })
			if f, c := code(former), code(current); f != 200 || c != 401 {
				t.Errorf("half replaced: former %d, current %d", f, c)
			}
			steps[1]()
			eventually(t, "a reload", func() bool { return s.value("envgate_last_reload_successful") == "1" })
			if f, c := code(former), code(current); f != 401 || c != 200 {
				t.Errorf("replaced: former %d, current %d", f, c)
			}
			if !strings.Contains(s.logs.String(), "is not the private key of JWT_PUBLIC_KEY_PATH") {
				t.Error("the log doesn't say why the first reload failed")
			}
		})
	}
}

// Public keys change places file by file: no token of either is refused in between, for one key in both places is no configuration.
func TestPublicKeysChangePlaces(t *testing.T) {
	u := newRecorder(t, nil)
	i, folder := issuertest.New(t, "ES256"), t.TempDir()
	current, additional := filepath.Join(folder, "current.pem"), filepath.Join(folder, "additional.pem")
	own := map[string]any{"iss": "mcpgateway", "aud": "mcpgateway-api", "env": "production", "jti": "1"}
	first, former := string(i.PublicPEM(t)), i.Sign(t, own)
	i.Rotate(t, "ES256")
	second, token := string(i.PublicPEM(t)), i.Sign(t, own)
	write(t, current, first)
	write(t, additional, second)
	s, _ := startReloading(t, u.URL, "JWT_SECRET_KEY=", "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+current, "ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS="+additional)
	for n, change := range []func(){func() {}, func() { write(t, current, second) }, func() { write(t, additional, first) }} {
		change()
		eventually(t, "the reload", func() bool { return s.value("envgate_last_reload_successful") == []string{"1", "0", "1"}[n] })
		for _, text := range []string{former, token} {
			if res, body := s.get("/tools", bearer(text)); res.StatusCode != 200 {
				t.Errorf("after change %d: %d %s", n, res.StatusCode, body)
			}
		}
	}
}
