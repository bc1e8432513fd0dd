package authz

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"envgate/authz/jwks"
)

// Mode says whether decisions are acted on.
type Mode string

// The modes.
const (
	ModeEnforce Mode = "enforce"
	ModeReport  Mode = "report" // judge, count and log, but refuse and remove no credential
)

// Translate says whether tokens are signed anew between clients, who have keys derived per environment, and a gateway that
// knows only the base secret.
type Translate string

// The values of Translate.
const (
	TranslateOff    Translate = "off"
	TranslateAccept Translate = "accept" // derived-key tokens are accepted, none is issued
	TranslateIssue  Translate = "issue"  // and issued
)

// Config is the whole configuration, parsed once and checked: nothing in it is parsed again per request.
// The fields follow the order of Settings.
type Config struct {
	Environment          string
	EnvironmentConfirmed bool   // ENVGATE_ENVIRONMENT names it
	GatewayEnvironment   string // ENVIRONMENT, where ENVGATE_ENVIRONMENT disagrees with it
	Issuer, Audience     string
	CheckIssuer          bool
	CheckAudience        bool
	Algorithm            string
	Secret               Secret
	PublicKeyPath        string
	PrivateKeyPath       string
	DeriveKey            bool
	Embed                bool // add env to the tokens that the gateway hands out
	RequireExpiry        bool
	RequireJTI           bool
	AuthHeader           string // canonical
	RootPath             string // "" or "/x" without a trailing slash
	AllowedOrigins       []string
	CORS                 bool
	CORSCredentials      bool
	UserHeader           string

	Listen, AdminListen string
	WebConfigFile       string // of the admin listener
	Upstream            *url.URL
	PolicyName          string
	Policy              *Policy
	Mode                Mode
	Rule                Rule
	DenyMissing         bool // tokens without env are refused
	KnownEnvironments   []string
	Strict              bool
	Leeway              time.Duration
	AdditionalSecret    Secret

	AdditionalPublicKeyPaths []string

	tlsFields
	Limits
	KeyFingerprint bool

	Translate     Translate
	AcceptBaseKey bool

	MaxTokenBytes       int
	VerdictCacheBytes   int
	TrustedProxies      []netip.Prefix
	PublicURL           *url.URL
	UpstreamIdleTimeout time.Duration
	DrainDelay          time.Duration
	DrainTimeout        time.Duration
	StreamsEndAtExpiry  bool
	AdminStatusAll      bool
	LogLevel            string
	LogFormat           string
	AccessLog           bool
	Probes              map[string]Probe // by container/kind

	InKubernetes    bool     // the process runs in a pod
	UnknownSettings []string // ENVGATE_* names that are no setting

	Origins []Origin // every setting with where its value came from, for check
	files   []string

	keptSecret    bool   // AdditionalSecret is what Secret was before a reload
	gatewaySecret Secret // what the gateway knew when a reload changed Secret, where that is another one

	denied  *DenyList
	keys    *keySet
	own     terms
	trusted map[string]*trusted // by iss
}

// Origin tells where a setting's value came from. Value never holds a secret.
type Origin struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"` // flag, variable or default
}

// Source is where raw values come from: flags by setting name, then the environment, as os.Environ gives it.
type Source struct {
	Flags   map[string]string
	Environ []string
}

// Parse reads every setting, with flags before variables before defaults. It reports every problem, one line each,
// joined; on error the Config is nil. Files are read here: secret files, the policy, the public key.
func Parse(src Source) (*Config, error) {
	c := &Config{}
	environ := src.environ()
	raw := make(map[string]string, len(Settings))
	set := make(map[string]bool, len(Settings))
	var problems []error
	for i := range Settings {
		s := &Settings[i]
		value, from := src.value(s, environ)
		raw[s.Name], set[s.Name] = value, from != "default"
		if err := s.set(c, value); err != nil {
			problems = append(problems, s.problem(value, err))
		}
		c.Origins = append(c.Origins, Origin{s.Name, s.shown(value), from})
	}
	problems = append(problems, c.combine(raw, set)...)
	problems = append(problems, c.exposed(raw, set)...)
	if len(problems) > 0 {
		return nil, redactAll(problems, c.Secret, c.AdditionalSecret, NewSecret([]byte(raw["JWT_SECRET_KEY"])), NewSecret([]byte(raw["ENVGATE_ADDITIONAL_SECRET_KEY"])))
	}
	c.InKubernetes = environ["KUBERNETES_SERVICE_HOST"] != ""
	c.UnknownSettings = unknownSettings(environ)
	return c, nil
}

