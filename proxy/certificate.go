package proxy

import (
	"time"

	"envgate/authz"
)

// Certificates tells when those of the listeners expire, as serving logs it.
func Certificates(c *authz.Config) (all []authz.Certificate) {
	add := func(listener string, at time.Time) {
		all = append(all, authz.Certificate{Listener: listener, Expires: at.UTC(), Expired: time.Now().After(at)})
	}
	if !c.CertificateExpiry.IsZero() {
		add("traffic", c.CertificateExpiry)
	}
	if w, err := readWebConfig(c.WebConfigFile); err == nil && w.tls != nil {
		add("admin", w.expires)
	}
	return all
}
