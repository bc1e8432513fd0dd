package authz

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// settingFile is one file of testdata/settings: the message expected on top, then the whole environment.
type settingFile struct {
	name, want string
	environ    []string
}

func settingFiles(t *testing.T) []settingFile {
	t.Helper()
	names, err := filepath.Glob("testdata/settings/*.env")
	if err != nil || len(names) < 100 {
		t.Fatalf("%d setting files (%v)", len(names), err)
	}
	var files []settingFile
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := settingFile{name: strings.TrimSuffix(filepath.Base(name), ".env")}
		var want []string
		for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
			if text, ok := strings.CutPrefix(line, "# expect: "); ok {
				want = append(want, text)
			} else {
				f.environ = append(f.environ, line)
			}
		}
		f.want = strings.Join(want, "\n")
		files = append(files, f)
	}
	return files
}

// Each setting broken one way, and the exact message.
func TestBrokenSettings(t *testing.T) {
	for _, f := range settingFiles(t) {
		t.Run(f.name, func(t *testing.T) {
			c, err := Parse(Source{Environ: f.environ})
			if err == nil || c != nil {
				t.Fatalf("it starts, want %q", f.want)
			}
			if err.Error() != f.want {
				t.Errorf("got\n%s, want\n%s", err, f.want)
			}
			for _, kv := range f.environ {
				name, value, _ := strings.Cut(kv, "=")
				i := slices.IndexFunc(Settings, func(s Setting) bool { return s.Name == name })
				if i >= 0 && Settings[i].Secret && value != "" && strings.Contains(err.Error(), value) {
					t.Errorf("the message shows the value of %s", name)
				}
			}
		})
	}
}

// Every setting that can be broken has a file that breaks it, so that a new one is not forgotten.
func TestEverySettingIsBrokenOnce(t *testing.T) {
	broken := map[string]bool{
		"JWT_PRIVATE_KEY_PATH":    true, // is only read to mint
		"ENVGATE_WEB_CONFIG_FILE": true, // is read, and broken in tests, by the package that serves it
	}
	for _, f := range settingFiles(t) {
		name, _, _ := strings.Cut(f.want, " ")
		broken[strings.TrimSuffix(name, ":")] = true
	}
	for _, s := range Settings {
		if !broken[s.Name] {
			t.Errorf("no file in testdata/settings breaks %s", s.Name)
		}
	}
}

// The same broken value given as a flag gives the same message.
func TestBrokenFlags(t *testing.T) {
	for _, s := range Settings {
		if (s.Flag == "") != (s.Secret || s.Name == "ENVIRONMENT") {
			t.Errorf("%s: flag %q, secret %t", s.Name, s.Flag, s.Secret)
		}
	}
	_, err := Parse(Source{Flags: map[string]string{"ENVGATE_MODE": "x", "ENVGATE_LISTEN": ""}, Environ: []string{"JWT_SECRET_KEY=" + secret, "ENVGATE_MODE=report"}})
	want := `ENVGATE_LISTEN (--listen): "": want host:port or :port, with a port from 0 to 65535` + "\n" + `ENVGATE_MODE (--mode): "x": want enforce or report`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The defaults are the documented ones.
func TestDefaults(t *testing.T) {
	c, err := Parse(Source{Environ: []string{"JWT_SECRET_KEY=" + secret}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"Environment": "development", "EnvironmentConfirmed": false, "Issuer": "mcpgateway", "Audience": "mcpgateway-api", "CheckIssuer": true, "CheckAudience": true,
		"Algorithm": "HS256", "DeriveKey": false, "RequireExpiry": true, "RequireJTI": false, "AuthHeader": "Authorization", "RootPath": "",
		"CORS": true, "CORSCredentials": true, "UserHeader": "X-Authenticated-User",
		"Listen": ":4445", "AdminListen": ":4446", "PolicyName": "contextforge", "Mode": ModeEnforce, "Rule": RuleEnforce, "DenyMissing": false,
		"KnownEnvironments": []string{"development", "production", "staging"}, "Strict": false, "Leeway": time.Duration(0), "MaxTokenBytes": 16384,
		"UpstreamIdleTimeout": time.Second, "DrainDelay": 5 * time.Second, "DrainTimeout": 20 * time.Second, "AdminStatusAll": false,
		"LogLevel": "info", "LogFormat": "json", "AccessLog": false, "InKubernetes": false,
	}
	for field, value := range want {
		if got := reflect.ValueOf(*c).FieldByName(field).Interface(); !reflect.DeepEqual(got, value) {
			t.Errorf("%s is %v, want %v", field, got, value)
		}
	}
	if c.Upstream.String() != "http://127.0.0.1:4444" || c.PublicURL != nil || c.TrustedProxies != nil || c.AdditionalSecret.IsSet() {
		t.Errorf("upstream %s, public URL %v, proxies %v", c.Upstream, c.PublicURL, c.TrustedProxies)
	}
}

// Flag before variable before default; an empty variable is none.
func TestPrecedence(t *testing.T) {
	base := []string{"JWT_SECRET_KEY=" + secret}
	tests := []struct {
		name    string
		environ []string
		flags   map[string]string
		setting string
		value   string
		from    string
	}{
		{"default", nil, nil, "ENVGATE_MODE", "enforce", "default"},
		{"variable", []string{"ENVGATE_MODE=report"}, nil, "ENVGATE_MODE", "report", "variable"},
		{"empty variable", []string{"ENVGATE_MODE="}, nil, "ENVGATE_MODE", "enforce", "default"},
		{"flag", []string{"ENVGATE_MODE=report"}, map[string]string{"ENVGATE_MODE": "enforce"}, "ENVGATE_MODE", "enforce", "flag"},
		{"secret", nil, nil, "JWT_SECRET_KEY", "[secret]", "variable"},
		{"no secret", nil, nil, "ENVGATE_ADDITIONAL_SECRET_KEY", "", "default"},
		{"value with =", []string{"JWT_ISSUER=a=b"}, nil, "JWT_ISSUER", "a=b", "variable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(Source{Environ: append(base, tt.environ...), Flags: tt.flags})
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Origins) != len(Settings) {
				t.Errorf("%d origins of %d settings", len(c.Origins), len(Settings))
			}
			for _, o := range c.Origins {
				if o.Name == tt.setting && (o.Value != tt.value || o.From != tt.from) {
					t.Errorf("%+v, want %s from %s", o, tt.value, tt.from)
				}
			}
		})
	}
}