// ParseOnly reads just the named settings, leaving the rest of the Config empty: for commands that talk to a running
// sidecar, which must work whatever the others say.
func ParseOnly(src Source, names ...string) (*Config, error) {
	c := &Config{}
	environ := src.environ()
	var problems []error
	for i := range Settings {
		s := &Settings[i]
		if !slices.Contains(names, s.Name) {
			continue
		}
		value, _ := src.value(s, environ)
		if err := s.set(c, value); err != nil {
			problems = append(problems, s.problem(value, err))
		}
	}
	if len(problems) > 0 {
		return c, redactAll(problems, NewSecret([]byte(environ["JWT_SECRET_KEY"])), NewSecret([]byte(environ["ENVGATE_ADDITIONAL_SECRET_KEY"])))
	}
	return c, nil
}

func (src Source) environ() map[string]string {
	environ := make(map[string]string, len(src.Environ))
	for _, kv := range src.Environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			environ[name] = value
		}
	}
	return environ
}

// value returns a setting's raw value and its origin: flag, variable, default. An empty variable counts as unset, save
// where emptiness itself must be refused.
func (src Source) value(s *Setting, environ map[string]string) (value, from string) {
	if v, ok := src.Flags[s.Name]; ok {
		return v, "flag"
	}
	if v, ok := environ[s.Name]; ok && (v != "" || s.EmptyCounts) {
		return v, "variable"
	}
	return s.Default, "default"
}

// problem words one broken setting: its name, its value (never a secret's) and what is allowed.
func (s *Setting) problem(value string, err error) error {
	if s.Secret {
		return fmt.Errorf("%s: %w", s.named(), err)
	}
	return fmt.Errorf("%s: %q: %w", s.named(), Printable(Redact(s.shown(value))), err)
}

// named is the setting's variable, and its flag.
func (s *Setting) named() string {
	if s.Flag == "" {
		return s.Name
	}
	return s.Name + " (--" + s.Flag + ")"
}

// shown is a value as it may be printed: no secret, nor what looks like one in the wrong place (a PEM block or a secret
// where a path belongs, a password in a URL).
func (s *Setting) shown(value string) string {
	switch {
	case value == "":
		return ""
	case s.Secret, strings.Contains(value, "-----BEGIN "):
		return redacted
	case strings.HasSuffix(s.Name, "_SECRET_KEY_FILE") && value[0] != '/' && value[0] != '.':
		return redacted
	case s.Name == "ENVGATE_POLICY", strings.HasSuffix(s.Name, "_FILE"), strings.HasSuffix(s.Name, "_KEY_PATH"):
		return pathOf(value)
	case strings.HasSuffix(s.Name, "_PATHS"):
		paths := strings.Split(value, ",")
		for i, path := range paths {
			paths[i] = pathOf(strings.TrimSpace(path))
		}
		return strings.Join(paths, ",")
	}
	at := strings.LastIndexByte(value, '@')
	if at < 0 {
		return value
	}
	if scheme, _, ok := strings.Cut(value[:at], "://"); ok {
		return scheme + "://" + redacted + value[at:]
	}
	return redacted + value[at:]
}

