package authz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"envgate/authz/jwks"
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
	Environment  *string  `yaml:"environment" json:"environment"`           // ignore (the default, not nil) or check
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
			return fmt.Errorf("%s: %q: %w", name, Printable(printableAddress(address)), err)
		}
	}
	if len(t.PublicKeys) > 0 && (t.CAFile != "" || t.InsecureHTTP || t.Refresh != "" || t.Cooldown != "") {
		return errors.New("ca_file, insecure_http, refresh and cooldown are for keys that are fetched, not for public_keys")
	}
	switch {
	case t.Environment == nil:
		t.Environment = new(environmentIgnore)
	case *t.Environment != environmentIgnore && *t.Environment != environmentCheck:
		return fmt.Errorf("environment: %q: want ignore or check", Printable(*t.Environment))
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

// printable is the entry as check shows it: addresses without what may be a key in them, and how keys are fetched.
func (t TrustedIssuer) printable() TrustedIssuer {
	t.JWKSURL, t.DiscoveryURL = printableAddress(t.JWKSURL), printableAddress(t.DiscoveryURL)
	if len(t.PublicKeys) == 0 {
		t.Refresh, t.Cooldown = t.refresh.String(), t.cooldown.String()
	}
	return t
}

// fetched says in words where keys come from, and how.
func (t TrustedIssuer) fetched() string {
	if len(t.PublicKeys) > 0 {
		return "from " + strings.Join(t.PublicKeys, " ")
	}
	words := t.JWKSURL + t.DiscoveryURL + ", every " + t.Refresh + ", for unknown keys " + t.Cooldown + " apart"
	if t.CAFile != "" {
		words += ", ca_file " + PrintablePath(t.CAFile)
	}
	if t.InsecureHTTP {
		words += ", http allowed: whoever can answer in its place can sign tokens"
	}
	return words
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
