package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"envgate/authz"
	"envgate/metrics"
)

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
	guard := loopbackOnly
	if s.config.AdminStatusAll {
		guard = func(h http.HandlerFunc) http.HandlerFunc { return h }
	}
	statusRoutes(mux, guard, func() status { return s.status(b) })
	// A page in the browser of somebody with a port-forward must not drain the sidecar.
	return http.NewCrossOriginProtection().Handler(mux)
}

// readyz answers 200 or 503; ?verbose lists the checks.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	because := s.notReadyBecause()
	code, text := http.StatusOK, "ok\n"
	if because != "" {
		code, text = http.StatusServiceUnavailable, because+"\n"
	}
	if r.URL.Query().Has("verbose") {
		c := s.proxy.config()
		mark := map[bool]string{true: "ok", false: "failed"}
		text = fmt.Sprintf("configuration: ok\nkeys: %s (%d of %s)\ndraining: %v\nready: %v\n",
			mark[c.KeyCount() > 0], c.KeyCount(), authz.Printable(c.Issuer), s.proxy.draining.Load(), because == "")
		for _, i := range c.IssuerKeys() { // whose lack refuses only their own tokens
			text += fmt.Sprintf("issuer %s: %s (%d keys)\n", authz.Printable(i.Issuer), mark[i.Keys > 0], i.Keys)
		}
	}
	plainText(w, code, text)
}

func plainText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

// loopbackOnly answers 403 to anybody but the pod itself (a port-forward comes from loopback, too), and to whoever
// calls loopback by a name of their own: a page whose name was made to resolve to it could read the answer.
func loopbackOnly(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !peerAddress(r.RemoteAddr).IsLoopback() {
			plainText(w, http.StatusForbidden, "only from loopback; see ENVGATE_ADMIN_STATUS\n")
			return
		}
		if !addressOrLocalhost(r.Host) {
			plainText(w, http.StatusForbidden, "only as localhost or by an address; see ENVGATE_ADMIN_STATUS\n")
			return
		}
		next(w, r)
	}
}

// addressOrLocalhost tells whether a Host is one that no foreign name server answers for.
func addressOrLocalhost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}