// combine checks and fills what depends on more than one setting.
func (c *Config) combine(raw map[string]string, set map[string]bool) (problems []error) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if own := raw["ENVGATE_ENVIRONMENT"]; own != "" {
		if set["ENVIRONMENT"] && c.Environment != own {
			c.GatewayEnvironment = c.Environment
		}
		c.Environment, c.EnvironmentConfirmed = own, true
	}
	if raw["ENVGATE_ENVIRONMENT_RULE"] == "" && raw["VALIDATE_TOKEN_ENVIRONMENT"] != "" {
		c.Rule = RuleOff
		if on, err := parseBool(raw["VALIDATE_TOKEN_ENVIRONMENT"]); err == nil && on {
			c.Rule = RuleEnforce
		}
	}
	if !set["ALLOWED_ORIGINS"] {
		c.AllowedOrigins = defaultOrigins(c.Environment)
	}
	c.Secret = c.secretOrFile(raw, "JWT_SECRET_KEY", bad)
	c.AdditionalSecret = c.secretOrFile(raw, "ENVGATE_ADDITIONAL_SECRET_KEY", bad)
	if c.UserHeader != "" && c.UserHeader == c.AuthHeader {
		bad("PROXY_USER_HEADER (--proxy-user-header): %q: the same as AUTH_HEADER_NAME: want the identity header", c.UserHeader)
	}
	if c.Policy != nil {
		if err := errors.Join(c.Policy.check(c), c.trust()); err != nil {
			bad("ENVGATE_POLICY (--policy): %q: %w", PrintablePath(c.PolicyName), err)
		}
	}
	if translating := c.Translate == TranslateAccept || c.Translate == TranslateIssue; translating && (!c.Embed || !c.DeriveKey || !symmetric(c.Algorithm)) {
		bad("ENVGATE_TRANSLATE_KEYS (--translate-keys): %q: needs EMBED_ENVIRONMENT_IN_TOKENS=true, DERIVE_KEY_PER_ENVIRONMENT=true and a JWT_ALGORITHM of HS256, HS384 or HS512", c.Translate)
		return problems
	}
	if c.Translate == TranslateAccept && !c.AcceptBaseKey {
		bad("ENVGATE_ACCEPT_BASE_KEY (--accept-base-key): \"false\": ENVGATE_TRANSLATE_KEYS is accept, and the tokens that the gateway hands out are under the base secret: want true, or ENVGATE_TRANSLATE_KEYS=issue")
	}
	switch {
	case !slices.Contains(Algorithms, c.Algorithm): // reported already
	case c.Embed && !symmetric(c.Algorithm) && c.PrivateKeyPath == "":
		bad("EMBED_ENVIRONMENT_IN_TOKENS (--embed-environment-in-tokens): \"true\": JWT_ALGORITHM %s signs with a private key: set JWT_PRIVATE_KEY_PATH", c.Algorithm)
	case symmetric(c.Algorithm) && !c.Secret.IsSet():
		if raw["JWT_SECRET_KEY"] == "" && raw["JWT_SECRET_KEY_FILE"] == "" { // else what is wrong with it is reported already
			bad("JWT_SECRET_KEY: not set: JWT_ALGORITHM %s needs JWT_SECRET_KEY or JWT_SECRET_KEY_FILE", c.Algorithm)
		}
	case !symmetric(c.Algorithm) && (c.AdditionalSecret.IsSet() || raw["ENVGATE_ADDITIONAL_SECRET_KEY_FILE"] != ""):
		bad("ENVGATE_ADDITIONAL_SECRET_KEY: set, but JWT_ALGORITHM is %s: a second secret is only for HS256, HS384, HS512", c.Algorithm)
	case !symmetric(c.Algorithm) && c.PublicKeyPath == "":
		bad("JWT_PUBLIC_KEY_PATH (--jwt-public-key-path): not set: JWT_ALGORITHM %s needs the path of a PEM public key", c.Algorithm)
	case symmetric(c.Algorithm) && len(c.AdditionalPublicKeyPaths) > 0:
		bad("ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS (--additional-public-key-paths): set, but JWT_ALGORITHM is %s: further public keys are not for HS256, HS384, HS512", c.Algorithm)
	default:
		keys, err := newKeySet(c)
		if err != nil {
			bad("%w", err)
			break
		}
		c.keys = keys
		if !symmetric(c.Algorithm) {
			c.files = append(append(c.files, c.PublicKeyPath), c.AdditionalPublicKeyPaths...)
			if keys.signs() {
				c.files = append(c.files, c.PrivateKeyPath)
			}
		}
	}
	c.readTLS(bad)
	if c.Secret.IsSet() && string(c.Secret.bytes) == string(c.AdditionalSecret.bytes) {
		bad("ENVGATE_ADDITIONAL_SECRET_KEY: the same as JWT_SECRET_KEY: want the other secret of the rotation, or unset")
	}
	if port := portOf(c.Listen); port != "0" && port == portOf(c.AdminListen) {
		bad("ENVGATE_ADMIN_LISTEN (--admin-listen): %q: the same port as ENVGATE_LISTEN: want another", c.AdminListen)
	}
	if u := c.Upstream; u != nil && u.Port() != "" && (u.Port() == portOf(c.Listen) || u.Port() == portOf(c.AdminListen)) && c.LoopbackUpstream() {
		bad("ENVGATE_UPSTREAM (--upstream): %q: is a listener of envgate itself: want the gateway", u)
	}
	return problems
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// LoopbackUpstream tells whether the upstream is reached over TCP on loopback.
func (c *Config) LoopbackUpstream() bool {
	return jwks.Loopback(c.Upstream.Hostname())
}

