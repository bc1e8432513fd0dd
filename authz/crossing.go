package authz

import "crypto"

// Crossing says whether a token of one environment works in another, and what keeps it out or lets it in. It is how the
// settings decide it, before any token was seen.
type Crossing struct {
	Works bool
	Key   bool // the other accepts its signature
	Why   string
	Set   string // what to change; empty where it doesn't work
}

// Cross tells what becomes of a token of c, as its gateway (or the sidecar before it) issues it, at other. Both keys are
// taken to be known: whether they are is for the caller to say.
func (c *Config) Cross(other *Config) Crossing {
	const ownKey = "give each environment a JWT_SECRET_KEY (or key pair) of its own"
	key := c.accepted(other)
	switch {
	case symmetric(other.Algorithm) && published(other.Secret):
		return Crossing{true, key, "anybody can sign for it: its secret is a published one", "make a secret: openssl rand -hex 32"}
	case !key:
		return Crossing{Why: "the key differs"}
	case other.CheckIssuer && c.Issuer != other.Issuer:
		return Crossing{Key: true, Why: "the issuer differs, though the key is the same"}
	case other.CheckAudience && c.Audience != other.Audience:
		return Crossing{Key: true, Why: "the audience differs, though the key and the issuer are the same"}
	case other.Mode == ModeReport:
		return Crossing{true, true, "same key, issuer and audience, and the mode there is report", "set ENVGATE_MODE=enforce there; " + ownKey}
	case c.Environment == other.Environment:
		return Crossing{true, true, "same key, issuer and audience, and the same ENVIRONMENT", "set ENVGATE_ENVIRONMENT to names of their own; " + ownKey}
	case other.Rule != RuleEnforce:
		return Crossing{true, true, "same key, issuer and audience, and env is not enforced there", "set VALIDATE_TOKEN_ENVIRONMENT=true or ENVGATE_ENVIRONMENT_RULE=enforce there; " + ownKey}
	case c.Embed:
		return Crossing{Key: true, Why: "env differs, though key, issuer and audience are the same; tokens from before embedding pass, unless missing ones are denied"}
	case other.DenyMissing:
		return Crossing{Key: true, Why: "its tokens carry no env, which is denied there, though key, issuer and audience are the same"}
	}
	return Crossing{true, true, "same key, issuer and audience, and its tokens carry no env", "set EMBED_ENVIRONMENT_IN_TOKENS=true, then ENVGATE_MISSING_ENVIRONMENT=deny; " + ownKey}
}

// accepted tells whether another configuration has a key for the tokens of this one.
func (c *Config) accepted(other *Config) bool {
	if c.Algorithm != other.Algorithm {
		return false
	}
	issuing := c.keys.keys[0].verify
	if c.Translate == TranslateAccept { // clients get them as the gateway signs them
		issuing = c.keys.keys[0].gateway
	}
	for _, k := range other.keys.keys {
		if equalKeys(issuing, k.verify) {
			return true
		}
	}
	return false
}

// equalKeys compares two keys that verify.
func equalKeys(a, b any) bool {
	if secret, ok := a.([]byte); ok {
		return sameKey(b, secret)
	}
	public, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b)
}

// SameSecret tells whether both derive their keys from one secret: who holds it can sign for both.
func (c *Config) SameSecret(other *Config) bool {
	return symmetric(c.Algorithm) && symmetric(other.Algorithm) && c.Secret.IsSet() && c.Secret.same(other.Secret)
}
