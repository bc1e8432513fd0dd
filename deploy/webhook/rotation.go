package webhook

import (
	"crypto/x509"
	"net"
	"slices"
	"time"
)

// rotation decides the next step of the certificates' life. Each step is safe on its own, whatever the other replicas
// have seen so far: every certificate that one of them may still serve is verified by what the API server may still hold.
//
//  1. the CA nears its end: a new one is written beside it; the certificate stays
//  2. caBundle gets both (keeper.publish)
//  3. once both have been there for a while: a certificate of the new CA is written
//  4. the previous CA is dropped when it has expired, and with it every certificate that it signed
type rotation struct {
	names         []string
	caLifetime    time.Duration
	leafLifetime  time.Duration
	settle        time.Duration // how long caBundle must have held a CA before its first certificate is served
	trustedSince  time.Time     // since when caBundle was seen to hold the CA; zero: it doesn't
	trustedSerial string        // that CA
}

// next returns what is to be stored instead of m, which may be nil, and what that does; nil where nothing is due.
func (r *rotation) next(m *material, now time.Time) (*material, string, error) {
	switch {
	case m == nil || !now.Before(m.ca.NotAfter): // nothing that could be kept trusted
		return r.first(now)
	case m.leaf == nil || !now.Before(m.leaf.NotAfter) || !m.verifies():
		return r.newLeaf(m, r.names, now, "a certificate that can be served")
	case near(m.ca, now):
		return r.replaceAuthority(m, now)
	}
	own := m.leaf.CheckSignatureFrom(m.ca) == nil
	if !own && !r.trusted(m, now) {
		return nil, "", nil // step 2 first
	}
	switch missing := r.missing(m.leaf); {
	case !own:
		return r.newLeaf(m, r.names, now, "a certificate of the new CA")
	case near(m.leaf, now):
		return r.newLeaf(m, r.names, now, "a new certificate")
	case len(missing) > 0:
		// With the names that it has: a replica of another version may want those.
		return r.newLeaf(m, append(namesOf(m.leaf), missing...), now, "a certificate with further names")
	case len(alive(m.previous, now)) < len(m.previous):
		after := *m
		after.previous = alive(m.previous, now)
		return &after, "without the previous CA, which expired", nil
	}
	return nil, "", nil
}

// near tells whether less than a third of a certificate's life is left.
func near(c *x509.Certificate, now time.Time) bool {
	return c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3
}

func (r *rotation) first(now time.Time) (*material, string, error) {
	m := &material{}
	var err error
	if m.ca, m.caKey, err = newAuthority(now, r.caLifetime); err != nil {
		return nil, "", err
	}
	return r.newLeaf(m, r.names, now, "a CA and a certificate")
}

// replaceAuthority is step 1.
func (r *rotation) replaceAuthority(m *material, now time.Time) (after *material, what string, err error) {
	after = &material{leaf: m.leaf, leafKey: m.leafKey, previous: alive(append([]*x509.Certificate{m.ca}, m.previous...), now)}
	after.ca, after.caKey, err = newAuthority(now, r.caLifetime)
	return after, "a new CA beside the previous one", err
}

func (r *rotation) newLeaf(m *material, names []string, now time.Time, what string) (*material, string, error) {
	after := *m
	var err error
	after.leaf, after.leafKey, err = m.newLeaf(names, now, r.leafLifetime)
	return &after, what, err
}

// verifies tells whether one of the CAs signed the certificate.
func (m *material) verifies() bool {
	signed := func(ca *x509.Certificate) bool { return m.leaf.CheckSignatureFrom(ca) == nil }
	return signed(m.ca) || slices.ContainsFunc(m.previous, signed)
}

// missing are the wanted names that a certificate lacks.
func (r *rotation) missing(leaf *x509.Certificate) (names []string) {
	for _, name := range r.names {
		ip := net.ParseIP(name)
		if ip != nil && slices.ContainsFunc(leaf.IPAddresses, ip.Equal) || ip == nil && slices.Contains(leaf.DNSNames, name) {
			continue
		}
		names = append(names, name)
	}
	return names
}

// saw notes whether every entry of the configuration holds the CA now.
func (r *rotation) saw(m *material, bundles [][]byte, now time.Time) {
	holds := len(bundles) > 0 && !slices.ContainsFunc(bundles, func(bundle []byte) bool {
		return !slices.ContainsFunc(certificates(bundle), m.ca.Equal)
	})
	serial := m.ca.SerialNumber.String()
	switch {
	case !holds:
		r.trustedSince = time.Time{}
	case r.trustedSince.IsZero() || r.trustedSerial != serial:
		r.trustedSince = now
	}
	r.trustedSerial = serial
}

func (r *rotation) trusted(m *material, now time.Time) bool {
	return !r.trustedSince.IsZero() && r.trustedSerial == m.ca.SerialNumber.String() && now.Sub(r.trustedSince) >= r.settle
}
