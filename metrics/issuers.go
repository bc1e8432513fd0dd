package metrics

import (
	"sync"

	"envgate/authz"
	"envgate/authz/jwks"
)

// issuers are the further issuers that have series, by label: true while they are configured, false until the reload after
// the one that removed them, since a request under way may still count.
type issuers struct {
	mutex sync.Mutex
	known map[string]bool
}

// Issuers presets the series of a configuration's further issuers, and drops those of issuers that it doesn't have.
func (m *Metrics) Issuers(c *authz.Config) {
	m.further.mutex.Lock()
	defer m.further.mutex.Unlock()
	configured, fetched := map[string]bool{}, map[string]bool{}
	for issuer := range c.Fetched() {
		fetched[label(issuer)] = true
		m.fetchFailures.WithLabelValues(label(issuer))
	}
	for _, i := range c.IssuerKeys() {
		issuer := label(i.Issuer)
		configured[issuer] = true
		m.verified.WithLabelValues(issuer)
		m.withoutEnv.WithLabelValues(issuer)
		m.keys.WithLabelValues(issuer).Set(float64(i.Keys))
	}
	for issuer, before := range m.further.known {
		if !fetched[issuer] {
			m.fetchFailures.DeleteLabelValues(issuer)
			m.fetchSuccess.DeleteLabelValues(issuer)
		}
		if configured[issuer] {
			continue
		}
		m.verified.DeleteLabelValues(issuer)
		m.withoutEnv.DeleteLabelValues(issuer)
		m.keys.DeleteLabelValues(issuer)
		if before {
			configured[issuer] = false
		}
	}
	m.further.known = configured
}

// Fetched counts the outcome of one fetch of an issuer's keys.
func (m *Metrics) Fetched(issuer string, s jwks.Status, err error) {
	m.keys.WithLabelValues(label(issuer)).Set(float64(s.Keys))
	if err != nil {
		m.fetchFailures.WithLabelValues(label(issuer)).Inc()
	} else {
		m.fetchSuccess.WithLabelValues(label(issuer)).Set(float64(s.Fetched.Unix()))
	}
}
