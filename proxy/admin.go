package proxy

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"

	"envgate/authz"
	"envgate/metrics"
)

//go:embed status.html
var statusHTML string

var statusPage = template.Must(template.New("status").Parse(statusHTML))

// status is what / shows and /api/status says. It holds no secret and no token.
type status struct {
	Environment     string          `json:"environment"`
	Mode            authz.Mode      `json:"mode"`
	EnvironmentRule authz.Rule      `json:"environment_rule"`
	Issuer          string          `json:"issuer"`
	Audience        string          `json:"audience"`
	Algorithm       string          `json:"algorithm"`
	Upstream        string          `json:"upstream"`
	Ready           bool            `json:"ready"`
	Streams         int             `json:"streams"`
	Warnings        []authz.Warning `json:"warnings"`
	Version         string          `json:"version"`
	Revision        string          `json:"revision"`
}

// adminHandler serves metrics, health, status and drain.
func (s *Server) adminHandler(b metrics.Build) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.proxy.metrics.Handler())
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("POST /drain", loopbackOnly(func(w http.ResponseWriter, r *http.Request) {
		s.Drain()
		select { // a preStop hook must last as long as the delay
		case <-s.delayOver:
			plainText(w, http.StatusOK, "drained\n")
		case <-r.Context().Done():
		}
	}))
	mux.Handle("GET /probe/{container}/{kind}", newProbes(s.config.Probes))
	current := func() status { return s.status(b) }
	guard := loopbackOnly
	if s.config.AdminStatusAll {
		guard = func(h http.HandlerFunc) http.HandlerFunc { return h }
	}
	mux.HandleFunc("GET /api/status", guard(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(current())
	}))
	mux.HandleFunc("GET /{$}", guard(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		_ = statusPage.Execute(w, current())
	}))
	// A page in the browser of somebody with a port-forward must not drain the sidecar.
	return http.NewCrossOriginProtection().Handler(mux)
}

func (s *Server) status(b metrics.Build) status {
	c := s.config
	warnings := s.proxy.warnings.list()
	if warnings == nil {
		warnings = []authz.Warning{}
	}
	return status{
		Environment: c.Environment, Mode: c.Mode, EnvironmentRule: c.Rule, Issuer: c.Issuer, Audience: c.Audience,
		Algorithm: c.Algorithm, Upstream: c.Upstream.String(), Ready: s.ready(), Streams: s.proxy.streams.count(),
		Warnings: warnings, Version: b.Version, Revision: b.Revision,
	}
}

// readyz answers 200 or 503; ?verbose lists the checks.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	because := s.notReadyBecause()
	code, text := http.StatusOK, "ok\n"
	if because != "" {
		code, text = http.StatusServiceUnavailable, because+"\n"
	}
	if r.URL.Query().Has("verbose") {
		mark := map[bool]string{true: "ok", false: "failed"}
		text = fmt.Sprintf("configuration: ok\nkeys: %s (%d of %s)\ndraining: %v\nready: %v\n",
			mark[s.config.KeyCount() > 0], s.config.KeyCount(), authz.Printable(s.config.Issuer), s.proxy.draining.Load(), because == "")
	}
	plainText(w, code, text)
}

func plainText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

// loopbackOnly answers 403 to anybody but the pod itself (a port-forward comes from loopback, too).
func loopbackOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !peerAddress(r.RemoteAddr).IsLoopback() {
			plainText(w, http.StatusForbidden, "only from loopback; see ENVGATE_ADMIN_STATUS\n")
			return
		}
		next(w, r)
	}
}
