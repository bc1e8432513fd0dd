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
	Set   string // what to change; where it doesn't work, only if a key is in common all the same
}

const (
	ownKey     = "give each environment a JWT_SECRET_KEY (or key pair) of its own"
	whoHoldsIt = "who holds the key can sign for both: " + ownKey
)

// Doubt says what can't be known of an environment's keys.
type Doubt int

// The doubts, the greater ones being more.
const (
	KeysKnown    Doubt = iota
	KeysUnread         // some key isn't in the configuration: what the others decide is said
	KeysDisputed       // different ones are said, and the configuration has but one: none of them decides
)

// Cross tells what becomes of a token of c, as its gateway (or the sidecar before it) issues it or issued it under the
// additional keys of a rotation, or before it embedded env, at other. Whatever is in doubt about the keys of the two: what keeps
// tokens out whatever the keys are is said.
func (c *Config) Cross(other *Config, mine, theirs Doubt) Crossing {
	x := c.cross(other, mine, theirs)
	switch {
	case x.Works || max(mine, theirs) == KeysDisputed:
	case x.Key:
		x.Set = whoHoldsIt
	case c.sameSecret(other):
		x.Why += "; both have one secret: who holds that can sign for both"
		x.Set = ownKey
	}
	return x
}

func (c *Config) cross(other *Config, mine, theirs Doubt) Crossing {
	if why := other.forgeable(); why != "" {
		if theirs == KeysDisputed {
			why += ", if that one counts: another is said, too"
		}
		return Crossing{true, theirs != KeysDisputed, false, why, "make a secret: openssl rand -hex 32"}
	}
	current, additional := c.accepted(other)
	doubt := max(mine, theirs)
	switch {
	case c.Algorithm != other.Algorithm:
		return Crossing{Known: true, Why: "the algorithm differs"}
	case doubt == KeysDisputed:
	case current:
		return c.admitted(other, "key", "the key is the same")
	case additional:
		return c.admitted(other, "additional key", "an additional key is accepted there")
	case doubt == KeysKnown:
		return Crossing{Known: true, Why: "the key differs"}
	}
	x := c.admitted(other, "key", "the key may be the same")
	switch x.Key = false; {
	case x.Works && doubt == KeysDisputed:
		return Crossing{Works: true, Why: "the key may be the same: it is said twice, differently", Set: "leave out the objects that are not the gateway's"}
	case x.Works:
		return Crossing{Works: true, Why: "the key may be the same: one can't be read here", Set: "run the audit where the files are, or compare them by hand"}
	}
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
	case other.DenyMissing && c.Embed:
		return Crossing{Known: true, Key: true, Why: "env differs, though " + inCommon}
	case other.DenyMissing:
		return Crossing{Known: true, Key: true, Why: "its tokens carry no env, which is denied there, though " + inCommon}
	case c.Embed:
		return Crossing{true, true, true, all + "its tokens from before embedding carry no env, which is allowed there", "set ENVGATE_MISSING_ENVIRONMENT=deny there, once " + other.expired() + "; " + ownKey}
	}
	return Crossing{true, true, true, all + "its tokens carry no env", "set EMBED_ENVIRONMENT_IN_TOKENS=true, then ENVGATE_MISSING_ENVIRONMENT=deny; " + ownKey}
}

// expired says after what the environment can deny tokens without env.
func (c *Config) expired() string {
	const since = "tokens without env have expired (envgate_tokens_without_environment_total stays flat)"
	if !c.Embed {
		return "it has EMBED_ENVIRONMENT_IN_TOKENS=true, too, and " + since
	}
	return since
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

// sameSecret tells whether both derive their keys from one secret, current or additional: who holds it can sign for both.
func (c *Config) sameSecret(other *Config) bool {
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
