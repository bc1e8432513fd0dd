package authz

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"envgate/authz/jwks"

	"github.com/golang-jwt/jwt/v5"
)

// TrustedIssuer is a further issuer whose tokens are accepted, beside the gateway's own: an identity provider. Its keys are
// public ones, from a key set's address, from a discovery document, or from PEM files.
type TrustedIssuer struct {
	Issuer       string   `yaml:"issuer" json:"issuer"`
	Audiences    []string `yaml:"audiences" json:"audiences"`   // a token must be for one of them
	Algorithms   []string `yaml:"algorithms" json:"algorithms"` // pinned; never HS*
	JWKSURL      string   `yaml:"jwks_url" json:"jwks_url,omitempty"`
	DiscoveryURL string   `yaml:"discovery_url" json:"discovery_url,omitempty"`
	PublicKeys   []string `yaml:"public_keys" json:"public_keys,omitempty"` // paths of PEM files
	Environment  string   `yaml:"environment" json:"environment"`           // ignore (the default) or check
	CAFile       string   `yaml:"ca_file" json:"ca_file,omitempty"`
	InsecureHTTP bool     `yaml:"insecure_http" json:"insecure_http,omitempty"`
	Refresh      string   `yaml:"refresh" json:"refresh,omitempty"`   // between fetches on schedule, 10m
	Cooldown     string   `yaml:"cooldown" json:"cooldown,omitempty"` // between fetches that unknown key ids cause, 30s

	refresh, cooldown time.Duration
}

// Values of TrustedIssuer.Environment.
const (
	environmentIgnore = "ignore" // the environment rule leaves this issuer's tokens alone
	environmentCheck  = "check"
)

// check judges one entry of a policy's issuers, and fills in what has a default.
func (t *TrustedIssuer) check() error {
	if t.Issuer == "" {
		return errors.New("issuer: missing: want the iss of its tokens")
	}
	if len(t.Audiences) == 0 || slices.Contains(t.Audiences, "") {
		return errors.New("audiences: want the names that a token must be for one of")
	}
	if len(t.Algorithms) == 0 {
		return errors.New("algorithms: missing: want those that its keys sign with")
	}
	for _, a := range t.Algorithms {
		if !slices.Contains(Algorithms, a) || symmetric(a) {
			return fmt.Errorf("algorithms: %q: want some of %s", Printable(a), strings.Join(Algorithms[3:], ", "))
		}
	}
	sources := 0
	for _, given := range []bool{t.JWKSURL != "", t.DiscoveryURL != "", len(t.PublicKeys) > 0} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return errors.New("want exactly one of jwks_url, discovery_url or public_keys")
	}
	for name, address := range map[string]string{"jwks_url": t.JWKSURL, "discovery_url": t.DiscoveryURL} {
		if address == "" {
			continue
		}
		if err := jwks.CheckURL(address, t.InsecureHTTP); err != nil {
			return fmt.Errorf("%s: %q: %w", name, Printable((&Setting{}).shown(address)), err)
		}
	}
	if len(t.PublicKeys) > 0 && (t.CAFile != "" || t.InsecureHTTP || t.Refresh != "" || t.Cooldown != "") {
		return errors.New("ca_file, insecure_http, refresh and cooldown are for keys that are fetched, not for public_keys")
	}
	switch t.Environment {
	case "":
		t.Environment = environmentIgnore
	case environmentIgnore, environmentCheck:
	default:
		return fmt.Errorf("environment: %q: want ignore or check", Printable(t.Environment))
	}
	var err error
	if t.refresh, err = interval(t.Refresh, jwks.Refresh, time.Minute, 24*time.Hour); err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	if t.cooldown, err = interval(t.Cooldown, jwks.Cooldown, time.Second, time.Hour); err != nil {
		return fmt.Errorf("cooldown: %w", err)
	}
	return nil
}

func interval(s string, otherwise, least, most time.Duration) (time.Duration, error) {
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: want a duration from %s to %s", Printable(s), least, most)
	}
	return d, nil
}

// checkIssuers refuses an issuer that is listed twice.
func checkIssuers(all []TrustedIssuer) error {
	for i := range all {
		if err := all[i].check(); err != nil {
			return fmt.Errorf("issuers[%d] %s: %w", i, Printable(all[i].Issuer), err)
		}
		for _, before := range all[:i] {
			if before.Issuer == all[i].Issuer {
				return fmt.Errorf("issuers[%d] %s: listed twice", i, Printable(before.Issuer))
			}
		}
	}
	return nil
}

// keySource finds the keys that a token of one issuer may be verified with, by its key id (empty: none) and algorithm.
type keySource interface {
	Keys(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error)
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
		if fits("", key, algorithm) == nil {
			found = append(found, key)
		}
	}
	return found, nil
}

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
			text, err := os.ReadFile(t.CAFile)
			if err != nil {
				return nil, "", fmt.Errorf("ca_file: %q: %w", Printable(t.CAFile), errors.Unwrap(err))
			}
			o.Roots = x509.NewCertPool()
			if !o.Roots.AppendCertsFromPEM(text) {
				return nil, "", fmt.Errorf("ca_file: %q: holds no PEM certificate", Printable(t.CAFile))
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
		if !slices.ContainsFunc(t.Algorithms, func(a string) bool { return fits(path, key, a) == nil }) {
			return nil, "", fmt.Errorf("public_keys: %q: a key for none of %s", Printable(path), strings.Join(t.Algorithms, ", "))
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
		if t.Environment == environmentCheck {
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
func (t *trusted) signature(ctx context.Context, token string, p parsed) Verdict {
	if t.keys.Status().Keys == 0 {
		return Verdict{Reason: KeysUnavailable}
	}
	if !slices.Contains(t.Algorithms, p.algorithm) {
		return Verdict{Reason: Algorithm}
	}
	keys, err := t.keys.Keys(ctx, p.keyID, p.algorithm)
	if err != nil {
		return Verdict{Reason: UnknownKey}
	}
	method := jwt.GetSigningMethod(p.algorithm)
	for _, key := range keys {
		if p.signature != nil && method.Verify(p.signed, p.signature, key) == nil {
			return Verdict{Verified: true, Issuer: t.Issuer, forward: token}
		}
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
	p, ok := parseToken(token)
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
