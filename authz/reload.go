package authz

import (
	"reflect"
	"slices"

	"envgate/authz/jwks"
)

// Files lists the files that the configuration was read from: when one changes, it should be read anew.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Adopt takes over from a former configuration what has to outlive a reload. The key sets of issuers that are configured as
// they were: their keys are known already. And the former secret, where the file with it changed and no additional one is
// set: the gateway restarts later than the sidecar reloads, so that tokens of both are accepted until the next change. Where
// a restart of the gateway is noticed, it gets the tokens signed as it knows them before and after; else as they came.
func (c *Config) Adopt(former *Config, noticed bool) {
	c.adoptSecret(former, noticed)
	for name, t := range c.trusted {
		f := former.trusted[name]
		if _, fetched := t.keys.(*jwks.Set); fetched && f != nil && reflect.DeepEqual(f.TrustedIssuer, t.TrustedIssuer) && f.roots == t.roots {
			t.keys = f.keys
		}
	}
}

func (c *Config) adoptSecret(former *Config, noticed bool) {
	if !symmetric(c.Algorithm) || c.AdditionalSecret.IsSet() || !former.Secret.IsSet() {
		return
	}
	knows := knowsUnsaid
	switch {
	case !c.Secret.same(former.Secret):
		c.AdditionalSecret = former.Secret
		if noticed {
			knows = knowsFormer
		}
	case former.formerSecret:
		c.AdditionalSecret, knows = former.AdditionalSecret, former.keys.knows
	default:
		return
	}
	c.formerSecret = true
	c.keys, _ = newKeySet(c) // of secrets: can't fail
	c.keys.knows = knows
}

// AwaitsRestart tells whether the gateway is taken to know the former secret until it has restarted.
func (c *Config) AwaitsRestart() bool { return c.keys != nil && c.keys.knows == knowsFormer }

// AfterRestart is the same configuration before a gateway that knows the current secret.
func (c *Config) AfterRestart() *Config {
	after, keys := *c, *c.keys
	keys.knows = knowsCurrent
	after.keys = &keys
	return &after
}
