package authz

import (
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
	{"ENVIRONMENT", "", "development", "this environment's name, compared exactly; ENVGATE_ENVIRONMENT wins over it", true, false, false, func(c *Config, v string) error { c.Environment = v; return EnvironmentName(v) }},
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
	{"EMBED_ENVIRONMENT_IN_TOKENS", "embed-environment-in-tokens", "false", "add env to the tokens that the gateway hands out", true, false, false, boolean(func(c *Config) *bool { return &c.Embed })},
	{"REQUIRE_TOKEN_EXPIRATION", "require-token-expiration", "true", "refuse tokens without exp", true, false, false, boolean(func(c *Config) *bool { return &c.RequireExpiry })},
	{"REQUIRE_JTI", "require-jti", "false", "refuse tokens without jti (legacy SSO tokens have none)", true, false, false, boolean(func(c *Config) *bool { return &c.RequireJTI })},
	{"VALIDATE_TOKEN_ENVIRONMENT", "validate-token-environment", "true", "the environment rule, on or off; ENVGATE_ENVIRONMENT_RULE wins over it", true, false, false, func(_ *Config, v string) error { _, err := parseBool(v); return err }},
	{"AUTH_HEADER_NAME", "auth-header-name", "Authorization", "header in which the gateway reads its bearer token", true, false, false, authHeader},
	{"APP_ROOT_PATH", "app-root-path", "", "path prefix of the gateway: routes hold with and without it", true, false, false, rootPath},
	{"ALLOWED_ORIGINS", "allowed-origins", "", "browser origins that may read a refusal: a JSON list or comma-separated; default as the gateway's", true, false, false, origins},
	{"CORS_ENABLED", "cors-enabled", "true", "send CORS headers on refusals", true, false, false, boolean(func(c *Config) *bool { return &c.CORS })},
	{"CORS_ALLOW_CREDENTIALS", "cors-allow-credentials", "true", "send Access-Control-Allow-Credentials on refusals", true, false, false, boolean(func(c *Config) *bool { return &c.CORSCredentials })},
	{"PROXY_USER_HEADER", "proxy-user-header", "X-Authenticated-User", "identity header that clients may never set", true, false, false, userHeader},

	{"ENVGATE_ENVIRONMENT", "environment", "", "this environment's name; wins over ENVIRONMENT and confirms it", false, false, false, optional(EnvironmentName)},
	{"ENVGATE_LISTEN", "listen", ":4445", "address for traffic", false, false, false, address(func(c *Config) *string { return &c.Listen })},
	{"ENVGATE_ADMIN_LISTEN", "admin-listen", ":4446", "address for metrics, health and status", false, false, false, address(func(c *Config) *string { return &c.AdminListen })},
	{"ENVGATE_WEB_CONFIG_FILE", "web.config.file", "", "TLS and basic authentication of the admin listener, by the web configuration file that every Prometheus exporter takes; health, /probe and /drain never ask for a password", false, false, false, func(c *Config, v string) error {
		if c.WebConfigFile = v; v != "" {
			c.files = append(c.files, v)
		}
		return nil
	}},
	{"ENVGATE_UPSTREAM", "upstream", "http://127.0.0.1:4444", "the gateway: http://host:port, https://host:port or unix:///path", false, false, false, upstream},
	{"ENVGATE_POLICY", "policy", "contextforge", "name of a built-in policy, or path of a YAML file", false, false, false, policy},
	{"ENVGATE_MODE", "mode", "enforce", "enforce, or report: judge, count and log, but refuse and remove no credential", false, false, false, choice([]Mode{ModeEnforce, ModeReport}, func(c *Config) *Mode { return &c.Mode })},
	{"ENVGATE_ENVIRONMENT_RULE", "environment-rule", "", "enforce, report (the rule alone only counts and logs) or off; default from VALIDATE_TOKEN_ENVIRONMENT", false, false, false, rule},
	{"ENVGATE_MISSING_ENVIRONMENT", "missing-environment", "allow", "tokens without env: allow or deny", false, false, false, missing},
	{"ENVGATE_KNOWN_ENVIRONMENTS", "known-environments", "development,staging,production", "environment names that may appear as metric labels, beside this one", false, false, false, known},
	{"ENVGATE_STRICT", "strict", "false", "a configuration warning stops the start", false, false, false, boolean(func(c *Config) *bool { return &c.Strict })},
	{"ENVGATE_LEEWAY", "leeway", "0s", "clock leeway on exp, nbf and iat, at most 1h", false, false, false, duration(0, time.Hour, func(c *Config) *time.Duration { return &c.Leeway })},
	{"ENVGATE_ADDITIONAL_SECRET_KEY", "", "", "second HMAC secret during a rotation: accepted, counted, and signed again with the current key for the gateway", false, true, false, accept},
	{"ENVGATE_ADDITIONAL_SECRET_KEY_FILE", "additional-secret-key-file", "", "file with the second HMAC secret, less one trailing newline", false, false, false, accept},
	{"ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS", "additional-public-key-paths", "", "PEM files with further public keys during a rotation, comma-separated, at most 8: accepted, counted, and signed again where JWT_PRIVATE_KEY_PATH is set; not for HS*", false, false, false, additionalPublicKeys},
	{"ENVGATE_TRANSLATE_KEYS", "translate-keys", "off", "before a gateway that knows only the base secret: off, accept (tokens under the derived key are signed as the gateway knows them) or issue (and tokens that it hands out get the derived key); needs DERIVE_KEY_PER_ENVIRONMENT and EMBED_ENVIRONMENT_IN_TOKENS", false, false, false, choice([]Translate{TranslateOff, TranslateAccept, TranslateIssue}, func(c *Config) *Translate { return &c.Translate })},
	{"ENVGATE_ACCEPT_BASE_KEY", "accept-base-key", "true", "while keys are translated, also accept tokens under the base secret: a migration aid that separates nothing yet", false, false, false, boolean(func(c *Config) *bool { return &c.AcceptBaseKey })},
	{"ENVGATE_KEY_FINGERPRINT", "key-fingerprint", "true", "show a fingerprint of the keys as a metric, so that environments that share one are found", false, false, false, boolean(func(c *Config) *bool { return &c.KeyFingerprint })},
	{"ENVGATE_DENY_LIST", "deny-list", "", "file with revoked tokens, one a line: jti VALUE, or sub VALUE before TIME; read anew when it changes", false, false, false, denyList},
	{"ENVGATE_MAX_TOKEN_BYTES", "max-token-bytes", "16384", "longer candidates are refused unparsed (1 to 1048576)", false, false, false, maxTokenBytes},
	{"ENVGATE_VERDICT_CACHE_BYTES", "verdict-cache-bytes", "8388608", "memory for the verdicts on accepted tokens, which are then not verified anew (65536 to 1073741824; 0: none)", false, false, false, verdictCacheBytes},
	{"ENVGATE_MAX_CONNECTIONS", "max-connections", "32768", "connections at once, and never more than there are file descriptors for; what is over it is closed unanswered (0: as many as those allow)", false, false, false, maxConnections},
	{"ENVGATE_MAX_CONNECTIONS_PER_ADDRESS", "max-connections-per-address", "0", "connections at once of one peer address, of IPv6 one /64; behind an ingress every client has the ingress's (0: no limit)", false, false, false, maxConnectionsPerAddress},
	{"ENVGATE_MAX_REQUESTS", "max-requests", "32768", "requests at once, streams among them, and never more than there are file descriptors for; what is over it is refused with 503 (0: as many as those allow)", false, false, false, maxRequests},
	{"ENVGATE_MAX_HEADER_BYTES", "max-header-bytes", "0", "bytes of a request's headers, 4096 to 16777216; what is longer is refused with 431 (0: 69632, or three times ENVGATE_MAX_TOKEN_BYTES where that is more)", false, false, false, maxHeaderBytes},
	{"ENVGATE_MAX_HEADERS", "max-headers", "256", "header lines of a request, 16 to 100000; with more it is refused with 431 (0: no limit but that of their bytes)", false, false, false, maxHeaders},
	{"ENVGATE_MAX_BODY_BYTES", "max-body-bytes", "0", "bytes of a request's body; what is longer is refused with 413 (0: no limit)", false, false, false, maxBodyBytes},
	{"ENVGATE_BODY_TIMEOUT", "body-timeout", "30s", "how long a client may keep a request's body waiting, at most 24h; each 500 bytes give a second back; then 408 (0s: as long as it likes)", false, false, false, bodyTimeout},
	{"ENVGATE_UPSTREAM_RESPONSE_TIMEOUT", "upstream-response-timeout", "0s", "how long the gateway may take from the end of a request to the headers of its answer, at most 24h; then 504 (0s: as long as it likes); streams may last longer", false, false, false, upstreamResponseTimeout},
	{"ENVGATE_REFUSALS_PER_MINUTE", "refusals-per-minute", "0", "refused requests of one client address, of IPv6 one /64, before further ones get 429; what isn't refused goes on (0: no limit)", false, false, false, refusalsPerMinute},
	{"ENVGATE_TLS_CERTIFICATE_FILE", "tls-certificate-file", "", "PEM file with the certificate, and those between it and its authority: traffic is then served over TLS 1.2 or newer, with HTTP/2", false, false, false, plain(func(c *Config) *string { return &c.TLSCertificateFile })},
	{"ENVGATE_TLS_KEY_FILE", "tls-key-file", "", "PEM file with its private key", false, false, false, plain(func(c *Config) *string { return &c.TLSKeyFile })},
	{"ENVGATE_TLS_CLIENT_CA_FILE", "tls-client-ca-file", "", "PEM file with the authorities of clients' certificates", false, false, false, plain(func(c *Config) *string { return &c.TLSClientCAFile })},
	{"ENVGATE_TLS_CLIENT_AUTH", "tls-client-auth", "none", "certificates of clients: none, optional (one that is shown must be good) or required; beside tokens, never instead of them", false, false, false, choice([]ClientAuth{ClientAuthNone, ClientAuthOptional, ClientAuthRequired}, func(c *Config) *ClientAuth { return &c.TLSClientAuth })},
	{"ENVGATE_UPSTREAM_CA_FILE", "upstream-ca-file", "", "PEM file with the authorities of an https upstream, instead of the system's", false, false, false, plain(func(c *Config) *string { return &c.UpstreamCAFile })},
	{"ENVGATE_UPSTREAM_SERVER_NAME", "upstream-server-name", "", "name in an https upstream's certificate, where it isn't its host", false, false, false, upstreamServerName},
	{"ENVGATE_TRUSTED_PROXIES", "trusted-proxies", "", "CIDRs, or private, whose X-Forwarded-* is kept and appended to", false, false, false, trustedProxies},
	{"ENVGATE_PUBLIC_URL", "public-url", "", "scheme and host for X-Forwarded-Proto and X-Forwarded-Host, and for the metadata of RFC 9728", false, false, false, publicURL},
	{"ENVGATE_UPSTREAM_IDLE_TIMEOUT", "upstream-idle-timeout", "1s", "how long an idle upstream connection is kept (1ms to 5m)", false, false, false, duration(time.Millisecond, 5*time.Minute, func(c *Config) *time.Duration { return &c.UpstreamIdleTimeout })},
	{"ENVGATE_DRAIN_DELAY", "drain-delay", "5s", "how long to serve, unready, before the listener closes (0s to 10m)", false, false, false, duration(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.DrainDelay })},
	{"ENVGATE_DRAIN_TIMEOUT", "drain-timeout", "20s", "how long requests and streams may take to end after that (0s to 10m)", false, false, false, duration(0, 10*time.Minute, func(c *Config) *time.Duration { return &c.DrainTimeout })},
	{"ENVGATE_STREAMS_END_AT_EXPIRY", "streams-end-at-expiry", "false", "end event streams and WebSockets when their token expires, and when a reload would refuse it", false, false, false, boolean(func(c *Config) *bool { return &c.StreamsEndAtExpiry })},
	{"ENVGATE_ADMIN_STATUS", "admin-status", "loopback", "who sees / and /api/status: loopback or all; /drain is loopback only", false, false, false, adminStatus},
	{"ENVGATE_LOG_LEVEL", "log-level", "info", "debug, info, warn or error", false, false, false, choice([]string{"debug", "info", "warn", "error"}, func(c *Config) *string { return &c.LogLevel })},
	{"ENVGATE_LOG_FORMAT", "log-format", "json", "json or text", false, false, false, choice([]string{"json", "text"}, func(c *Config) *string { return &c.LogFormat })},
	{"ENVGATE_ACCESS_LOG", "access-log", "false", "one log line for every request", false, false, false, boolean(func(c *Config) *bool { return &c.AccessLog })},
	{"ENVGATE_PROBES", "", "", "the gateway's own probes that envgate runs for the kubelet, by container/kind: written by injection; never shown, for probes may carry headers", false, true, false, probes},
}
