package authz

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting declares one setting: its variable, flag, default and meaning. Flags, environment, `check` and
// docs/configuration.md all read this one table.
type Setting struct {
	Name        string // environment variable
	Flag        string // command-line flag without dashes; secrets have none
	Default     string
	Help        string
	Gateway     bool // a variable of the gateway, with the gateway's meaning
	Secret      bool
	EmptyCounts bool // an empty variable is a value, not an absence
	set         func(*Config, string) error
}

// Settings is the table, in the order of the documentation.
var Settings = []Setting{
	{"ENVIRONMENT", "", "development", "this environment's name, compared exactly; ENVGATE_ENVIRONMENT wins over it", true, false, false, func(c *Config, v string) error { c.Environment = v; return environmentName(v) }},
	{"JWT_ISSUER", "jwt-issuer", "mcpgateway", "required iss", true, false, true, nonEmpty(func(c *Config) *string { return &c.Issuer })},
	{"JWT_AUDIENCE", "jwt-audience", "mcpgateway-api", "required aud: a string, or a list that contains it", true, false, true, nonEmpty(func(c *Config) *string { return &c.Audience })},
	{"JWT_ISSUER_VERIFICATION", "jwt-issuer-verification", "true", "check iss", true, false, false, boolean(func(c *Config) *bool { return &c.CheckIssuer })},
	{"JWT_AUDIENCE_VERIFICATION", "jwt-audience-verification", "true", "check aud", true, false, false, boolean(func(c *Config) *bool { return &c.CheckAudience })},
	{"JWT_ALGORITHM", "jwt-algorithm", "HS256", "the one algorithm accepted: " + strings.Join(Algorithms, ", "), true, false, false, algorithm},
	{"JWT_SECRET_KEY", "", "", "HMAC secret, byte for byte", true, true, false, accept},
	{"JWT_SECRET_KEY_FILE", "jwt-secret-key-file", "", "file with the HMAC secret, less one trailing newline", true, false, false, accept},
	{"JWT_PUBLIC_KEY_PATH", "jwt-public-key-path", "", "PEM file with the public key, for all but HS*", true, false, false, plain(func(c *Config) *string { return &c.PublicKeyPath })},
	{"JWT_PRIVATE_KEY_PATH", "jwt-private-key-path", "", "PEM file with the private key, read only to mint tokens", true, false, false, plain(func(c *Config) *string { return &c.PrivateKeyPath })},
	{"DERIVE_KEY_PER_ENVIRONMENT", "derive-key-per-environment", "false", "key = hex(HMAC-SHA256(secret, \"mcpgw-env:\" + ENVIRONMENT)); HS* only", true, false, false, boolean(func(c *Config) *bool { return &c.DeriveKey })},
	{"REQUIRE_TOKEN_EXPIRATION", "require-token-expiration", "true", "refuse tokens without exp", true, false, false, boolean(func(c *Config) *bool { return &c.RequireExpiry })},
	{"REQUIRE_JTI", "require-jti", "false", "refuse tokens without jti (legacy SSO tokens have none)", true, false, false, boolean(func(c *Config) *bool { return &c.RequireJTI })},
	{"VALIDATE_TOKEN_ENVIRONMENT", "validate-token-environment", "true", "the environment rule, on or off; ENVGATE_ENVIRONMENT_RULE wins over it", true, false, false, func(_ *Config, v string) error { _, err := parseBool(v); return err }},
	{"AUTH_HEADER_NAME", "auth-header-name", "Authorization", "header in which the gateway reads its bearer token", true, false, false, authHeader},
	{"APP_ROOT_PATH", "app-root-path", "", "path prefix of the gateway: routes hold with and without it", true, false, false, rootPath},
	{"ALLOWED_ORIGINS", "allowed-origins", "", "browser origins that may read a refusal: a JSON list or comma-separated; default as the gateway's", true, false, false, origins},
	{"CORS_ENABLED", "cors-enabled", "true", "send CORS headers on refusals", true, false, false, boolean(func(c *Config) *bool { return &c.CORS })},
	{"CORS_ALLOW_CREDENTIALS", "cors-allow-credentials", "true", "send Access-Control-Allow-Credentials on refusals", true, false, false, boolean(func(c *Config) *bool { return &c.CORSCredentials })},
	{"PROXY_USER_HEADER", "proxy-user-header", "X-Authenticated-User", "identity header that clients may never set", true, false, false, userHeader},

	{"ENVGATE_ENVIRONMENT", "environment", "", "this environment's name; wins over ENVIRONMENT and confirms it", false, false, false, optional(environmentName)},
	{"ENVGATE_LISTEN", "listen", ":4445", "address for traffic", false, false, false, address(func(c *Config) *string { return &c.Listen })},
	{"ENVGATE_ADMIN_LISTEN", "admin-listen", ":4446", "address for metrics, health and status", false, false, false, address(func(c *Config) *string { return &c.AdminListen })},
	{"ENVGATE_UPSTREAM", "upstream", "http://127.0.0.1:4444", "the gateway: http://host:port, https://host:port or unix:///path", false, false, false, upstream},
	{"ENVGATE_POLICY", "policy", "contextforge", "name of a built-in policy, or path of a YAML file", false, false, false, policy},
	{"ENVGATE_MODE", "mode", "enforce", "enforce, or report: judge, count and log, but refuse and remove no credential", false, false, false, choice([]Mode{ModeEnforce, ModeReport}, func(c *Config) *Mode { return &c.Mode })},
	{"ENVGATE_ENVIRONMENT_RULE", "environment-rule", "", "enforce, report (the rule alone only counts and logs) or off; default from VALIDATE_TOKEN_ENVIRONMENT", false, false, false, rule},
	{"ENVGATE_MISSING_ENVIRONMENT", "missing-environment", "allow", "tokens without env: allow or deny", false, false, false, missing},
	{"ENVGATE_KNOWN_ENVIRONMENTS", "known-environments", "development,staging,production", "environment names that may appear as metric labels, beside this one", false, false, false, known},
	{"ENVGATE_STRICT", "strict", "false", "a configuration warning stops the start", false, false, false, boolean(func(c *Config) *bool { return &c.Strict })},
	{"ENVGATE_LEEWAY", "leeway", "0s", "clock leeway on exp, nbf and iat, at most 5m", false, false, false, duration(0, 5*time.Minute, func(c *Config) *time.Duration { return &c.Leeway })},
	{"ENVGATE_ADDITIONAL_SECRET_KEY", "", "", "second HMAC secret during a rotation: accepted, counted, and signed again with the current key for the gateway", false, true, false, accept},
	{"ENVGATE_ADDITIONAL_SECRET_KEY_FILE", "additional-secret-key-file", "", "file with the second HMAC secret, less one trailing newline", false, false, false, accept},
	{"ENVGATE_MAX_TOKEN_BYTES", "max-token-bytes", "16384", "longer candidates are refused unparsed (512 to 65536)", false, false, false, maxTokenBytes},
	{"ENVGATE_TRUSTED_PROXIES", "trusted-proxies", "", "CIDRs, or private, whose X-Forwarded-* is kept and appended to", false, false, false, trustedProxies},
	{"ENVGATE_PUBLIC_URL", "public-url", "", "scheme and host for X-Forwarded-Proto and X-Forwarded-Host", false, false, false, publicURL},
	{"ENVGATE_UPSTREAM_IDLE_TIMEOUT", "upstream-idle-timeout", "1s", "how long an idle upstream connection is kept (1ms to 5m)", false, false, false, duration(time.Millisecond, 5*time.Minute, func(c *Config) *time.Duration { return &c.UpstreamIdleTimeout })},
	{"ENVGATE_DRAIN_DELAY", "drain-delay", "5s", "how long to serve, unready, before the listener closes (0s to 10m)", false, false, false, duration(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.DrainDelay })},
	{"ENVGATE_DRAIN_TIMEOUT", "drain-timeout", "20s", "how long requests and streams may take to end after that (0s to 10m)", false, false, false, duration(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.DrainTimeout })},
	{"ENVGATE_ADMIN_STATUS", "admin-status", "loopback", "who sees / and /api/status: loopback or all; /drain is loopback only", false, false, false, adminStatus},
	{"ENVGATE_LOG_LEVEL", "log-level", "info", "debug, info, warn or error", false, false, false, choice([]string{"debug", "info", "warn", "error"}, func(c *Config) *string { return &c.LogLevel })},
	{"ENVGATE_LOG_FORMAT", "log-format", "json", "json or text", false, false, false, choice([]string{"json", "text"}, func(c *Config) *string { return &c.LogFormat })},
	{"ENVGATE_ACCESS_LOG", "access-log", "false", "one log line for every request", false, false, false, boolean(func(c *Config) *bool { return &c.AccessLog })},
}

