package authz

import (
	"fmt"
	"slices"
	"strings"
)

// Check ids of the warnings. The list is closed: each has a gauge, which is 0 while the check passes.
const (
	DefaultIssuer          = "default_issuer"
	DefaultAudience        = "default_audience"
	Indistinguishable      = "indistinguishable_environments"
	PublishedSecret        = "published_secret"
	EnvironmentRuleOff     = "environment_rule_off"
	ReportMode             = "report_mode"
	WeakSecret             = "weak_secret"
	IssuerCheckOff         = "issuer_check_off"
	AudienceCheckOff       = "audience_check_off"
	ExpiryOptional         = "expiry_optional"
	UnknownSetting         = "unknown_setting"
	EnvironmentUnconfirmed = "environment_unconfirmed"
	EnvironmentDisagrees   = "environment_disagrees"
	ForwardedIgnored       = "forwarded_ignored"
	BaseKeySeen            = "base_key_seen"
	UpstreamExposed        = "upstream_exposed"
)

// Checks lists every check id, in the order of the documentation.
var Checks = []string{
	DefaultIssuer, DefaultAudience, Indistinguishable, PublishedSecret, EnvironmentRuleOff, ReportMode, WeakSecret,
	IssuerCheckOff, AudienceCheckOff, ExpiryOptional, UnknownSetting, EnvironmentUnconfirmed, EnvironmentDisagrees,
	ForwardedIgnored, BaseKeySeen, UpstreamExposed,
}

// Warning is a configuration that starts but separates badly. Message says what it means, Set what to change.
type Warning struct {
	Check   string `json:"check"`
	Message string `json:"message"`
	Set     string `json:"set"`
}

// publishedSecrets are printed in the gateway's documentation, chart or code (.env.example, README, values.yaml,
// config.py of 0.9.0 and 1.0.7): whoever reads those can sign tokens. Compared without case, as the gateway does.
var publishedSecrets = []string{
	"my-test-key", "my-test-key-but-now-longer-than-32-bytes", "my-test-salt", "changeme", "secret", "password",
	"your-secret-key", "your-secret-key-here", "dev-secret-key",
}

func published(s Secret) bool {
	v := strings.ToLower(string(s.bytes))
	return slices.Contains(publishedSecrets, v) || strings.HasPrefix(v, "__replace_")
}

