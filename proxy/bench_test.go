package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"envgate/authz"
	"envgate/metrics"

	"github.com/golang-jwt/jwt/v5"
)

// benchClient measures whole requests over keep-alive connections; client and upstream share the process, so only the
// difference between the rows of one run means something.
func benchRequests(b *testing.B, addr, header string, wantStatus int) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	request, err := http.NewRequest(http.MethodGet, "http://"+addr+"/tools", nil)
	if err != nil {
		b.Fatal(err)
	}
	if header != "" {
		request.Header.Set("Authorization", header)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		res, err := client.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode != wantStatus {
			b.Fatalf("status %d, want %d", res.StatusCode, wantStatus)
		}
	}
}

// benchToken is about 640 bytes long, as a legacy gateway's login token is.
func benchToken(b *testing.B) string {
	t := token(b, jwt.MapClaims{"user": map[string]any{
		"email": "user@example.com", "full_name": "A User", "is_admin": true, "auth_provider": "local"},
		"teams": []string{}, "namespaces": []string{"user:user@example.com", "public"}, "scopes": map[string]any{
			"server_id": nil, "permissions": []string{"*"}, "ip_restrictions": []string{}}})
	if len(t) < 560 || len(t) > 720 {
		b.Fatalf("token of %d bytes", len(t))
	}
	return t
}

func benchUpstream(b *testing.B) *httptest.Server {
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tools":[]}`)
	}))
	b.Cleanup(u.Close)
	return u
}

func BenchmarkRequestBareReverseProxy(b *testing.B) {
	target, _ := url.Parse(benchUpstream(b).URL)
	proxy := httptest.NewServer(httputil.NewSingleHostReverseProxy(target))
	b.Cleanup(proxy.Close)
	benchRequests(b, proxy.Listener.Addr().String(), "Bearer "+benchToken(b), http.StatusOK)
}

func BenchmarkRequestAccepted(b *testing.B) {
	s := startSidecar(b, benchUpstream(b).URL)
	benchRequests(b, s.addr, "Bearer "+benchToken(b), http.StatusOK)
}

// BenchmarkRequestAcceptedEmbedding is the same with embedding on, on a route that hands out no tokens.
func BenchmarkRequestAcceptedEmbedding(b *testing.B) {
	s := startSidecar(b, benchUpstream(b).URL, embedding)
	benchRequests(b, s.addr, "Bearer "+benchToken(b), http.StatusOK)
}

func BenchmarkRequestRefusedForged(b *testing.B) {
	s := startSidecar(b, benchUpstream(b).URL)
	good := benchToken(b)
	forged := good[:strings.LastIndexByte(good, '.')] + ".AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	benchRequests(b, s.addr, "Bearer "+forged, http.StatusUnauthorized)
}

func BenchmarkRequestRefusedNoToken(b *testing.B) {
	s := startSidecar(b, benchUpstream(b).URL)
	benchRequests(b, s.addr, "", http.StatusUnauthorized)
}

// BenchmarkRemember is what the status page's list adds to a refused request, the costliest kind: one about a verified token.
func BenchmarkRemember(b *testing.B) {
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + testSecret, "ENVGATE_ENVIRONMENT=production"}})
	if err != nil {
		b.Fatal(err)
	}
	p := New(c, metrics.New(c, metrics.Build{}), slog.New(slog.DiscardHandler))
	r := httptest.NewRequest(http.MethodGet, "/servers/12/tools", nil)
	r.Header.Set("Authorization", "Bearer "+token(b, jwt.MapClaims{"env": "staging"}))
	d := p.rules.Load().guard.Check(r)
	if d.Reason != authz.Environment {
		b.Fatal(d.Reason)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.remember(r, &d)
	}
}

// BenchmarkStatusPage is one update of the page with a hundred refusals.
func BenchmarkStatusPage(b *testing.B) {
	s := startSidecar(b, benchUpstream(b).URL)
	for range recentLength {
		s.get("/tools", bearer(token(b, jwt.MapClaims{"env": "staging"})))
	}
	b.ReportAllocs()
	for b.Loop() {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		if s.Server.admin.Handler.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
