package authz

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"envgate/authz/jwks"

	"github.com/golang-jwt/jwt/v5"
)

// keySource finds the keys that a token of one issuer may be verified with, by its key id (empty: none) and algorithm.
type keySource interface {
	Keys(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error)
	Knows(kid, algorithm string) bool                 // that very id: another look at where the keys come from can't help
	Refresh(ctx context.Context, version uint64) bool // looks again, and tells whether the keys are others since that version
	Status() jwks.Status
	Version() uint64 // changes with the keys
}

// pemKeys are an issuer's keys from files. They have no ids.
type pemKeys struct {
	keys []crypto.PublicKey
	read time.Time
}

// Keys lists the keys that fit the algorithm.
func (p *pemKeys) Keys(_ context.Context, _, algorithm string) (found []crypto.PublicKey, _ error) {
	for _, key := range p.keys {
		if fits("", key, "", algorithm) == nil {
			found = append(found, key)
		}
	}
	return found, nil
}

// Knows says that no other keys are to be had.
func (p *pemKeys) Knows(string, string) bool { return true }

// Refresh does nothing.
func (p *pemKeys) Refresh(context.Context, uint64) bool { return false }

// Status tells how many keys there are, and when they were read.
func (p *pemKeys) Status() jwks.Status { return jwks.Status{Keys: len(p.keys), Fetched: p.read} }

// Version never changes: files are read once for each configuration.
func (p *pemKeys) Version() uint64 { return 0 }

// source opens where an issuer's keys come from, and gives the certificates that a fetch trusts. Nothing is fetched yet.
func (t *TrustedIssuer) source() (_ keySource, roots string, err error) {
	if len(t.PublicKeys) == 0 {
		o := jwks.Options{
			Issuer: t.Issuer, URL: t.JWKSURL, DiscoveryURL: t.DiscoveryURL, Algorithms: t.Algorithms, InsecureHTTP: t.InsecureHTTP,
			Refresh: t.refresh, Cooldown: t.cooldown, Timeout: jwks.Timeout,
		}
		if t.CAFile != "" {
			text, err := readFile(t.CAFile)
			if err != nil {
				return nil, "", fmt.Errorf("ca_file: %w", err)
			}
			o.Roots = x509.NewCertPool()
			if !o.Roots.AppendCertsFromPEM(text) {
				return nil, "", fmt.Errorf("ca_file: %q: holds no PEM certificate", PrintablePath(t.CAFile))
			}
			roots = string(text)
		}
		return jwks.New(o), roots, nil
	}
	p := &pemKeys{read: time.Now()}
	for _, path := range t.PublicKeys {
		key, err := readAnyPublicKey(path)
		if err != nil {
			return nil, "", fmt.Errorf("public_keys: %w", err)
		}
		if err := fits(path, key, "algorithms are", t.Algorithms...); err != nil {
			return nil, "", fmt.Errorf("public_keys: %w", err)
		}
		p.keys = append(p.keys, key)
	}
	return p, "", nil
}

// terms are what the claims of one issuer's tokens must fulfil.
type terms struct {
	issuer        string
	checkIssuer   bool
	audiences     []string // one of them
	checkAudience bool
	rule          Rule
}

// trusted is a further issuer with its keys.
type trusted struct {
	TrustedIssuer
	terms terms
	keys  keySource
	roots string // the certificates of ca_file
}

// trust opens the keys of the policy's issuers, and writes down the terms of each.
func (c *Config) trust() error {
	c.own = terms{c.Issuer, c.CheckIssuer, []string{c.Audience}, c.CheckAudience, c.Rule}
	c.trusted = make(map[string]*trusted, len(c.Policy.Issuers))
	for i, t := range c.Policy.Issuers {
		if t.Issuer == c.Issuer {
			return fmt.Errorf("issuers[%d] %s: is JWT_ISSUER, whose keys are settings: want another issuer", i, Printable(t.Issuer))
		}
		keys, roots, err := t.source()
		if err != nil {
			return fmt.Errorf("issuers[%d] %s: %w", i, Printable(t.Issuer), err)
		}
		of := terms{t.Issuer, true, t.Audiences, true, RuleOff}
		if *t.Environment == environmentCheck {
			of.rule = c.Rule
		}
		c.trusted[t.Issuer] = &trusted{t, of, keys, roots}
		c.files = append(c.files, t.PublicKeys...)
		if t.CAFile != "" {
			c.files = append(c.files, t.CAFile)
		}
	}
	return nil
}

// signature verifies a token of a further issuer. Nothing is tried but that issuer's keys.
func (t *trusted) signature(ctx context.Context, token string, p *parsed) Verdict {
	if t.keys.Status().Keys == 0 {
		return Verdict{Reason: KeysUnavailable}
	}
	if !slices.Contains(t.Algorithms, p.algorithm) {
		return Verdict{Reason: Algorithm}
	}
	method := jwt.GetSigningMethod(p.algorithm)
	for again := true; again; {
		version := t.keys.Version()
		keys, err := t.keys.Keys(ctx, p.keyID, p.algorithm)
		if err != nil {
			return Verdict{Reason: UnknownKey}
		}
		for _, key := range keys {
			if p.signature != nil && method.Verify(p.signed, p.signature, key) == nil {
				return Verdict{Verified: true, Issuer: t.Issuer, forward: token}
			}
		}
		if p.signature == nil || t.keys.Knows(p.keyID, p.algorithm) {
			return Verdict{Reason: Signature}
		}
		again = t.keys.Refresh(ctx, version)
	}
	if p.keyID != "" {
		return Verdict{Reason: UnknownKey}
	}
	return Verdict{Reason: Signature}
}

// IssuerKeys is a further issuer as others see it: its name, how many keys of it are known, and since when.
type IssuerKeys struct {
	Issuer string
	jwks.Status
}

// IssuerKeys lists the further issuers in the order of the policy.
func (c *Config) IssuerKeys() (all []IssuerKeys) {
	for _, t := range c.Policy.Issuers {
		all = append(all, IssuerKeys{t.Issuer, c.trusted[t.Issuer].keys.Status()})
	}
	return all
}

// Fetched lists the issuers whose keys are fetched: each set must be run for there to be keys.
func (c *Config) Fetched() map[string]*jwks.Set {
	sets := map[string]*jwks.Set{}
	for name, t := range c.trusted {
		if set, ok := t.keys.(*jwks.Set); ok {
			sets[name] = set
		}
	}
	return sets
}

// Fetch fetches the keys of the further issuer that a token claims to be of, if they are fetched at all: for a command that
// judges one token, and runs no key set.
func (g *Guard) Fetch(ctx context.Context, token string) error {
	if len(token) > g.c.MaxTokenBytes {
		return nil
	}
	p, ok := newParsed(token)
	t := g.v.trusted(p)
	if !ok || t == nil {
		return nil
	}
	set, fetched := t.keys.(*jwks.Set)
	if !fetched {
		return nil
	}
	if err := set.Fetch(ctx); err != nil {
		return fmt.Errorf("keys of %s can't be fetched: %w", Printable(t.Issuer), err)
	}
	return nil
}