// accept is for raw values that are read together with others, in combine.
func accept(*Config, string) error { return nil }

func plain(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error { *field(c) = v; return nil }
}

func nonEmpty(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		if v == "" {
			return fmt.Errorf("empty: want a name; an empty one would accept any token")
		}
		return nil
	}
}

func optional(check func(string) error) func(*Config, string) error {
	return func(_ *Config, v string) error {
		if v == "" {
			return nil
		}
		return check(v)
	}
}

// parseBool accepts what the gateway accepts (pydantic): true/false, 1/0, yes/no, on/off, t/f, y/n in any case.
func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "1", "yes", "on", "t", "y":
		return true, nil
	case "false", "0", "no", "off", "f", "n":
		return false, nil
	}
	return false, fmt.Errorf("not a boolean: want true/false, 1/0, yes/no, on/off, t/f or y/n")
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) (err error) { *field(c), err = parseBool(v); return err }
}

func choice[T ~string](allowed []T, field func(*Config) *T) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = T(v)
		if slices.Contains(allowed, T(v)) {
			return nil
		}
		names := make([]string, len(allowed))
		for i, a := range allowed {
			names[i] = string(a)
		}
		return fmt.Errorf("want %s", strings.Join(names, " or "))
	}
}

func duration(least, most time.Duration, field func(*Config) *time.Duration) func(*Config, string) error {
	return func(c *Config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < least || d > most {
			return fmt.Errorf("want a duration from %s to %s, such as 5s", least, most)
		}
		*field(c) = d
		return nil
	}
}

var environmentPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)

func environmentName(v string) error {
	if !environmentPattern.MatchString(v) {
		return fmt.Errorf("want 1 to 63 characters of A-Z a-z 0-9 . _ -")
	}
	return nil
}

func algorithm(c *Config, v string) error {
	i := slices.IndexFunc(Algorithms, func(a string) bool { return strings.EqualFold(a, v) })
	if i < 0 {
		return fmt.Errorf("want one of %s", strings.Join(Algorithms, ", "))
	}
	c.Algorithm = Algorithms[i]
	return nil
}

// reservedHeaders can't carry a token: they are owned by the connection, by routing or by forwarding.
var reservedHeaders = []string{
	"Cookie", "Host", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Content-Type", "Expect", "Forwarded", "X-Real-Ip",
}

func headerName(v string) (string, error) {
	name := http.CanonicalHeaderKey(v)
	if !isToken(v) {
		return "", fmt.Errorf("not a header name: want letters, digits and -")
	}
	if slices.Contains(reservedHeaders, name) || strings.HasPrefix(name, "X-Forwarded-") {
		return "", fmt.Errorf("reserved for the connection or for forwarding: want another header")
	}
	return name, nil
}

func authHeader(c *Config, v string) (err error) { c.AuthHeader, err = headerName(v); return err }

func userHeader(c *Config, v string) (err error) {
	c.UserHeader, err = headerName(v)
	if err == nil && c.UserHeader == "Authorization" {
		c.UserHeader = ""
		return fmt.Errorf("carries tokens: want the identity header")
	}
	return err
}

