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

	"envgate/authz/jwks"
)

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

// No counted repetition: it would take tens of kilobytes in every sidecar.
var environmentPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// EnvironmentName tells what is wrong with the name of an environment.
func EnvironmentName(v string) error {
	if len(v) > 63 || !environmentPattern.MatchString(v) {
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

var dashes = strings.NewReplacer("_", "-", ".", "-")

// Dashed is the one spelling under which header names are compared: some servers read _ and . as -.
func Dashed(name string) string {
	if strings.ContainsAny(name, "_.") {
		name = dashes.Replace(name)
	}
	return http.CanonicalHeaderKey(name)
}

func headerName(v string) (string, error) {
	name := http.CanonicalHeaderKey(v)
	dashed := Dashed(v)
	if !isToken(v) {
		return "", fmt.Errorf("not a header name: want letters, digits and -")
	}
	if slices.Contains(reservedHeaders, dashed) || strings.HasPrefix(dashed, "X-Forwarded-") {
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
		if !jwks.HasHost(u) || u.Path != "" && u.Path != "/" {
			return want
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
	if !slices.Contains(BuiltinPolicies(), v) {
		c.files = append(c.files, v)
	}
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
		if EnvironmentName(name) != nil {
			return fmt.Errorf("%q: %w", Printable(name), EnvironmentName(name))
		}
	}
	slices.Sort(list)
	c.KnownEnvironments = slices.Compact(list)
	return nil
}

func maxTokenBytes(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 1<<20 {
		return fmt.Errorf("want a number of bytes from 1 to %d", 1<<20)
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
	c.PublicURL = &url.URL{} // so that a bad one isn't said to be missing, too
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("want a scheme and host such as https://gateway.example.com, without a path")
	}
	if !jwks.HasHost(u) || !hostName(u.Hostname()) {
		return fmt.Errorf("want a DNS name or an IP address, and a port from 1 to 65535 or none, such as https://gateway.example.com:8443")
	}
	c.PublicURL = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

var dnsName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\.?$`)

// hostName tells whether a text is a DNS name, with the underscores that some have, or an IP address.
func hostName(v string) bool {
	return net.ParseIP(v) != nil || len(v) <= 254 && dnsName.MatchString(v)
}

func upstreamServerName(c *Config, v string) error {
	c.UpstreamServerName = v
	if v != "" && !hostName(v) {
		return fmt.Errorf("want a DNS name or an IP address, such as gateway.example.com")
	}
	return nil
}

func adminStatus(c *Config, v string) error {
	c.AdminStatusAll = v == "all"
	if v != "loopback" && v != "all" {
		return fmt.Errorf("want loopback or all")
	}
	return nil
}

// maxAdditionalKeys bounds what verifying one token may cost.
const maxAdditionalKeys = 8

func additionalPublicKeys(c *Config, v string) error {
	if v == "" {
		return nil
	}
	paths := strings.Split(v, ",")
	for i := range paths {
		if paths[i] = strings.TrimSpace(paths[i]); paths[i] == "" {
			return fmt.Errorf("an empty path: want paths, comma-separated")
		}
	}
	if len(paths) > maxAdditionalKeys {
		return fmt.Errorf("%d paths: want at most %d", len(paths), maxAdditionalKeys)
	}
	c.AdditionalPublicKeyPaths = paths
	return nil
}

func verdictCacheBytes(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n != 0 && (n < 64<<10 || n > 1<<30) {
		return fmt.Errorf("want 0, or a number of bytes from 65536 to 1073741824")
	}
	c.VerdictCacheBytes = n
	return nil
}
