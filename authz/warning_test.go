package authz

import (
	"slices"
	"strings"
	"testing"

	"envgate/authz/attacktest"
)

// Each check and its conditions. The base is a production environment with everything set well.
func TestWarnings(t *testing.T) {
	const (
		confirmed = "ENVGATE_ENVIRONMENT=development"
		pod       = "KUBERNETES_SERVICE_HOST=10.0.0.1"
		bare      = "ENVIRONMENT=development"
		gateway   = "JWT_ISSUER=mcpgateway"
		api       = "JWT_AUDIENCE=mcpgateway-api"
		derived   = "DERIVE_KEY_PER_ENVIRONMENT=true"
	)
	short := "JWT_SECRET_KEY=" + strings.Repeat("s", 31)
	tests := []struct {
		name     string
		settings []string
		want     string
	}{
		{"a good configuration has none", nil, ""},
		{"default issuer", []string{gateway}, "default_issuer"},
		{"default audience", []string{api}, "default_audience"},
		{"both", []string{gateway, api}, "default_issuer default_audience indistinguishable_environments"},
		{"both with a derived key", []string{gateway, api, derived}, "default_issuer default_audience"},
		{"both with the check off", []string{gateway, api, "JWT_ISSUER_VERIFICATION=false"}, "default_issuer default_audience indistinguishable_environments issuer_check_off"},
		{"a derived key and a public-key algorithm", []string{gateway, api, derived, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=testdata/settings/ec-p256.pem"}, "default_issuer default_audience indistinguishable_environments"},
		{"a published secret", []string{"JWT_SECRET_KEY=my-test-key-but-now-longer-than-32-bytes"}, "published_secret"},
		{"in another case", []string{"JWT_SECRET_KEY=My-Test-Key-But-Now-Longer-Than-32-Bytes"}, "published_secret"},
		{"a short published secret", []string{"JWT_SECRET_KEY=my-test-key"}, "published_secret weak_secret"},
		{"a published additional secret", []string{"ENVGATE_ADDITIONAL_SECRET_KEY=my-test-key-but-now-longer-than-32-bytes"}, "published_secret"},
		{"a published secret that the algorithm doesn't use", []string{"JWT_SECRET_KEY=my-test-key", "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH=testdata/settings/ec-p256.pem"}, ""},
		{"rule off", []string{"ENVGATE_ENVIRONMENT_RULE=off"}, "environment_rule_off"},
		{"rule off by the gateway's variable", []string{"VALIDATE_TOKEN_ENVIRONMENT=false"}, "environment_rule_off"},
		{"report mode", []string{"ENVGATE_MODE=report"}, "report_mode"},
		{"the rule reports", []string{"ENVGATE_ENVIRONMENT_RULE=report"}, "report_mode"},
		{"a secret shorter than its hash", []string{short}, "weak_secret"},
		{"a secret as long as its hash", []string{short + "s"}, ""},
		{"a secret too short for HS512", []string{"JWT_ALGORITHM=HS512", "JWT_SECRET_KEY=" + strings.Repeat("s", 63)}, "weak_secret"},
		{"a secret long enough for HS512", []string{"JWT_ALGORITHM=HS512", "JWT_SECRET_KEY=" + strings.Repeat("s", 64)}, ""},
		{"a secret too short for HS384", []string{"JWT_ALGORITHM=HS384", "JWT_SECRET_KEY=" + strings.Repeat("s", 47)}, "weak_secret"},
		{"a short additional secret", []string{"ENVGATE_ADDITIONAL_SECRET_KEY=short"}, "weak_secret"},
		{"a short secret that derives", []string{short, derived}, "weak_secret"},
		{"issuer check off", []string{"JWT_ISSUER_VERIFICATION=false"}, "issuer_check_off"},
		{"audience check off", []string{"JWT_AUDIENCE_VERIFICATION=false"}, "audience_check_off"},
		{"expiry optional", []string{"REQUIRE_TOKEN_EXPIRATION=false"}, "expiry_optional"},
		{"unknown setting", []string{"ENVGATE_MOED=report"}, "unknown_setting"},
		{"a Service's variables", []string{"ENVGATE_PORT=tcp://10.0.0.1:4445", "ENVGATE_SERVICE_HOST=10.0.0.1"}, ""},
		{"environments disagree", []string{"ENVGATE_ENVIRONMENT=staging"}, "environment_disagrees"},
		{"environments agree", []string{"ENVGATE_ENVIRONMENT=production"}, ""},
		{"development, unconfirmed", []string{bare}, "environment_unconfirmed"},
		{"development, confirmed", []string{bare, confirmed}, ""},
		{"development is quiet about defaults", []string{bare, confirmed, gateway, api, "JWT_SECRET_KEY=my-test-key-but-now-longer-than-32-bytes", "ENVGATE_MODE=report", "ENVGATE_ENVIRONMENT_RULE=off"}, ""},
		{"unconfirmed too, outside Kubernetes", []string{bare, gateway, api}, "environment_unconfirmed"},
		{"unconfirmed inside Kubernetes it is not", []string{bare, pod, gateway, api, "ENVGATE_MODE=report"}, "default_issuer default_audience indistinguishable_environments report_mode environment_unconfirmed"},
		{"confirmed inside Kubernetes it is", []string{bare, confirmed, pod, gateway, api}, ""},
		{"development always warns of weak checks", []string{bare, confirmed, short, "JWT_ISSUER_VERIFICATION=no", "JWT_AUDIENCE_VERIFICATION=no", "REQUIRE_TOKEN_EXPIRATION=no", "ENVGATE_X=1"}, "weak_secret issuer_check_off audience_check_off expiry_optional unknown_setting"},
	}
	raised := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newGuard(t, append([]string{"JWT_ISSUER=production-gateway", "JWT_AUDIENCE=production-api"}, tt.settings...)...).Config()
			var got []string
			for _, w := range c.Warnings() {
				got = append(got, w.Check)
				raised[w.Check] = true
				if w.Message == "" || w.Set == "" || strings.HasSuffix(w.Message, ".") || w.Set != strings.ToLower(w.Set[:1])+w.Set[1:] {
					t.Errorf("%s: message %q, set %q", w.Check, w.Message, w.Set)
				}
				for _, leak := range []string{secret, "my-test-key", attacktest.Additional} {
					if strings.Contains(strings.ToLower(w.Message+w.Set), leak) {
						t.Errorf("%s shows a secret", w.Check)
					}
				}
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", strings.Join(got, " "), tt.want)
			}
		})
	}
	for _, check := range Checks {
		if runtime := RuntimeWarning(check, "0.0.0.0:4444"); runtime.Message != "" {
			raised[check] = true
			if runtime.Check != check || runtime.Set == "" {
				t.Errorf("%+v", runtime)
			}
		}
		if !raised[check] {
			t.Errorf("nothing raises %s", check)
		}
	}
	for check := range raised {
		if !slices.Contains(Checks, check) {
			t.Errorf("%s is not in the list", check)
		}
	}
	if len(Checks) != 16 || len(slices.Compact(slices.Sorted(slices.Values(Checks)))) != len(Checks) {
		t.Errorf("%d checks, or one twice", len(Checks))
	}
}

func TestRuntimeWarningsNameWhatWasSeen(t *testing.T) {
	if w := RuntimeWarning(UpstreamExposed, "0.0.0.0:4444"); !strings.Contains(w.Message, "0.0.0.0:4444") {
		t.Errorf("%q", w.Message)
	}
}

func TestKnownEnvironments(t *testing.T) {
	c := newGuard(t, "ENVGATE_KNOWN_ENVIRONMENTS=staging", "ENVIRONMENT=eu-1").Config()
	for name, want := range map[string]string{"staging": "staging", "eu-1": "eu-1", "production": "other", "": "other", "Staging": "other", "x\n": "other"} {
		if got := c.KnownEnvironment(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
