package deploy

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/authz"
)

func TestTheDemoPassesAndShowsEveryStep(t *testing.T) {
	var out bytes.Buffer
	if err := Demo(DemoOptions{Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, s := range scenario {
		if !strings.Contains(out.String(), s.what) || !strings.Contains(out.String(), s.why) {
			t.Errorf("%q is not shown", s.what)
		}
	}
	for _, want := range []string{"indistinguishable_environments", `envgate_cross_environment_tokens_total{decision="removed"`, "every outcome as expected"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(out.String(), "eyJ") {
		t.Error("a token was printed")
	}
}

func TestTheDemoFailsWhenAnOutcomeIsNotTheExpectedOne(t *testing.T) {
	for _, wrong := range []step{
		{"another status", "production", get("production"), 418, authz.Accepted, authz.None, ""},
		{"another decision", "production", get("production"), 200, authz.Refused, authz.Environment, ""},
		{"another reason", "production", get("expired"), 401, authz.Refused, authz.Signature, ""},
	} {
		var out bytes.Buffer
		err := run(DemoOptions{Out: &out}, []step{wrong})
		if err == nil || err.Error() != "1 outcomes were not the expected ones" || !strings.Contains(out.String(), "NO") {
			t.Errorf("%s: %v", wrong.what, err)
		}
	}
}

func TestTheDemoNamesWhatARealGatewayLacks(t *testing.T) {
	for _, row := range []struct {
		gateway string
		environ []string
		want    string
	}{
		{"nonsense", nil, `gateway: "nonsense": want a URL such as http://127.0.0.1:4444`},
		{"ftp://127.0.0.1", nil, `gateway: "ftp://127.0.0.1": want a URL such as http://127.0.0.1:4444`},
		{"http://127.0.0.1:1", nil, "JWT_SECRET_KEY: not set: the demo signs tokens with the gateway's own HS256 secret"},
		{"http://127.0.0.1:1", []string{"JWT_SECRET_KEY=0123456789"}, "PLATFORM_ADMIN_PASSWORD: not set: the demo logs in as the gateway's bootstrap admin (PLATFORM_ADMIN_EMAIL)"},
	} {
		if err := Demo(DemoOptions{Out: &bytes.Buffer{}, Gateway: row.gateway, Environ: row.environ}); err == nil || err.Error() != row.want {
			t.Errorf("%s: %v", row.gateway, err)
		}
	}
}

func TestStayPrintsCurlLinesAndEndsWithASignal(t *testing.T) {
	stop := make(chan os.Signal, 1)
	out := &buffer{}
	done := make(chan error, 1)
	go func() { done <- Demo(DemoOptions{Out: out, Stay: true, Stop: stop}) }()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "status page is"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(out.String())
		}
	}
	_, file, _ := strings.Cut(out.String(), "$(cat ")
	file, _, _ = strings.Cut(file, ")")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	stop <- os.Interrupt
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the token files were left behind")
	}
}

func TestEveryStepNamesATokenThatExists(t *testing.T) {
	tokens := []string{"staging", "production", "unbound", "expired", "forged", "none", "flipped"}
	for _, s := range scenario {
		for _, name := range append(slices.Clone(s.request.bearers), s.request.cookie) {
			if name != "" && !slices.Contains(tokens, name) {
				t.Errorf("%s: no token %q", s.what, name)
			}
		}
	}
}
