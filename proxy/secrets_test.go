package proxy

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"envgate/metrics"

	"github.com/golang-jwt/jwt/v5"
)

var buildForTests = metrics.Build{Version: "test"}

func testLogger(l *logBuffer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestNoOutputHoldsATokenOrSecret sends every kind of token in every place, then looks for each segment of each of them
// in the logs at debug level, the metrics, the status pages and the answers.
func TestNoOutputHoldsATokenOrSecret(t *testing.T) {
	for _, settings := range [][]string{
		{"ENVGATE_ACCESS_LOG=true"},
		{"ENVGATE_ACCESS_LOG=true", "ENVGATE_MODE=report"},
		{"ENVGATE_ACCESS_LOG=true", "ENVGATE_ENVIRONMENT_RULE=report", "AUTH_HEADER_NAME=X-Gateway-Auth", "ENVGATE_ADDITIONAL_SECRET_KEY=another-secret-0123456789abcdefghijkl"},
	} {
		u := newRecorder(t, nil)
		s := startSidecar(t, u.URL, settings...)
		var outputs strings.Builder
		tokens := []string{
			token(t, nil), token(t, jwt.MapClaims{"env": "staging"}), token(t, jwt.MapClaims{"env": nil}), token(t, jwt.MapClaims{"exp": 1}),
			token(t, jwt.MapClaims{"iss": "evil\"\n\x1b[31m"}), token(t, jwt.MapClaims{"env": "line1\nline2\"<script>"}), forged(t), "opaque-secret-value-0123456789", token(t, jwt.MapClaims{"exp": "x"}),
		}
		for _, tok := range tokens {
			segments := strings.Join(strings.Split(tok, "."), "/")
			for _, request := range []string{
				"GET /tools HTTP/1.1\r\nAuthorization: Bearer %s\r\n",
				"GET /tools HTTP/1.1\r\nX-Gateway-Auth: Bearer %s\r\n",
				"GET /tools HTTP/1.1\r\nAuthorization: Basic %s\r\n",
				"GET /tools HTTP/1.1\r\nAuthorization: Bearer %[1]s\r\nAuthorization: Bearer %[1]s\r\n",
				"GET /tools HTTP/1.1\r\nCookie: jwt_token=%s\r\n",
				"GET /tools HTTP/1.1\r\nCookie: jwt_token=\"%s\"\r\n",
				"GET /health HTTP/1.1\r\nCookie: access_token=%s\r\n",
				"GET /tools?token=%s HTTP/1.1\r\n",
				"GET /ws?token=%s HTTP/1.1\r\n",
				"GET /x/%s HTTP/1.1\r\n",
				"GET /x/" + strings.ReplaceAll(segments, "%", "%%") + "?q=%s HTTP/1.1\r\n",
				"GET /tools HTTP/1.1\r\nUser-Agent: %s\r\n",
				"%[1]s /tools HTTP/1.1\r\n",
				"POST /tools HTTP/1.1\r\nContent-Type: %s\r\n",
			} {
				for _, a := range s.rawAll(fmt.Sprintf(request, tok)+"Host: h\r\nConnection: close\r\n\r\n", 1) {
					fmt.Fprintln(&outputs, a.res.Header, a.body)
				}
			}
			outputs.WriteString(s.adminGet("/") + s.adminGet("/api/status")) // now: they forget all but the last hundred
		}
		outputs.WriteString(s.logs.String())
		for _, path := range []string{"/metrics", "/", "/api/status", "/readyz?verbose"} {
			outputs.WriteString(s.adminGet(path))
		}
		out := outputs.String()
		for _, tok := range append(tokens, testSecret, "another-secret-0123456789abcdefghijkl") {
			for _, part := range strings.Split(tok, ".") {
				if len(part) > 6 && strings.Contains(out, part) {
					at := strings.Index(out, part)
					t.Errorf("%v: a part of a token or secret in %q", settings, out[max(0, at-120):at])
				}
			}
		}
		if strings.Contains(out, "\x1b") || strings.Contains(out, "<script>") {
			t.Errorf("%v: raw text of a token was written", settings)
		}
	}
}

func TestRefusalsAreLoggedAtMostTenTimesASecond(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	for range 60 {
		s.get("/tools")
	}
	if n := strings.Count(s.logs.String(), `"reason":"no_token"`); n < perSecond || n > 59 {
		t.Errorf("%d lines", n)
	}
	if v := s.value("envgate_log_lines_suppressed_total"); v == "0" || v == "" {
		t.Errorf("suppressed lines: %q", v)
	}
}

func TestARefusalIsLoggedWithItsFacts(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	s.get("/tools/123?q=secret", bearer(token(t, jwt.MapClaims{"env": "staging"})))
	for _, want := range []string{`"msg":"refused"`, `"reason":"environment"`, `"path":"/tools/123"`, `"environment":"staging"`, `"jti":"test-id"`, `"subject_hash":"`, `"client":"127.0.0.1"`, `"method":"GET"`} {
		if !strings.Contains(s.logs.String(), want) {
			t.Errorf("no %s in %s", want, s.logs)
		}
	}
	if strings.Contains(s.logs.String(), "q=secret") || strings.Contains(s.logs.String(), "user@example.com") {
		t.Error("query or subject in the log")
	}
}
