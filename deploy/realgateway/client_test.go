//go:build realgateway

package realgateway

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// answer is a response that has been read, but for the body of a stream.
type answer struct {
	status int
	header http.Header
	body   string
}

// client follows no redirect, asks for no compression, and waits for headers at most half a minute.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, ResponseHeaderTimeout: 30 * time.Second, IdleConnTimeout: time.Second},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends a request to a gateway or a sidecar. Headers are "Name: value"; a body is JSON unless they say otherwise.
func send(t *testing.T, base, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := try(base, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func try(base, method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		if value = strings.TrimSpace(value); name == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if a.isStream() {
		return a, nil
	}
	text, err := io.ReadAll(resp.Body)
	a.body = string(text)
	return a, err
}

func (a answer) isStream() bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
}

// is fails the test if the answer has another status.
func (a answer) is(t *testing.T, what string, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: %d, want %d: %.300s", what, a.status, status, a.body)
	}
	return a
}

// text returns a string of a JSON answer, such as token.id.
func (a answer) text(t *testing.T, path string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%v in the answer %d %.300q", err, a.status, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	s, ok := value.(string)
	if !ok {
		t.Fatalf("no text %s in the answer %d %.300q", path, a.status, a.body)
	}
	return s
}

// login returns a fresh session token of the administrator, issued by the gateway itself.
func login(t *testing.T, base string) string {
	t.Helper()
	return send(t, base, "POST", "/auth/email/login", loginBody).is(t, "login", 200).text(t, "access_token")
}

const loginBody = `{"email":"` + adminEmail + `","password":"` + adminPassword + `"}`

func bearer(token string) string { return "Authorization: Bearer " + token }

func cookie(token string) string { return "Cookie: jwt_token=" + token }

// resign returns a token of the gateway as another environment, which shares the secret, would have made it: the same
// claims, but for the given ones.
func resign(t *testing.T, token string, change jwt.MapClaims) string {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(token, claims); err != nil {
		t.Fatal(err)
	}
	claims["jti"] = rand.Text()
	for name, value := range change {
		claims[name] = value
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// staging returns a staging twin of a token.
func staging(t *testing.T, token string) string {
	t.Helper()
	return resign(t, token, jwt.MapClaims{"env": "staging"})
}
