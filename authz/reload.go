package authz

import (
	"slices"

	"envgate/authz/jwks"
)

// Files lists the files that the configuration was read from: when one changes, it should be read anew.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Adopt takes over from a former configuration what has to outlive a reload. The keys of issuers that were fetched from the
// same address: they are known already. And the former secret, where the file with it changed and no additional one is
// set: the gateway restarts later than the sidecar reloads, so that tokens of both are accepted until the next change.
//
// certain tells that the gateway has not restarted unawares: it is taken to know what it knew under the former
// configuration, and gets tokens signed with that until AfterRestart. Else, after a change, they keep their secret.
func (c *Config) Adopt(former *Config, certain bool) {
	if symmetric(c.Algorithm) {
		c.adoptSecret(former, certain)
	}
	for name, t := range c.trusted {
		if f := former.trusted[name]; f != nil {
			t.adoptKeys(f)
		}
	}
}

// adoptKeys goes on with the key set of the same issuer, where it is fetched as before; or with its keys, where they come
// from the same address.
func (t *trusted) adoptKeys(former *trusted) {
	set, fetched := t.keys.(*jwks.Set)
	known, before := former.keys.(*jwks.Set)
	switch {
	case !fetched || !before || t.JWKSURL != former.JWKSURL || t.DiscoveryURL != former.DiscoveryURL:
	case slices.Equal(t.Algorithms, former.Algorithms) && t.InsecureHTTP == former.InsecureHTTP && t.refresh == former.refresh && t.cooldown == former.cooldown && t.roots == former.roots:
		t.keys = known
	default:
		set.Inherit(known)
	}
}

func (c *Config) adoptSecret(former *Config, certain bool) {
	changed := !c.Secret.same(former.Secret)
	switch {
	case c.AdditionalSecret.IsSet(): // a rotation by the settings: nothing is kept beside
	case changed:
		c.AdditionalSecret, c.keptSecret = former.Secret, true
	case former.keptSecret:
		c.AdditionalSecret, c.keptSecret = former.AdditionalSecret, true
	}
	rotated := c.AdditionalSecret.same(former.Secret) // which the current one can't be
	knows, known := former.keys.knows, former.Secret
	if knows == knowsOther {
		known = former.gatewaySecret
	}
	switch {
	case knows == knowsUnsaid && c.AdditionalSecret.IsSet(), rotated && !certain:
		knows = knowsUnsaid
	case c.Secret.same(known), !c.keptSecret && !c.AdditionalSecret.same(known):
		knows = knowsCurrent
	default:
		knows = knowsOther
	}
	switch {
	case knows == knowsOther:
		c.gatewaySecret = known
	case !changed && c.keptSecret: // as long as the former secret
		c.gatewaySecret = former.gatewaySecret
	}
	c.keys, _ = newKeySet(c) // of secrets: can't fail
	c.keys.knows = knows
}

// secrets lists those that tokens of the gateway's own issuer are accepted under, each once; the first is the current one.
func (c *Config) secrets() (all []Secret) {
	for _, secret := range []Secret{c.Secret, c.AdditionalSecret, c.gatewaySecret} {
		if secret.IsSet() && !slices.ContainsFunc(all, secret.same) {
			all = append(all, secret)
		}
	}
	return all
}

// AwaitsRestart tells whether the gateway is taken to know another secret than the current one until it has restarted.
func (c *Config) AwaitsRestart() bool { return c.keys.knows != knowsCurrent }

// AfterRestart is the same configuration before a gateway that knows the current secret. What was accepted still is.
func (c *Config) AfterRestart() *Config {
	after, keys := *c, *c.keys
	keys.knows = knowsCurrent
	after.keys = &keys
	return &after
}
