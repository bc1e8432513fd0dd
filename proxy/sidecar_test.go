package proxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envgate/authz"
	"envgate/metrics"

	"github.com/golang-jwt/jwt/v5"
)

const testSecret = "proxy-test-secret-0123456789abcdefghij"

// recorder is a real upstream that writes down what arrives.
type recorder struct {
	*httptest.Server
	underWay atomic.Int32
	mu       sync.Mutex
	seen     []*seen
}

// seen is one request as the upstream saw it.
type seen struct {
	method, uri, host, body string
	header, trailer         http.Header
}

func (u *recorder) requests() []*seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*seen(nil), u.seen...)
}

// last returns the one request that arrived, and forgets it.
func (u *recorder) last(t *testing.T) *seen {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seen) != 1 {
		t.Fatalf("the upstream saw %d requests, want 1", len(u.seen))
	}
	s := u.seen[0]
	u.seen = nil
	return s
}

func newRecorder(t *testing.T, handler http.HandlerFunc) *recorder {
	t.Helper()
	u := &recorder{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.underWay.Add(1)
		defer u.underWay.Add(-1)
		s := &seen{method: r.Method, uri: r.RequestURI, host: r.Host, header: r.Header.Clone()}
		if r.Header.Get("Upgrade") == "" {
			b, _ := io.ReadAll(r.Body)
			s.body = string(b)
		}
		s.trailer = r.Trailer
		u.mu.Lock()
		u.seen = append(u.seen, s)
		u.mu.Unlock()
		if handler != nil {
			handler(w, r)
			return
		}
		_, _ = io.WriteString(w, "from the upstream")
	}))
	t.Cleanup(u.Close)
	return u
}

// logBuffer collects log lines of concurrent writers.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sidecar is a running server on loopback.
type sidecar struct {
	*Server
	t           testing.TB
	config      *authz.Config
	addr, admin string
	logs        *logBuffer
	environ     []string
}

// startSidecar starts envgate before an upstream, with settings as NAME=VALUE on top of a production environment.
func startSidecar(t testing.TB, upstream string, settings ...string) *sidecar {
	t.Helper()
	s := newSidecar(t, upstream, settings...)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.addr, s.admin = s.Addresses()
	return s
}

// newSidecar makes one that doesn't listen yet.
func newSidecar(t testing.TB, upstream string, settings ...string) *sidecar {
	t.Helper()
	environ := append([]string{
		"JWT_SECRET_KEY=" + testSecret, "ENVGATE_ENVIRONMENT=production", "ENVGATE_LISTEN=127.0.0.1:0", "ENVGATE_ADMIN_LISTEN=127.0.0.1:0",
		"ENVGATE_UPSTREAM=" + upstream, "ENVGATE_LOG_LEVEL=debug", "ENVGATE_DRAIN_DELAY=0s", "ENVGATE_DRAIN_TIMEOUT=2s", "ENVGATE_KEY_FINGERPRINT=false",
	}, settings...)
	c, err := authz.Parse(authz.Source{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	s := &sidecar{t: t, config: c, logs: &logBuffer{}, environ: environ}
	s.Server = NewServer(c, metrics.Build{Version: "test"}, slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return s
}

// token signs claims; nil values take a default claim away.
func token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{
		"iss": "mcpgateway", "aud": "mcpgateway-api", "sub": "user@example.com", "jti": "test-id", "env": "production",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	for name, value := range claims {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// raw sends bytes over a fresh connection and returns the first answer with its body.
func (s *sidecar) raw(request string) (*http.Response, string) {
	s.t.Helper()
	answers := s.rawAll(request, 1)
	if len(answers) == 0 {
		s.t.Fatalf("no answer to %q", request)
	}
	return answers[0].res, answers[0].body
}

type answer struct {
	res  *http.Response
	body string
}

// rawAll sends bytes and reads at most n answers, until the connection ends or is silent.
func (s *sidecar) rawAll(request string, n int) (answers []answer) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	br := bufio.NewReader(conn)
	for range n {
		res, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(res.Body)
		answers = append(answers, answer{res, string(body)})
	}
	return answers
}

// get sends one HTTP/1.1 request with the given header lines (none ends in CRLF).
func (s *sidecar) get(target string, lines ...string) (*http.Response, string) {
	s.t.Helper()
	return s.send("GET", target, "", lines...)
}

func (s *sidecar) send(method, target, body string, lines ...string) (*http.Response, string) {
	s.t.Helper()
	head := method + " " + target + " HTTP/1.1\r\nHost: gateway.example.com\r\nConnection: close\r\n"
	for _, l := range lines {
		head += l + "\r\n"
	}
	if body != "" {
		head += "Content-Length: " + itoa(len(body)) + "\r\n"
	}
	return s.raw(head + "\r\n" + body)
}

// value reads one series from /metrics, such as `envgate_decisions_total{decision="refused",reason="signature"}`.
func (s *sidecar) value(series string) string {
	s.t.Helper()
	for line := range strings.SplitSeq(s.adminGet("/metrics"), "\n") {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			return v
		}
	}
	return ""
}

func (s *sidecar) adminGet(path string) string {
	s.t.Helper()
	res, err := http.Get("http://" + s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func decodeProblem(t *testing.T, body string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatalf("not a problem body: %q", body)
	}
	return p
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	within(t, 20*time.Second, what, condition)
}

// within is for what takes longer.
func within(t testing.TB, d time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