// Values that must be taken, and what becomes of them.
func TestGoodSettings(t *testing.T) {
	tests := []struct {
		setting string
		got     func(*Config) any
		want    any
	}{
		{"JWT_ALGORITHM=hs512", func(c *Config) any { return c.Algorithm }, "HS512"},
		{"REQUIRE_JTI=Yes", func(c *Config) any { return c.RequireJTI }, true},
		{"REQUIRE_JTI=T", func(c *Config) any { return c.RequireJTI }, true},
		{"REQUIRE_TOKEN_EXPIRATION=oFF", func(c *Config) any { return c.RequireExpiry }, false},
		{"REQUIRE_TOKEN_EXPIRATION=n", func(c *Config) any { return c.RequireExpiry }, false},
		{"AUTH_HEADER_NAME=x-mcp-auth", func(c *Config) any { return c.AuthHeader }, "X-Mcp-Auth"},
		{"APP_ROOT_PATH=/gw/", func(c *Config) any { return c.RootPath }, "/gw"},
		{"APP_ROOT_PATH=/", func(c *Config) any { return c.RootPath }, ""},
		{`ALLOWED_ORIGINS=["https://a.example","http://b.example:8080"]`, func(c *Config) any { return c.AllowedOrigins }, []string{"https://a.example", "http://b.example:8080"}},
		{"ALLOWED_ORIGINS=https://a.example , http://b.example", func(c *Config) any { return c.AllowedOrigins }, []string{"https://a.example", "http://b.example"}},
		{`ALLOWED_ORIGINS="*"`, func(c *Config) any { return c.AllowedOrigins }, []string{"*"}},
		{"ENVGATE_UPSTREAM=https://gw.example/", func(c *Config) any { return c.Upstream.String() }, "https://gw.example"},
		{"ENVGATE_UPSTREAM=http://[::1]:4444", func(c *Config) any { return c.Upstream.Host }, "[::1]:4444"},
		{"ENVGATE_UPSTREAM=unix:///run/gw.sock", func(c *Config) any { return c.Upstream.Path }, "/run/gw.sock"},
		{"ENVGATE_LISTEN=[::1]:0", func(c *Config) any { return c.Listen }, "[::1]:0"},
		{"ENVGATE_KNOWN_ENVIRONMENTS=b,a,, b", func(c *Config) any { return c.KnownEnvironments }, []string{"a", "b"}},
		{"ENVGATE_TRUSTED_PROXIES=private", func(c *Config) any { return len(c.TrustedProxies) }, 7},
		{"ENVGATE_TRUSTED_PROXIES=10.1.2.3/8,::1/128", func(c *Config) any { return fmt.Sprint(c.TrustedProxies) }, "[10.0.0.0/8 ::1/128]"},
		{"ENVGATE_PUBLIC_URL=https://gw.example:8443/", func(c *Config) any { return c.PublicURL.String() }, "https://gw.example:8443"},
		{"ENVGATE_PUBLIC_URL=http://[::1]:8080", func(c *Config) any { return c.PublicURL.String() }, "http://[::1]:8080"},
		{"ENVGATE_PUBLIC_URL=https://my_gateway.", func(c *Config) any { return c.PublicURL.String() }, "https://my_gateway."},
		{"ENVGATE_ADMIN_STATUS=all", func(c *Config) any { return c.AdminStatusAll }, true},
		{"ENVGATE_LEEWAY=5m", func(c *Config) any { return c.Leeway }, 5 * time.Minute},
		{"ENVGATE_MAX_TOKEN_BYTES=512", func(c *Config) any { return c.MaxTokenBytes }, 512},
		{"ENVGATE_ENVIRONMENT_RULE=report", func(c *Config) any { return c.Rule }, RuleReport},
		{"VALIDATE_TOKEN_ENVIRONMENT=0", func(c *Config) any { return c.Rule }, RuleOff},
		{"ENVIRONMENT=eu-1.Blue_x", func(c *Config) any { return c.Environment }, "eu-1.Blue_x"},
		{"ENVGATE_ENVIRONMENT=staging", func(c *Config) any { return c.Environment + " " + c.GatewayEnvironment }, "staging production"},
		{"ENVGATE_ENVIRONMENT=production", func(c *Config) any { return c.Environment + " " + c.GatewayEnvironment }, "production "},
		{"KUBERNETES_SERVICE_HOST=10.0.0.1", func(c *Config) any { return c.InKubernetes }, true},
	}
	for _, tt := range tests {
		t.Run(tt.setting, func(t *testing.T) {
			if got := tt.got(newGuard(t, tt.setting).Config()); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestUnknownSettings(t *testing.T) {
	c := newGuard(t, "ENVGATE_MOED=report", "ENVGATE_A\x1b=1", "ENVGATE_PORT=tcp://10.0.0.1:80", "ENVGATE_PORT_80_TCP_ADDR=10.0.0.1", "ENVGATE_SERVICE_HOST=10.0.0.1", "OTHER=1", "HOST=0.0.0.0", "PORT=4444").Config()
	if got := strings.Join(c.UnknownSettings, " "); got != "ENVGATE_A? ENVGATE_MOED" {
		t.Errorf("got %q", got)
	}
}

// Commands that talk to a running sidecar read their own settings, whatever the others say.
func TestParseOnly(t *testing.T) {
	src := Source{Environ: []string{"ENVGATE_ADMIN_LISTEN=:9999", "ENVGATE_MODE=broken"}}
	if c, err := ParseOnly(src, "ENVGATE_ADMIN_LISTEN"); err != nil || c.AdminListen != ":9999" || c.Mode != "" {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := ParseOnly(src, "ENVGATE_MODE"); err == nil || err.Error() != `ENVGATE_MODE (--mode): "broken": want enforce or report` {
		t.Errorf("%v", err)
	}
}

// Without ALLOWED_ORIGINS the gateway's own defaults hold.
func TestDefaultOrigins(t *testing.T) {
	for environment, want := range map[string]string{"development": "http://localhost:3000", "production": "https://app.localhost"} {
		c := newGuard(t, "ENVGATE_ENVIRONMENT="+environment).Config()
		if !slices.Contains(c.AllowedOrigins, want) {
			t.Errorf("%s: %v lacks %s", environment, c.AllowedOrigins, want)
		}
	}
}

// A secret redacts itself in every way of printing.
func TestSecretsRedactThemselves(t *testing.T) {
	c := newGuard(t, "ENVGATE_ADDITIONAL_SECRET_KEY="+otherSecret).Config()
	text, err := json.Marshal(c.Secret)
	if err != nil {
		t.Fatal(err)
	}
	all := []string{string(text), c.Secret.String(), c.Secret.LogValue().String()}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all = append(all, fmt.Sprintf(format, c.Secret), fmt.Sprintf(format, struct{ S Secret }{c.Secret}))
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		all = append(all, fmt.Sprintf(format, c), fmt.Sprintf(format, *c), fmt.Sprintf(format, New(c)))
	}
	for _, s := range all {
		for _, leak := range []string{secret, otherSecret, fmt.Sprintf("%x", secret)} {
			if strings.Contains(s, leak) {
				t.Errorf("shows a secret: %.100s", s)
			}
		}
	}
	for _, s := range all[:3] {
		if !strings.Contains(s, "[secret]") {
			t.Errorf("%q, want [secret]", s)
		}
	}
}
