package authz

import (
	"crypto"
	"fmt"
)

// Crossing says whether a token of one environment works in another, and what keeps it out or lets it in. It is how the
// settings decide it, before any token was seen.
type Crossing struct {
	Works bool
	Known bool // false: it depends on a key that isn't known
	Key   bool // the other accepts its signature
	Why   string
	Set   string // what to change; empty where it doesn't work
}

const ownKey = "give each environment a JWT_SECRET_KEY (or key pair) of its own"

// Cross tells what becomes of a token of c, as its gateway (or the sidecar before it) issues it or issued it under the
// additional keys of a rotation, at other. unread says that some key of one of the two is not in its configuration: what the
// others decide is said, and what else keeps tokens out whatever the keys are.
func (c *Config) Cross(other *Config, unread bool) Crossing {
	if why := other.forgeable(); why != "" {
		return Crossing{true, true, false, why, "make a secret: openssl rand -hex 32"}
	}
	current, additional := c.accepted(other)
	switch {
	case current:
		return c.admitted(other, "key", "the key is the same")
	case additional:
		return c.admitted(other, "additional key", "an additional key is accepted there")
	case c.Algorithm != other.Algorithm:
		return Crossing{Known: true, Why: "the algorithm differs"}
	case !unread:
		return Crossing{Known: true, Why: "the key differs"}
	}
	x := c.admitted(other, "key", "the key may be the same")
	if x.Works {
		return Crossing{Works: true, Why: "a key can't be read here, or is said twice", Set: "run the audit where the files are, or compare them by hand"}
	}
	x.Key = false
	return x
}

// leastUnguessable is the length of a secret, in bytes, below which it counts as one that can be guessed (RFC 7518, section 3.2).
const leastUnguessable = 32

// forgeable says why anybody can sign tokens for the environment; empty where it takes its key.
func (c *Config) forgeable() string {
	if !symmetric(c.Algorithm) {
		return ""
	}
	for _, of := range []struct {
		name   string
		secret Secret
	}{{"secret", c.Secret}, {"additional secret", c.AdditionalSecret}} {
		switch {
		case !of.secret.IsSet():
		case published(of.secret):
			return "anybody can sign for it: its " + of.name + " is a published one"
		case of.secret.Len() < leastUnguessable:
			return fmt.Sprintf("its %s can be guessed from one token: it has %d bytes, fewer than %d", of.name, of.secret.Len(), leastUnguessable)
		}
	}
	return ""
}

// admitted judges by all but the key, of which it is said what they have in common.
func (c *Config) admitted(other *Config, key, inCommon string) Crossing {
	all := "same " + key + ", issuer and audience, and "
	switch {
	case other.CheckIssuer && c.Issuer != other.Issuer:
		return Crossing{Known: true, Key: true, Why: "the issuer differs, though " + inCommon}
	case other.CheckAudience && c.Audience != other.Audience:
		return Crossing{Known: true, Key: true, Why: "the audience differs, though " + inCommon}
	case other.Mode == ModeReport:
		return Crossing{true, true, true, all + "the mode there is report", "set ENVGATE_MODE=enforce there; " + ownKey}
	case c.Environment == other.Environment:
		return Crossing{true, true, true, all + "the same ENVIRONMENT", "set ENVGATE_ENVIRONMENT to names of their own; " + ownKey}
	case other.Rule != RuleEnforce:
		return Crossing{true, true, true, all + "env is not enforced there", "set VALIDATE_TOKEN_ENVIRONMENT=true or ENVGATE_ENVIRONMENT_RULE=enforce there; " + ownKey}
	case c.Embed:
		return Crossing{Known: true, Key: true, Why: "env differs, though " + inCommon + "; tokens from before embedding pass, unless missing ones are denied"}
	case other.DenyMissing:
		return Crossing{Known: true, Key: true, Why: "its tokens carry no env, which is denied there, though " + inCommon}
	}
	return Crossing{true, true, true, all + "its tokens carry no env", "set EMBED_ENVIRONMENT_IN_TOKENS=true, then ENVGATE_MISSING_ENVIRONMENT=deny; " + ownKey}
}

// accepted tells whether another configuration has a key for the tokens of this one: those that it issues, and those that it
// accepts under an additional key, which are as alive.
func (c *Config) accepted(other *Config) (current, additional bool) {
	if c.Algorithm != other.Algorithm {
		return false, false
	}
	for _, mine := range c.keys.keys {
		if mine.base {
			continue
		}
		issuing := mine.verify
		if c.Translate == TranslateAccept { // clients get them as the gateway signs them
			issuing = mine.gateway
		}
		for _, k := range other.keys.keys {
			if equalKeys(issuing, k.verify) {
				current, additional = current || !mine.additional, additional || mine.additional
			}
		}
	}
	return current, additional
}

// equalKeys compares two keys that verify.
func equalKeys(a, b any) bool {
	if secret, ok := a.([]byte); ok {
		return sameKey(b, secret)
	}
	public, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b)
}

// SameSecret tells whether both derive their keys from one secret, current or additional: who holds it can sign for both.
func (c *Config) SameSecret(other *Config) bool {
	if !symmetric(c.Algorithm) || !symmetric(other.Algorithm) {
		return false
	}
	for _, mine := range []Secret{c.Secret, c.AdditionalSecret} {
		for _, theirs := range []Secret{other.Secret, other.AdditionalSecret} {
			if mine.IsSet() && mine.same(theirs) {
				return true
			}
		}
	}
	return false
}
