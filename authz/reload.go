package authz

import (
	"reflect"
	"slices"

	"envgate/authz/jwks"
)

// Files lists the files that the configuration was read from: when one changes, it should be read anew.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Adopt takes over from a former configuration what has to outlive a reload: the key sets of issuers that are configured
// as they were, whose keys are known already.
func (c *Config) Adopt(former *Config) {
	for name, t := range c.trusted {
		f := former.trusted[name]
		if _, fetched := t.keys.(*jwks.Set); fetched && f != nil && reflect.DeepEqual(f.TrustedIssuer, t.TrustedIssuer) && f.roots == t.roots {
			t.keys = f.keys
		}
	}
}