// secretOrFile reads the secret called name, or the file that name_FILE names. A file loses one trailing newline.
func (c *Config) secretOrFile(raw map[string]string, name string, bad func(string, ...any)) Secret {
	value, path := raw[name], raw[name+"_FILE"]
	where := name
	if path != "" && !symmetric(c.Algorithm) { // not needed, so not opened
		path = ""
	}
	switch {
	case value != "" && path != "":
		bad("%s: set together with %s_FILE: want one of the two", name, name)
		return Secret{}
	case path != "":
		where += "_FILE"
		shown := Printable((&Setting{Name: where}).shown(path))
		b, err := readRegular(path)
		if err != nil {
			bad("%s: %q: %w", where, shown, err)
			return Secret{}
		}
		c.files = append(c.files, path)
		value = string(b)
		if line, ok := strings.CutSuffix(value, "\n"); ok {
			value = strings.TrimSuffix(line, "\r")
		}
		if value == "" {
			bad("%s: %q: the file is empty: want a secret", where, shown)
		}
	}
	if strings.Contains(value, "-----BEGIN ") {
		bad("%s: holds a PEM block: want an HMAC secret (a public key goes to the file that JWT_PUBLIC_KEY_PATH names)", where)
		return Secret{}
	}
	return Secret{[]byte(value)}
}

// unknownSettings finds ENVGATE_* variables that are no setting, save those that Kubernetes makes for a Service
// called envgate.
func unknownSettings(environ map[string]string) (unknown []string) {
	for name := range environ {
		if !strings.HasPrefix(name, "ENVGATE_") || strings.HasPrefix(name, "ENVGATE_PORT") || strings.HasPrefix(name, "ENVGATE_SERVICE_") {
			continue
		}
		if !slices.ContainsFunc(Settings, func(s Setting) bool { return s.Name == name }) {
			unknown = append(unknown, Printable(name))
		}
	}
	slices.Sort(unknown)
	return unknown
}

// defaultOrigins are the gateway's own defaults of ALLOWED_ORIGINS (mcpgateway/config.py, 0.9.0 and 1.0.7), for its
// default PORT and APP_DOMAIN.
func defaultOrigins(environment string) []string {
	if environment == "development" {
		return []string{
			"http://localhost", "http://localhost:3000", "http://localhost:8080", "http://127.0.0.1:3000",
			"http://127.0.0.1:8080", "http://localhost:4444", "http://127.0.0.1:4444",
		}
	}
	return []string{"https://localhost", "https://app.localhost", "https://admin.localhost"}
}
