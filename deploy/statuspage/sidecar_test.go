//go:build browser

package statuspage

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const secret = "statuspage-secret-0123456789abcdefghij"

// sidecar is a running envgate with a gateway behind it.
type sidecar struct{ url, admin string }

// start starts envgate for the environment production; settings are NAME=VALUE.
func start(t *testing.T, settings ...string) sidecar {
	t.Helper()
	return startUntil(t.Context(), t, settings...)
}

// startUntil starts one that is killed when ctx is done, or with the test.
func startUntil(ctx context.Context, t *testing.T, settings ...string) sidecar {
	t.Helper()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sse" {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(gateway.Close)
	traffic, admin := freeAddress(t), freeAddress(t)
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append([]string{
		"JWT_SECRET_KEY=" + secret, "ENVGATE_ENVIRONMENT=production", "ENVGATE_UPSTREAM=" + gateway.URL,
		"ENVGATE_LISTEN=" + traffic, "ENVGATE_ADMIN_LISTEN=" + admin, "ENVGATE_DRAIN_DELAY=0s", "ENVGATE_DRAIN_TIMEOUT=1s",
	}, settings...)
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if strings.Contains(log.String(), "eyJ") {
			t.Error("a token is in the log")
		}
	})
	s := sidecar{"http://" + traffic, "http://" + admin}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if res, err := http.Get(s.admin + "/readyz"); err == nil {
			res.Body.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("envgate did not start")
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// token signs the claims of a good token, changed by claims (nil takes one away), with key.
func token(t *testing.T, key string, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{
		"iss": "mcpgateway", "aud": "mcpgateway-api", "sub": "user@example.com", "jti": "7b1c0f4e-52a1-4f0e-9d3c", "env": "production",
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (s sidecar) request(t *testing.T, method, path, token string) {
	t.Helper()
	r, err := http.NewRequest(method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", hostile)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
}

const hostile = `"><script>document.title='taken'</script><img src=x onerror="document.title='taken'">`

// mix sends what production sees on a bad day; the newest of it are the plainest.
func (s sidecar) mix(t *testing.T) {
	for range 4 {
		s.request(t, "GET", "/tools", token(t, secret, jwt.MapClaims{"env": hostile}))
		s.request(t, "GET", "/tools", token(t, secret, jwt.MapClaims{"env": "staging", "jti": hostile, "iss": hostile}))
		s.request(t, "GET", "/%3Cimg%20src=x%20onerror=alert(1)%3E", "")
	}
	for i := range 60 {
		s.request(t, "GET", "/tools", token(t, secret, nil))
		s.request(t, "GET", fmt.Sprintf("/servers/%d/sse", i), token(t, secret, jwt.MapClaims{"env": "staging", "sub": fmt.Sprint(i % 7)}))
		if i%3 == 0 {
			s.request(t, "POST", "/rpc", token(t, secret, jwt.MapClaims{"exp": 1}))
			s.request(t, "GET", "/health", token(t, secret, jwt.MapClaims{"env": "development"}))
		}
		if i%4 == 0 {
			s.request(t, "POST", "/mcp", token(t, "another-key-0123456789abcdefghijklmnop", nil))
			s.request(t, "GET", "/resources", token(t, secret, jwt.MapClaims{"env": nil}))
		}
		if i%5 == 0 {
			s.request(t, "GET", "/tools", "")
			s.request(t, "DELETE", "/tools/12", token(t, secret, jwt.MapClaims{"env": "development"}))
		}
	}
}
