package proxy

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// warnings holds the active configuration warnings: those known at start, and those that only the running process sees.
type warnings struct {
	config  *authz.Config
	metrics *metrics.Metrics
	log     *slog.Logger

	mu     sync.Mutex
	active []authz.Warning
}

func newWarnings(c *authz.Config, m *metrics.Metrics, log *slog.Logger) *warnings {
	w := &warnings{config: c.Settings(), metrics: m, log: log}
	for _, warning := range c.Warnings() {
		w.raise(warning)
	}
	w.expired("traffic", c.CertificateExpiry)
	return w
}

// expired logs that a listener serves a certificate that clients refuse. It serves all the same: clients may be told not to
// look, and a reload must not end what works.
func (w *warnings) expired(listener string, at time.Time) {
	if !at.IsZero() && time.Now().After(at) {
		w.log.Warn("the certificate has expired: clients refuse it", "listener", listener, "expired", at.UTC().Format(time.RFC3339))
	}
}

// list returns the active warnings.
func (w *warnings) list() []authz.Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]authz.Warning(nil), w.active...)
}

// raise logs and counts a warning, once while it is active.
func (w *warnings) raise(warning authz.Warning) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.active {
		if a.Check == warning.Check {
			return
		}
	}
	w.active = append(w.active, warning)
	w.metrics.Warn(warning.Check, true)
	w.log.Warn(warning.Message, "check", warning.Check, "set", warning.Set)
}

// clear takes a warning back.
func (w *warnings) clear(check string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range w.active {
		if a.Check == check {
			w.active = append(w.active[:i], w.active[i+1:]...)
			w.metrics.Warn(check, false)
			w.log.Info("a configuration warning is over", "check", check)
			return
		}
	}
}

// reconsider raises and clears what the configuration itself warns of; what only the running process sees stays.
func (w *warnings) reconsider(c *authz.Config) {
	now := c.Warnings()
	for _, warning := range now {
		w.raise(warning)
	}
	for _, active := range w.list() {
		switch active.Check {
		case authz.ForwardedIgnored, authz.BaseKeySeen, authz.UpstreamExposed:
			continue
		}
		if !slices.ContainsFunc(now, func(a authz.Warning) bool { return a.Check == active.Check }) {
			w.clear(active.Check)
		}
	}
	w.expired("traffic", c.CertificateExpiry)
}

// observe raises what only traffic can show.
func (w *warnings) observe(r *http.Request, d *authz.Decision) {
	if v := r.Header["X-Forwarded-Proto"]; len(v) > 0 && len(w.config.TrustedProxies) == 0 && w.config.PublicURL == nil &&
		strings.EqualFold(v[0], "https") && r.TLS == nil {
		w.raise(authz.RuntimeWarning(authz.ForwardedIgnored, ""))
	}
	for i := range d.Tokens {
		if v := &d.Tokens[i]; v.BaseKey && v.Verified {
			w.raise(authz.RuntimeWarning(authz.BaseKeySeen, authz.BaseKeyAccepted))
		} else if v.BaseKey && w.config.Translate == authz.TranslateOff { // else it is meant to be refused
			w.raise(authz.RuntimeWarning(authz.BaseKeySeen, ""))
		}
	}
}

// checkExposure looks whether a loopback upstream can be reached around the sidecar.
func (w *warnings) checkExposure() {
	exposed := Exposure(w.config)
	for _, warning := range exposed {
		w.raise(warning)
	}
	if len(exposed) == 0 {
		w.clear(authz.UpstreamExposed)
	}
}
