package authz

import (
	"fmt"
	"slices"
	"strings"
)

// TakePolicy reads the policy that the settings of another machine name, for CrossIssuers. Files that it names are not opened.
// One that can't be read here has no issuers.
func (c *Config) TakePolicy(name string) (read bool, err error) {
	c.Policy = &Policy{}
	text, err := PolicyText(name)
	if err != nil {
		return false, nil
	}
	if c.Policy, err = ParsePolicy(text); err != nil {
		return true, redactAll([]error{fmt.Errorf("ENVGATE_POLICY (--policy): %q: %w", PrintablePath(name), err)}, c.Secret, c.AdditionalSecret)
	}
	return true, nil
}

const ownAudience = "if they are not meant for both: give each environment an audience of its own in the policies' audiences, and at the issuer; or set environment: check there, " +
	"with ENVGATE_MISSING_ENVIRONMENT=deny, where the issuer's tokens carry env"

// CrossIssuers tells what becomes of tokens of issuers beside the gateway's own, which c accepts, at other. It is the zero
// Crossing where other accepts none of them.
func (c *Config) CrossIssuers(other *Config) Crossing {
	mine := slices.Clone(c.Policy.Issuers)
	if !symmetric(c.Algorithm) { // other's policy may trust c itself
		paths := append([]string{c.PublicKeyPath}, c.AdditionalPublicKeyPaths...)
		mine = append(mine, TrustedIssuer{Issuer: c.Issuer, Audiences: []string{c.Audience}, Algorithms: []string{c.Algorithm}, PublicKeys: paths})
	}
	var works, may []string
	for _, there := range other.Policy.Issuers {
		i := slices.IndexFunc(mine, func(t TrustedIssuer) bool { return t.Issuer == there.Issuer })
		if i < 0 {
			continue
		}
		audience := common(mine[i].Audiences, there.Audiences)
		passes := c.passes(other, mine[i].Environment, *there.Environment)
		if audience == "" || passes == "" || common(mine[i].Algorithms, there.Algorithms) == "" {
			continue
		}
		tokens := "tokens of issuer " + Printable(there.Issuer) + " for " + Printable(audience)
		switch same, known := mine[i].sameKeys(&there); {
		case same:
			works = append(works, tokens+" work in both, as "+passes)
		case !known:
			may = append(may, tokens+" may work in both: whether its keys are the same can't be known here")
		}
	}
	if len(works)+len(may) == 0 {
		return Crossing{}
	}
	return Crossing{Works: true, Known: len(works) > 0, Why: strings.Join(append(works, may...), "; "), Set: ownAudience}
}

// passes says why a token that an issuer made for c, whose policy has mine for it (nil: it is c's own), passes the environment
// rule of other; empty where it doesn't.
func (c *Config) passes(other *Config, mine *string, theirs string) string {
	switch {
	case other.Mode == ModeReport:
		return "the mode there is report"
	case theirs == environmentIgnore:
		return "environment is ignore there"
	case other.Rule != RuleEnforce:
		return "env is not enforced there"
	case c.Environment == other.Environment:
		return "ENVIRONMENT is the same"
	case other.DenyMissing, c.DenyMissing && c.Rule == RuleEnforce && c.Mode == ModeEnforce && mine != nil && *mine == environmentCheck:
		return "" // without env they are good for one of the two at most
	}
	return "those without env are allowed there"
}

// sameKeys tells whether two entries for one issuer have a key in common, and whether that can be known.
func (t *TrustedIssuer) sameKeys(other *TrustedIssuer) (same, known bool) {
	if t.JWKSURL+t.DiscoveryURL != "" && t.JWKSURL == other.JWKSURL && t.DiscoveryURL == other.DiscoveryURL {
		return true, true
	}
	known = len(t.PublicKeys) > 0 && len(other.PublicKeys) > 0
	for _, mine := range t.PublicKeys {
		for _, theirs := range other.PublicKeys {
			a, err := readAnyPublicKey(mine)
			b, err2 := readAnyPublicKey(theirs)
			if err != nil || err2 != nil {
				known = false
			} else if equalKeys(a, b) {
				return true, true
			}
		}
	}
	return false, known
}

// common is the first text that two lists have in common.
func common(a, b []string) string {
	for _, s := range a {
		if slices.Contains(b, s) {
			return s
		}
	}
	return ""
}