// Warnings lists what is wrong with a configuration that can be known beforehand. Those that only the running process
// can see (forwarded_ignored, base_key_seen, upstream_exposed) come from RuntimeWarning.
func (c *Config) Warnings() (ws []Warning) {
	add := func(check, set, format string, args ...any) {
		ws = append(ws, Warning{check, fmt.Sprintf(format, args...), set})
	}
	unconfirmed := c.Environment == "development" && !c.EnvironmentConfirmed
	if c.Environment != "development" || unconfirmed && c.InKubernetes {
		issuer, audience := c.Issuer == "mcpgateway", c.Audience == "mcpgateway-api"
		if issuer {
			add(DefaultIssuer, "set JWT_ISSUER to a name of this environment's own, in the gateway too", "JWT_ISSUER is the default 'mcpgateway', which every environment has")
		}
		if audience {
			add(DefaultAudience, "set JWT_AUDIENCE to a name of this environment's own, in the gateway too", "JWT_AUDIENCE is the default 'mcpgateway-api', which every environment has")
		}
		if issuer && audience && (!c.DeriveKey || !symmetric(c.Algorithm)) {
			add(Indistinguishable, "give this environment its own JWT_SECRET_KEY, JWT_ISSUER and JWT_AUDIENCE", "issuer and audience are defaults and the key is not derived per environment: with a shared key, only the env claim tells environments apart")
		}
		if symmetric(c.Algorithm) && (published(c.Secret) || published(c.AdditionalSecret)) {
			add(PublishedSecret, "make a secret: openssl rand -hex 32", "the JWT secret is printed in the gateway's documentation, chart or code: anybody can sign tokens")
		}
		if c.Rule == RuleOff {
			add(EnvironmentRuleOff, "set VALIDATE_TOKEN_ENVIRONMENT=true, or ENVGATE_ENVIRONMENT_RULE=enforce where the gateway's chart sets false", "tokens of other environments are accepted: the environment rule is off")
		}
		if c.Mode == ModeReport {
			add(ReportMode, "set ENVGATE_MODE=enforce once all that envgate_decisions_total{decision=\"reported\"} still counts should be refused", "nothing is refused: the mode is report")
		} else if c.Rule == RuleReport {
			add(ReportMode, "set ENVGATE_ENVIRONMENT_RULE=enforce once no token that envgate_cross_environment_tokens_total{decision=\"reported\"} counts is needed", "tokens of other environments are not refused: the environment rule only reports")
		}
	}
	for _, s := range []struct {
		secret Secret
		name   string
	}{{c.Secret, "JWT_SECRET_KEY"}, {c.AdditionalSecret, "ENVGATE_ADDITIONAL_SECRET_KEY"}} {
		if least := hashBytes(c.Algorithm); symmetric(c.Algorithm) && s.secret.IsSet() && s.secret.Len() < least {
			add(WeakSecret, "make a secret: openssl rand -hex 32 (-hex 64 for HS512)", "%s has %d bytes, fewer than the %d of %s's hash: it can be guessed offline from one token", s.name, s.secret.Len(), least, c.Algorithm)
			break
		}
	}
	if !c.CheckIssuer {
		add(IssuerCheckOff, "set JWT_ISSUER_VERIFICATION=true", "iss is not checked: tokens of any issuer under the same key are accepted")
	}
	if !c.CheckAudience {
		add(AudienceCheckOff, "set JWT_AUDIENCE_VERIFICATION=true", "aud is not checked: tokens for any audience under the same key are accepted")
	}
	if !c.RequireExpiry {
		add(ExpiryOptional, "set REQUIRE_TOKEN_EXPIRATION=true", "tokens without exp are accepted for ever")
	}
	if len(c.UnknownSettings) > 0 {
		add(UnknownSetting, "correct the name or remove it; envgate check lists every setting", "not a setting of envgate: %s", strings.Join(c.UnknownSettings, ", "))
	}
	if unconfirmed {
		add(EnvironmentUnconfirmed, "set ENVGATE_ENVIRONMENT to this environment's name, even if it is development", "the environment is 'development', which the legacy chart gives every installation, production included")
	}
	if c.GatewayEnvironment != "" {
		add(EnvironmentDisagrees, "set ENVIRONMENT to the same name where the gateway accepts it", "ENVIRONMENT is '%s' but ENVGATE_ENVIRONMENT is '%s': a gateway that embeds or derives by itself uses the former", c.GatewayEnvironment, c.Environment)
	}
	return ws
}

// BaseKeyAccepted is the detail of BaseKeySeen where such a token was accepted.
const BaseKeyAccepted = "accepted"

// RuntimeWarning words a warning that only traffic or the kernel's socket tables can raise. detail names what was seen;
// it may be empty.
func RuntimeWarning(check, detail string) Warning {
	switch check {
	case ForwardedIgnored:
		return Warning{check, "a proxy in front says https in X-Forwarded-Proto, which is ignored: the gateway will build http links", "set ENVGATE_TRUSTED_PROXIES to the proxy's network (or private), or ENVGATE_PUBLIC_URL"}
	case BaseKeySeen:
		if detail == BaseKeyAccepted {
			return Warning{check, "a token under the base secret was accepted: while ENVGATE_ACCEPT_BASE_KEY is true, derived keys separate nothing yet", "set ENVGATE_ACCEPT_BASE_KEY=false once envgate_tokens_verified_by_base_key_total stays flat for the longest lifetime in use"}
		}
		return Warning{check, "a token is signed with the secret itself, but DERIVE_KEY_PER_ENVIRONMENT expects the derived key: the gateway does not derive", "set DERIVE_KEY_PER_ENVIRONMENT=false, use a gateway of 1.0.5 or newer that derives, or set ENVGATE_TRANSLATE_KEYS"}
	case UpstreamExposed:
		return Warning{check, "the gateway can be reached around the sidecar: it listens on " + detail, "set HOST=127.0.0.1 for the gateway"}
	}
	return Warning{Check: check}
}