func rootPath(c *Config, v string) error {
	v = strings.TrimSuffix(v, "/")
	if v != "" && !rooted(v) {
		return fmt.Errorf("want a path such as /gateway: a leading slash, no //, dot segments or escapes")
	}
	c.RootPath = v
	return nil
}

// origins reads ALLOWED_ORIGINS as the gateway does: a JSON list, or comma-separated, in quotes or not.
func origins(c *Config, v string) error {
	v = strings.TrimSpace(v)
	if len(v) > 1 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
		v = v[1 : len(v)-1]
	}
	var list []string
	if json.Unmarshal([]byte(v), &list) != nil {
		list = split(v)
	}
	for _, o := range list {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "") {
			return fmt.Errorf("want origins such as https://app.example.com, without a path")
		}
	}
	c.AllowedOrigins = list
	return nil
}

// split cuts a comma-separated list, dropping blanks.
func split(v string) (list []string) {
	for s := range strings.SplitSeq(v, ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

func address(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		_, port, err := net.SplitHostPort(v)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || strconv.FormatUint(n, 10) != port {
			return fmt.Errorf("want host:port or :port, with a port from 0 to 65535")
		}
		return nil
	}
}

func upstream(c *Config, v string) error {
	want := fmt.Errorf("want http://host:port, https://host:port or unix:///path, without path, query or user")
	u, err := url.Parse(v)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return want
	}
	switch u.Scheme {
	case "http", "https":
		if u.Hostname() == "" || u.Path != "" && u.Path != "/" {
			return want
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return want
			}
		}
		u.Path = ""
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
			return want
		}
	default:
		return want
	}
	c.Upstream = u
	return nil
}

func policy(c *Config, v string) (err error) {
	c.PolicyName = v
	c.Policy, err = LoadPolicy(v)
	return err
}

func rule(c *Config, v string) error {
	if v == "" {
		return nil // from VALIDATE_TOKEN_ENVIRONMENT, in combine
	}
	return choice([]Rule{RuleEnforce, RuleReport, RuleOff}, func(c *Config) *Rule { return &c.Rule })(c, v)
}

func missing(c *Config, v string) error {
	c.DenyMissing = v == "deny"
	if v != "allow" && v != "deny" {
		return fmt.Errorf("want allow or deny")
	}
	return nil
}

// known reads the label names. Their number is bounded, as the matrix of pairs is what Prometheus stores.
func known(c *Config, v string) error {
	list := split(v)
	if len(list) > 32 {
		return fmt.Errorf("%d names: want at most 32", len(list))
	}
	for _, name := range list {
		if environmentName(name) != nil {
			return fmt.Errorf("%q: %w", Printable(name), environmentName(name))
		}
	}
	slices.Sort(list)
	c.KnownEnvironments = slices.Compact(list)
	return nil
}

func maxTokenBytes(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 512 || n > 65536 {
		return fmt.Errorf("want a number of bytes from 512 to 65536")
	}
	c.MaxTokenBytes = n
	return nil
}

// privateNetworks is what ENVGATE_TRUSTED_PROXIES=private stands for.
var privateNetworks = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "127.0.0.0/8", "::1/128"}

func trustedProxies(c *Config, v string) error {
	for _, s := range split(v) {
		list := []string{s}
		if s == "private" {
			list = privateNetworks
		}
		for _, cidr := range list {
			prefix, err := netip.ParsePrefix(cidr)
			if err != nil {
				return fmt.Errorf("%q: want CIDRs such as 10.0.0.0/8, or private", Printable(s))
			}
			c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
		}
	}
	return nil
}

func publicURL(c *Config, v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("want a scheme and host such as https://gateway.example.com, without a path")
	}
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

func adminStatus(c *Config, v string) error {
	c.AdminStatusAll = v == "all"
	if v != "loopback" && v != "all" {
		return fmt.Errorf("want loopback or all")
	}
	return nil
}
