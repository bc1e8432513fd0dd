package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"envgate/authz/jwks"
)

// ProtectedResource describes the gateway to OAuth clients (RFC 9728), such as MCP clients that look for where to get a token.
type ProtectedResource struct {
	Path                 string   `yaml:"path" json:"-"` // of the resource, below ENVGATE_PUBLIC_URL and APP_ROOT_PATH; empty: all of it
	AuthorizationServers []string `yaml:"authorization_servers" json:"authorization_servers"`
	ScopesSupported      []string `yaml:"scopes_supported" json:"scopes_supported,omitempty"`
	ServedByGateway      bool     `yaml:"served_by_gateway" json:"-"` // the document is the gateway's own: only challenges name it
}

const wellKnownResource = "/.well-known/oauth-protected-resource"

// check judges the section with the settings that it depends on. The address that clients know comes from the configuration,
// never from a request's Host.
func (p *ProtectedResource) check(c *Config) error {
	switch {
	case p == nil:
		return nil
	case c.PublicURL == nil:
		return errors.New("protected_resource: needs ENVGATE_PUBLIC_URL, the address that clients know")
	case c.PublicURL.Scheme == "http" && !jwks.Loopback(c.PublicURL.Hostname()): // RFC 9728, section 1.2
		return fmt.Errorf("protected_resource: ENVGATE_PUBLIC_URL: %q: want https, or http on loopback to try it", c.PublicURL)
	case c.RootPath != "" && !plainPath(c.RootPath):
		return fmt.Errorf("protected_resource: APP_ROOT_PATH: %q: want a path without what a URL escapes", Printable(c.RootPath))
	case p.Path != "" && (!plainPath(p.Path) || p.Path == "/"):
		return fmt.Errorf("protected_resource: path: %q: want a canonical path that starts with /, without what a URL escapes, or none", Printable(p.Path))
	case p.ServedByGateway && len(p.AuthorizationServers)+len(p.ScopesSupported) > 0:
		return errors.New("protected_resource: served_by_gateway: true, but authorization_servers or scopes_supported is set: what they are is in the gateway's own document: want one of the two")
	case len(p.AuthorizationServers) == 0 && !p.ServedByGateway:
		return errors.New("protected_resource: authorization_servers: missing: want the issuers at which clients get tokens")
	}
	for _, s := range p.AuthorizationServers {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" || !jwks.HasHost(u) || u.User != nil || u.ForceQuery || u.RawQuery != "" || u.Fragment != "" || u.String() != s {
			return fmt.Errorf("protected_resource: authorization_servers: %q: want an https address without user, query and fragment", Printable((&Setting{}).shown(s)))
		}
	}
	for _, s := range p.ScopesSupported {
		if s == "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }) { // RFC 6749, section 3.3
			return fmt.Errorf("protected_resource: scopes_supported: %q: want single scopes, of printable ASCII without space, \" and \\", Printable(s))
		}
	}
	return nil
}

var pathCharacters = regexp.MustCompile(`^[A-Za-z0-9/._~!$&'()*+,=:@-]+$`)

// plainPath tells whether a path is canonical, and can stand in a URL as it is (RFC 3986, section 3.3).
func plainPath(path string) bool { return rooted(path) && pathCharacters.MatchString(path) }

// ResourceMetadata is the address of the protected resource's metadata (RFC 9728, section 3.1), and its path there; "" where
// the policy has none.
func (c *Config) ResourceMetadata() (address, path string) {
	if c.Policy.ProtectedResource == nil {
		return "", ""
	}
	path = c.Policy.ProtectedResource.route(c.RootPath).Path
	return c.origin() + path, path
}

// route is where the metadata is read, by whoever looks for where to get a token, and so without one.
func (p *ProtectedResource) route(root string) Route {
	return Route{Path: wellKnownResource + root + p.Path, Methods: []string{http.MethodGet}, Access: AccessPublic}
}

// Describes tells whether a request for that path is for the protected resource: it, or what lies below it. Of anything else the
// metadata must not be used (RFC 9728, section 3.3).
func (p *ProtectedResource) Describes(path, root string) bool {
	below := strings.TrimSuffix(p.Path, "/") + "/"
	return slices.ContainsFunc(withoutRoot(path, root), func(s string) bool { return s == p.Path || strings.HasPrefix(s, below) })
}

// ResourceMetadata is what check says of the protected resource.
type ResourceMetadata struct {
	Path                 string   `json:"path"` // that challenges are about, and what lies below it
	Address              string   `json:"address"`
	ServedBy             string   `json:"served_by"` // envgate or gateway
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	ScopesSupported      []string `json:"scopes_supported,omitempty"`
}

func (c *Config) resourceReport() *ResourceMetadata {
	p := c.Policy.ProtectedResource
	if p == nil {
		return nil
	}
	r := &ResourceMetadata{Path: c.RootPath + p.Path, ServedBy: "envgate", AuthorizationServers: p.AuthorizationServers, ScopesSupported: p.ScopesSupported}
	r.Address, _ = c.ResourceMetadata()
	if r.Path == "" {
		r.Path = "/"
	}
	if p.ServedByGateway {
		r.ServedBy = "gateway"
	}
	return r
}

func (c *Config) origin() string { return c.PublicURL.Scheme + "://" + c.PublicURL.Host }

// ResourceDocument is the metadata that envgate serves; nil where it serves none.
func (c *Config) ResourceDocument() []byte {
	p := c.Policy.ProtectedResource
	if p == nil || p.ServedByGateway {
		return nil
	}
	document, _ := json.Marshal(struct {
		Resource string `json:"resource"`
		*ProtectedResource
		BearerMethods []string `json:"bearer_methods_supported"`
	}{c.origin() + c.RootPath + p.Path, p, []string{"header"}}) // strings: can't fail
	return document
}
