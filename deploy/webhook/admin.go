package webhook

import (
	"fmt"
	"net/http"
	"strings"
)

// condition is one thing that must hold before the API server may ask.
type condition struct {
	name, unmet string
	met         bool
}

func (s *Server) conditions() []condition {
	return []condition{
		{"namespaces", "namespaces not listed", s.admission.namespaces.listed.Load()},
		{"certificate", "no certificate", s.certificate.Load() != nil},
		{"server version", "server version not known", s.versionKnown.Load()},
		{"serving", "draining", !s.draining.Load()},
	}
}

// notReadyBecause names the first condition that doesn't hold; empty when all do.
func (s *Server) notReadyBecause() string {
	for _, c := range s.conditions() {
		if !c.met {
			return c.unmet
		}
	}
	return ""
}

func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	figures := s.metrics.Handler()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		s.metrics.Ready(s.notReadyBecause() == "")
		figures.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readyz answers 200 or 503; ?verbose lists the conditions.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	because := s.notReadyBecause()
	code, answer := http.StatusOK, "ok\n"
	if because != "" {
		code, answer = http.StatusServiceUnavailable, because+"\n"
	}
	if r.URL.Query().Has("verbose") {
		var b strings.Builder
		for _, c := range s.conditions() {
			fmt.Fprintf(&b, "%s: %v\n", c.name, c.met)
		}
		answer = b.String()
	}
	plainText(w, code, answer)
}

func plainText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}
