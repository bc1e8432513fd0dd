package authz

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed policies/*.yaml
var policies embed.FS

// Policy is the YAML file with the lists that settings can't hold. It never holds a secret.
type Policy struct {
	Routes       []Route  `yaml:"routes"`
	Tokens       Carriers `yaml:"tokens"`
	Basic        []string `yaml:"basic"`
	LoginPage    string   `yaml:"login_page"`
	StripHeaders []string `yaml:"strip_headers"`
	Bind         Bind     `yaml:"bind"`

	Issuers  []TrustedIssuer `yaml:"issuers"`
	Issuance []Issuance      `yaml:"issuance"`

	ProtectedResource *ProtectedResource `yaml:"protected_resource"`
}

// Bind names the environment variables that say where the gateway listens, so that injection can move it. Empty where the
// gateway has none.
type Bind struct {
	HostEnv string `yaml:"host_env"`
	PortEnv string `yaml:"port_env"`
}

// Carriers says where tokens are read beside the auth header.
type Carriers struct {
	Cookies []string     `yaml:"cookies"`
	Query   []QueryToken `yaml:"query"`
}

// QueryToken is a query parameter that carries a token on one path.
type QueryToken struct {
	Path string `yaml:"path"`
	Name string `yaml:"name"`
}

// Access is what a route asks for.
type Access string

// The values of Access.
const (
	AccessPublic    Access = "public"
	AccessProtected Access = "protected"
)

// Route matches requests by exactly one of Path, Prefix or Suffix, and by method. No methods means every method.
type Route struct {
	Path    string   `yaml:"path" json:"path,omitempty"`
	Prefix  string   `yaml:"prefix" json:"prefix,omitempty"`
	Suffix  string   `yaml:"suffix" json:"suffix,omitempty"`
	Methods []string `yaml:"methods" json:"methods,omitempty"`
	Access  Access   `yaml:"access" json:"access"`
}

// String is the route as a person would name it: /health, /static/*, *.json
func (r Route) String() string {
	switch {
	case r.Prefix != "":
		return r.Prefix + "*"
	case r.Suffix != "":
		return "*" + r.Suffix
	}
	return r.Path
}

// BuiltinPolicies lists the names of the policies in the binary.
func BuiltinPolicies() (names []string) {
	entries, _ := policies.ReadDir("policies")
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// PolicyText returns the YAML of a built-in policy, or of the file at that path.
func PolicyText(name string) ([]byte, error) {
	if slices.Contains(BuiltinPolicies(), name) {
		return policies.ReadFile(path.Join("policies", name+".yaml"))
	}
	b, err := readRegular(name)
	if err != nil {
		return nil, fmt.Errorf("neither a built-in policy (%s) nor a readable file: %w", strings.Join(BuiltinPolicies(), ", "), err)
	}
	return b, nil
}

// LoadPolicy reads and checks a built-in policy or a file.
func LoadPolicy(name string) (*Policy, error) {
	b, err := PolicyText(name)
	if err != nil {
		return nil, err
	}
	return ParsePolicy(b)
}

// ParsePolicy decodes strictly: an unknown or repeated key is an error with line and column.
func ParsePolicy(b []byte) (*Policy, error) {
	p := &Policy{}
	if len(b) > 1<<20 {
		return nil, errors.New("larger than 1 MiB")
	}
	if err := p.decode(b); err != nil {
		return nil, err
	}
	for i, r := range p.Routes {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("routes[%d] %s: %w", i, Printable(r.String()), err)
		}
	}
	for _, name := range p.Tokens.Cookies {
		if !isToken(name) { // the same token syntax, RFC 6265 section 4.1.1
			return nil, fmt.Errorf("tokens.cookies: %q: not a cookie name", Printable(name))
		}
	}
	for i, q := range p.Tokens.Query {
		if q.Name == "" || !rooted(q.Path) {
			return nil, fmt.Errorf("tokens.query[%d]: want a path that starts with / and a name", i)
		}
	}
	for _, s := range p.Basic {
		if !rooted(s) {
			return nil, fmt.Errorf("basic: %q: want a path that starts with /", Printable(s))
		}
	}
	for _, s := range p.StripHeaders {
		if name := strings.TrimSuffix(s, "*"); !isToken(name) {
			return nil, fmt.Errorf("strip_headers: %q: want a header name, or the start of one and *", Printable(s))
		}
	}
	for _, name := range []string{p.Bind.HostEnv, p.Bind.PortEnv} {
		if (p.Bind != Bind{}) && !environmentVariable.MatchString(name) {
			return nil, fmt.Errorf("bind: %q: want host_env and port_env, two names of environment variables", Printable(name))
		}
	}
	for i, answer := range p.Issuance {
		if err := answer.check(); err != nil {
			return nil, fmt.Errorf("issuance[%d] %s: %w", i, Printable(answer.Path+answer.Prefix), err)
		}
	}
	if err := checkIssuers(p.Issuers); err != nil {
		return nil, err
	}
	return p, nil
}

var environmentVariable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Public tells whether a request by that method for that path needs no token, whatever APP_ROOT_PATH is.
func (p *Policy) Public(method, path string) bool {
	_, public := newRoutes(p, "").public(method, path, path)
	return public
}

// decode reads exactly one document. The library panics on some broken input: a file must not end a running sidecar.
func (p *Policy) decode(b []byte) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not readable as YAML")
		}
	}()
	documents := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict())
	if err := documents.Decode(p); err != nil && !errors.Is(err, io.EOF) {
		return positioned(err)
	}
	if err := documents.Decode(&Policy{}); !errors.Is(err, io.EOF) {
		return errors.New("holds more than one YAML document: want one")
	}
	return nil
}

// rooted tells whether s is the decoded form of a canonical path: routes are compared with that, so that an escape in s
// would never match.
func rooted(s string) bool { return canonicalPath(s) && strings.IndexByte(s, '%') < 0 }

func (r Route) check() error {
	named := 0
	for _, s := range []string{r.Path, r.Prefix, r.Suffix} {
		if s != "" {
			named++
		}
	}
	switch {
	case named != 1:
		return errors.New("want exactly one of path, prefix or suffix")
	case r.Access != AccessPublic && r.Access != AccessProtected:
		return fmt.Errorf("access: %q: want public or protected", Printable(string(r.Access)))
	case r.Access == AccessPublic && len(r.Methods) == 0:
		return errors.New("a public route must list its methods")
	case r.Suffix != "" && r.Access == AccessPublic:
		return errors.New("a suffix can only protect")
	case r.Path != "" && !rooted(r.Path):
		return errors.New("path: want a canonical path that starts with /")
	case r.Prefix != "" && (!rooted(r.Prefix) || !strings.HasSuffix(r.Prefix, "/")):
		return errors.New("prefix: want a canonical path that starts and ends with /")
	case r.Prefix == "/" && r.Access == AccessPublic:
		return errors.New("prefix: / would make every path public")
	}
	for _, m := range r.Methods {
		if m == "" || strings.ToUpper(m) != m || !isToken(m) {
			return fmt.Errorf("methods: %q: want methods in capitals", Printable(m))
		}
	}
	return nil
}

// texts are all texts of the policy, one after the other.
func (p *Policy) texts() string {
	all := fmt.Sprint(*p)
	for _, r := range p.Routes { // which print only what they match
		all += fmt.Sprint(r.Methods)
	}
	if p.ProtectedResource != nil {
		all += fmt.Sprint(*p.ProtectedResource)
	}
	return all
}

// check judges what depends on the settings.
func (p *Policy) check(c *Config) error {
	for _, name := range p.StripHeaders {
		prefix, open := strings.CutSuffix(http.CanonicalHeaderKey(name), "*")
		for _, carrier := range []string{c.AuthHeader, "Cookie"} {
			if carrier == prefix || open && strings.HasPrefix(carrier, prefix) {
				return fmt.Errorf("strip_headers: %q: would remove %s, which carries tokens", Printable(name), carrier)
			}
		}
	}
	if err := p.ProtectedResource.check(c); err != nil {
		return err
	}
	if p.LoginPage == "" {
		return nil
	}
	if !rooted(p.LoginPage) || strings.HasPrefix(p.LoginPage, "//") {
		return fmt.Errorf("login_page: %q: want a local path", Printable(p.LoginPage))
	}
	if r, ok := newRoutes(p, c.RootPath).public("GET", p.LoginPage, p.LoginPage); !ok || r == "" {
		return fmt.Errorf("login_page: %q: want a path that a public GET route matches", Printable(p.LoginPage))
	}
	return nil
}
